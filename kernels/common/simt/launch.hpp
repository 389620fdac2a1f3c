// launch(): a kernel over a grid, here and now, or recorded to be run later, again and again.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "grid.hpp"

namespace kfer::simt {

namespace detail {

/// Bytes of the parameters as CUDA lays them out: one after the other, each aligned.
template <class... P>
constexpr std::size_t parameter_bytes() {
  std::size_t bytes = 0;
  ((bytes = (bytes + alignof(P) - 1) / alignof(P) * alignof(P) + sizeof(P)), ...);
  return bytes;
}

template <class... P>
class BoundKernel final : public Kernel {
 public:
  template <class... A>
  explicit BoundKernel(void (*function)(P...), A&&... arguments)
      : function_(function), parameters_(static_cast<P>(std::forward<A>(arguments))...) {}

  void operator()() const override { call(std::index_sequence_for<P...>{}); }

 private:
  template <std::size_t... I>
  __attribute__((always_inline)) void call(std::index_sequence<I...>) const {
    function_(std::get<I>(parameters_)...);
  }

  void (*function_)(P...);
  std::tuple<P...> parameters_;
};

}  // namespace detail

/// Launches that were recorded instead of run: what a CUDA graph is to a GPU. A kernel keeps the parameters
/// of its launch, addresses among them.
class Recording {
 public:
  void add(std::function<void()> work) { work_.push_back(std::move(work)); }
  void replay() const {
    for (const auto& work : work_) work();
  }

 private:
  std::vector<std::function<void()>> work_;
};

/// Runs `kernel` on every thread of the grid before it returns; or adds it to `recording`, if there is one.
/// Parameters are copied, as a real launch does. Throws LaunchError on a shape that a GPU refuses, and Error
/// on a bug that the executor sees while the kernel runs.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, Recording* recording,
            A&&... arguments) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "a kernel's parameters are copied byte by byte");
  static_assert(detail::parameter_bytes<P...>() <= 32764,
                "a kernel takes at most 32,764 bytes of parameters");
  const detail::BoundKernel<P...> bound(kernel, std::forward<A>(arguments)...);
  if (recording)
    recording->add([=] { detail::Machine::get().run(grid, block, shared_bytes, bound); });
  else
    detail::Machine::get().run(grid, block, shared_bytes, bound);
}

}  // namespace kfer::simt
