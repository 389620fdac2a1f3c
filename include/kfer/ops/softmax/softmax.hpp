// Softmax and its logarithm along one dimension.
#pragma once

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// forward(x, dim, logarithm) -> y, row-major; backward(y, dy, dim, logarithm) -> dx.
template <FloatingElement T, class D>
struct softmax_impl;

namespace detail {
template <FloatingElement T, class D>
struct SoftmaxBackward {
  Tensor<T, D> y;
  std::size_t dim;
  bool logarithm;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, softmax_impl<T, D>::backward(y, dy, dim, logarithm));
  }
};

template <FloatingElement T, class D>
Variable<T, D> softmax(const char* what, const Variable<T, D>& x, std::int64_t dim, bool logarithm) {
  require<ShapeError>(x.shape().rank() >= 1, what, ": expected input of rank 1 or more, got ", x.shape());
  const std::size_t d = x.shape().dim(dim);
  Tensor<T, D> y = softmax_impl<T, D>::forward(x.value(), d, logarithm);
  return record(y, {x}, SoftmaxBackward<T, D>{y, d, logarithm});
}
}  // namespace detail

/// y = exp(x) / (sum of exp(x) along `dim`), without overflow. Any shape of rank 1 or more.
template <FloatingElement T, class D>
Variable<T, D> softmax(const Variable<T, D>& x, std::int64_t dim = -1) {
  return detail::softmax("softmax", x, dim, false);
}
/// y = x - log(sum of exp(x) along `dim`), without overflow. Any shape of rank 1 or more.
template <FloatingElement T, class D>
Variable<T, D> log_softmax(const Variable<T, D>& x, std::int64_t dim = -1) {
  return detail::softmax("log_softmax", x, dim, true);
}

}  // namespace kfer
