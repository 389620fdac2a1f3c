// launch(): a kernel over a grid, here and now, or recorded to be run later, again and again.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "machine.hpp"

namespace kfer::simt {

namespace detail {

/// Bytes of the parameters as CUDA lays them out: one after the other, each aligned.
template <class... P>
constexpr std::size_t parameter_bytes() {
  std::size_t bytes = 0;
  ((bytes = (bytes + alignof(P) - 1) / alignof(P) * alignof(P) + sizeof(P)), ...);
  return bytes;
}

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
  const std::tuple<P...> parameters(static_cast<P>(std::forward<A>(arguments))...);
  const auto run = [=] {
    detail::Machine::get().run(grid, block, shared_bytes,
                               [&] { std::apply([&](const P&... p) { kernel(p...); }, parameters); });
  };
  if (recording)
    recording->add(run);
  else
    run();
}

}  // namespace kfer::simt
