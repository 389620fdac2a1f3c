// Sequential: modules one after the other, named "0", "1", ...
#pragma once

#include <tuple>

#include "kfer/nn/module.hpp"

namespace kfer {
namespace detail {
/// The first parameter type that one of the modules declares.
template <class... Modules>
struct FirstParameterType {
  using type = Variable<float, Cpu>;
};
template <class First, class... Rest>
struct FirstParameterType<First, Rest...> : FirstParameterType<Rest...> {};
template <class First, class... Rest>
requires requires {
  typename First::parameter_type;
}
struct FirstParameterType<First, Rest...> {
  using type = typename First::parameter_type;
};
}  // namespace detail

/// `Sequential net(Conv2d<>(...), MaxPool2d{...}, Flatten{}, Linear<>(...)); auto y = net(x);`
template <Module... Modules>
struct Sequential {
  using parameter_type = typename detail::FirstParameterType<Modules...>::type;

  std::tuple<Modules...> layers;

  explicit Sequential(Modules... modules) : layers(std::move(modules)...) {}

  template <class X>
  auto operator()(const X& x) {
    return run<0>(x);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    visit_all(v, std::index_sequence_for<Modules...>());
  }

 private:
  template <std::size_t I, class X>
  auto run(const X& x) {
    if constexpr (I == sizeof...(Modules))
      return x;
    else
      return run<I + 1>(std::get<I>(layers)(x));
  }
  template <class Visitor, std::size_t... I>
  void visit_all(Visitor& v, std::index_sequence<I...>) {
    (v(text(I), std::get<I>(layers)), ...);
  }
};

}  // namespace kfer
