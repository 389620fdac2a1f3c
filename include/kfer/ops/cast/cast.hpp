// The change of element type as an operation: where a network computes in bfloat16 and a part of it in float.
#pragma once

#include <concepts>
#include <tuple>
#include <utility>
#include <vector>

#include "kfer/autograd/variable.hpp"

namespace kfer {

namespace detail {
template <FloatingElement U, FloatingElement T, class D>
struct CastBackward {
  void operator()(const Tensor<U, D>& dy, InputGrads<T, D>& grads) { grads.add(0, kfer::cast<T>(dy)); }
};
}  // namespace detail

/// x as elements of U, in x's memory order; the gradient is cast back to T. Rounds to the nearest, ties to
/// even. x itself if U is T.
template <FloatingElement U, FloatingElement T, class D>
Variable<U, D> cast(const Variable<T, D>& x) {
  if constexpr (std::same_as<U, T>)
    return x;
  else
    return record(kfer::cast<U>(x.value()), std::tuple(std::vector{x}), detail::CastBackward<U, T, D>{});
}

}  // namespace kfer
