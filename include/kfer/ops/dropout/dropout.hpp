// Dropout (Srivastava et al., JMLR 2014), alone and behind a ReLU. No mask is stored: backward draws the same
// numbers again, or reads off the result's zeros what was dropped.
#pragma once

#include "kfer/autograd/variable.hpp"
#include "kfer/core/random.hpp"

namespace kfer {

/// The passes of a device and type:
///   forward(x, mask, relu) -> y          in the memory order of x
///   backward(dy, mask) -> dx             of dropout alone
///   relu_backward(y, dy, scale) -> dx    of ReLU and dropout: dy * scale where y > 0
template <FloatingElement T, class D>
struct dropout_impl;

namespace detail {
inline void check_dropout(const char* what, const DropoutMask& mask) {
  require(mask.p >= 0 && mask.p < 1, what, ": the probability must be in [0, 1), got ", mask.p);
}

template <FloatingElement T, class D>
struct DropoutBackward {
  DropoutMask mask;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    grads.add(0, dropout_impl<T, D>::backward(std::move(dy), mask));
  }
};

template <FloatingElement T, class D>
struct ReluDropoutBackward {
  float scale;
  Tensor<T, D> y;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    grads.add(0, dropout_impl<T, D>::relu_backward(y, std::move(dy), scale));
  }
};
}  // namespace detail

/// y = x / (1 - p) where the mask keeps an element, else 0. Any shape. Which elements are kept depends on the
/// mask alone, not on memory order, device or threads; see DropoutMask. Throws ValueError unless 0 <= p < 1.
template <FloatingElement T, class D>
Variable<T, D> dropout(const Variable<T, D>& x, const DropoutMask& mask) {
  detail::check_dropout("dropout", mask);
  return record(dropout_impl<T, D>::forward(x.value(), mask, false), {x},
                detail::DropoutBackward<T, D>{mask});
}

/// dropout(relu(x)) in one pass.
template <FloatingElement T, class D>
Variable<T, D> relu_dropout(const Variable<T, D>& x, const DropoutMask& mask) {
  detail::check_dropout("relu_dropout", mask);
  Tensor<T, D> y = dropout_impl<T, D>::forward(x.value(), mask, true);
  return record(y, {x}, detail::ReluDropoutBackward<T, D>{mask.scale(), y});
}

}  // namespace kfer
