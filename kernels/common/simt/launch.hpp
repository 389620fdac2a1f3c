// launch(): a kernel over a grid, here and now.
#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

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

/// Runs `kernel` on every thread of the grid before it returns. Parameters are copied, as a real launch does;
/// `stream` is of no account. Throws LaunchError on a shape that a GPU refuses, and Error on a bug that the
/// executor sees while the kernel runs.
template <class... P, class... A>
void launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, void* /*stream*/,
            A&&... arguments) {
  static_assert((std::is_trivially_copyable_v<P> && ...), "a kernel's parameters are copied byte by byte");
  static_assert(detail::parameter_bytes<P...>() <= 32764,
                "a kernel takes at most 32,764 bytes of parameters");
  const std::tuple<P...> parameters(static_cast<P>(std::forward<A>(arguments))...);
  detail::Machine::get().run(grid, block, shared_bytes,
                             [&] { std::apply([&](const P&... p) { kernel(p...); }, parameters); });
}

}  // namespace kfer::simt
