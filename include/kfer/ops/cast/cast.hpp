// The change of element type as an operation: where a network computes in bfloat16 and a part of it in float.
#pragma once

#include <concepts>
#include <tuple>
#include <utility>
#include <vector>

#include "kfer/autograd/variable.hpp"
#include "kfer/device/captured_graph.hpp"

namespace kfer {

namespace detail {
template <FloatingElement U, FloatingElement T, class D>
struct CastBackward {
  void operator()(const Tensor<U, D>& dy, InputGrads<T, D>& grads) { grads.add(0, kfer::cast<T>(dy)); }
};

/// x in bfloat16. On devices that capture, a parameter in training keeps it: the optimiser's step rounds in
/// the same pass. What is made while capturing is not kept: nothing has run yet.
template <FloatingElement T, class D>
Tensor<bfloat16, D> rounded_value(const Variable<T, D>& x) {
  if (const auto* kept = x.rounded()) return *kept;
  auto rounded = kfer::cast<bfloat16>(x.value());
  if constexpr (Capturing<D>)
    if (x.is_leaf() && will_record(x) && !D::capturing()) x.keep_rounded(rounded);
  return rounded;
}
}  // namespace detail

/// x as elements of U, in x's memory order; the gradient is cast back to T. Rounds to the nearest, ties to
/// even. x itself if U is T.
template <FloatingElement U, FloatingElement T, class D>
Variable<U, D> cast(const Variable<T, D>& x) {
  if constexpr (std::same_as<U, T>)
    return x;
  else if constexpr (std::same_as<U, bfloat16>)
    return record(detail::rounded_value(x), std::tuple(std::vector{x}), detail::CastBackward<U, T, D>{});
  else
    return record(kfer::cast<U>(x.value()), std::tuple(std::vector{x}), detail::CastBackward<U, T, D>{});
}

}  // namespace kfer
