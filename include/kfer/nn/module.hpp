// Modules: plain value types that name their parameters. There is no base class; a module has
//
//   template <class Visitor>
//   void visit(Visitor&& v) { v("conv1", conv1); v("weight", weight); ... }
//
// and hands each member to the visitor, in order, under the name that torchvision would give it. What a
// member is follows from its type:
//   Variable<T, D>             a parameter
//   Tensor<T, D>               a buffer: saved with the weights, not trained (running statistics)
//   another module             a child; names are joined by '.'
//   std::vector<module>        children "0", "1", ...
//   std::optional<module>      visited if present
//   RandomStream               random state: part of a training state, not of the weights
//   bool "training", "frozen"  the mode
//
// The members of a child that torchvision has no name for go by names of its parent's scope:
// v({"conv1", "bn1"}, child), as many as it has members.
//
// A Variable is a handle, so a copy of a module shares its parameters.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/autograd/variable.hpp"
#include "kfer/core/random.hpp"
#include "kfer/device/cpu.hpp"

namespace kfer {
namespace detail {

template <class X>
inline constexpr bool is_variable = false;
template <FloatingElement T, class D>
inline constexpr bool is_variable<Variable<T, D>> = true;
template <class X>
inline constexpr bool is_tensor = false;
template <Element T, class D>
inline constexpr bool is_tensor<Tensor<T, D>> = true;
template <class X>
inline constexpr bool is_optional = false;
template <class X>
inline constexpr bool is_optional<std::optional<X>> = true;
template <class X>
inline constexpr bool is_vector = false;
template <class X>
inline constexpr bool is_vector<std::vector<X>> = true;

struct AnyVisitor {
  template <class X>
  void operator()(std::string_view, X&) const {}
  template <class X>
  void operator()(std::initializer_list<std::string_view>, X&) const {}
};

}  // namespace detail

/// Anything that can be visited.
template <class M>
concept Module = requires(M& m, const detail::AnyVisitor& v) {
  m.visit(v);
};

namespace detail {

template <class M>
struct ParameterTypeOf {
  using type = Variable<float, Cpu>;
};
template <class M>
requires requires {
  typename M::parameter_type;
}
struct ParameterTypeOf<M> {
  using type = typename M::parameter_type;
};

/// Walks a module tree: `member(path, leaf)` for every leaf, `module(path, m)` for every module before its
/// members.
template <class OnMember, class OnModule>
class Walker {
 public:
  Walker(std::string prefix, OnMember& member, OnModule& module)
      : prefix_(std::move(prefix)), member_(&member), module_(&module) {}

  template <class X>
  void operator()(std::string_view name, X& x) const {
    std::string path = prefix_.empty() ? std::string(name) : text(prefix_, '.', name);
    if constexpr (is_optional<X>) {
      if (x) (*this)(name, *x);
    } else if constexpr (is_vector<X>) {
      const Walker inner(std::move(path), *member_, *module_);
      for (std::size_t i = 0; i < x.size(); ++i) inner(text(i), x[i]);
    } else if constexpr (Module<X>) {
      (*module_)(std::as_const(path), x);
      x.visit(Walker(std::move(path), *member_, *module_));
    } else {
      static_assert(
          is_variable<X> || is_tensor<X> || std::is_same_v<X, RandomStream> || std::is_same_v<X, bool>,
          "a module's visit() names something that is no parameter, buffer, module, random stream or mode");
      (*member_)(std::as_const(path), x);
    }
  }
  /// Members of `x` called by names of this scope instead of their own. Throws ValueError unless there are as
  /// many names as members.
  template <class X>
  void operator()(std::initializer_list<std::string_view> names, X& x) const {
    (*module_)(prefix_, x);
    auto name = names.begin();
    x.visit([&](std::string_view own, auto& member) {
      require(name != names.end(), "a module's visit() names ", names.size(), " members, none for '", own,
              "'");
      (*this)(*name++, member);
    });
    require(name == names.end(), "a module's visit() names ", names.size(), " members, there are ",
            name - names.begin());
  }

 private:
  std::string prefix_;
  OnMember* member_;
  OnModule* module_;
};

}  // namespace detail

/// Variable<T, D> of a module's parameters: what it declares as `parameter_type`, else Variable<float, Cpu>.
template <class M>
using parameter_type_t = typename detail::ParameterTypeOf<M>::type;
/// Tensor<T, D> of a module's parameters and buffers.
template <class M>
using tensor_type_t = typename parameter_type_t<M>::tensor_type;

/// Calls `f(path, member)` for every parameter, buffer, random stream and mode of the tree, in order.
template <Module M, class F>
void for_each_member(M& m, F&& f) {
  auto ignore = [](const std::string&, auto&) {};
  m.visit(detail::Walker("", f, ignore));
}
/// Calls `f(path, module)` for the module itself (path "") and everything below it, parents first.
template <Module M, class F>
void for_each_module(M& m, F&& f) {
  auto ignore = [](const std::string&, auto&) {};
  f(std::string(), m);
  m.visit(detail::Walker("", ignore, f));
}
/// Calls `f(path, variable)` for every parameter.
template <Module M, class F>
void for_each_parameter(M& m, F&& f) {
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (detail::is_variable<X>) {
      static_assert(std::is_same_v<X, parameter_type_t<M>>,
                    "this module's parameters are not float on Cpu: declare `using parameter_type = "
                    "Variable<T, D>;` in it");
      f(path, x);
    }
  });
}
/// Calls `f(path, tensor)` for every buffer.
template <Module M, class F>
void for_each_buffer(M& m, F&& f) {
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (detail::is_tensor<X>) {
      static_assert(std::is_same_v<X, tensor_type_t<M>>,
                    "a buffer has the element type and device of the parameters");
      f(path, x);
    }
  });
}
/// Calls `f(path, stream)` for every random stream.
template <Module M, class F>
void for_each_random(M& m, F&& f) {
  for_each_member(m, [&](const std::string& path, auto& x) {
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(x)>, RandomStream>) f(path, x);
  });
}

/// (name, parameter) pairs: what optimisers take.
template <class V>
using NamedParameters = std::vector<std::pair<std::string, V>>;

/// All parameters with their names, in visiting order.
template <Module M>
NamedParameters<parameter_type_t<M>> named_parameters(M& m) {
  NamedParameters<parameter_type_t<M>> out;
  for_each_parameter(m, [&](const std::string& path, auto& p) { out.emplace_back(path, p); });
  return out;
}
/// All parameters, in visiting order.
template <Module M>
std::vector<parameter_type_t<M>> parameters(M& m) {
  std::vector<parameter_type_t<M>> out;
  for_each_parameter(m, [&](const std::string&, auto& p) { out.push_back(p); });
  return out;
}
/// All buffers with their names; the pointers are into the module.
template <Module M>
std::vector<std::pair<std::string, tensor_type_t<M>*>> named_buffers(M& m) {
  std::vector<std::pair<std::string, tensor_type_t<M>*>> out;
  for_each_buffer(m, [&](const std::string& path, auto& b) { out.emplace_back(path, &b); });
  return out;
}

/// Switches every layer between training and inference behaviour (dropout, batch norm).
template <Module M>
void set_training(M& m, bool on) {
  for_each_member(m, [&](const std::string& path, auto& x) {
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(x)>, bool>)
      if (path == "training" || path.ends_with(".training")) x = on;
  });
}
/// Whether gradients are computed for the parameters.
template <Module M>
void set_requires_grad(M& m, bool on) {
  for_each_parameter(m, [&](const std::string&, auto& p) { p.set_requires_grad(on); });
}
/// Takes a module out of training: no gradients, and batch norms run on their running statistics even while
/// the rest trains. `on = false` undoes it.
template <Module M>
void set_frozen(M& m, bool on) {
  set_requires_grad(m, !on);
  for_each_member(m, [&](const std::string& path, auto& x) {
    if constexpr (std::is_same_v<std::remove_reference_t<decltype(x)>, bool>)
      if (path == "frozen" || path.ends_with(".frozen")) x = on;
  });
}
template <Module M>
void zero_grad(M& m) {
  for_each_parameter(m, [](const std::string&, auto& p) { p.zero_grad(); });
}

}  // namespace kfer
