// Nearest-neighbour upsampling by a whole factor.
#pragma once

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// forward(x, scale) -> y in the memory order of x; backward(dy, scale) -> dx.
template <FloatingElement T, class D>
struct upsample_nearest_impl;

namespace detail {
template <FloatingElement T, class D>
struct UpsampleBackward {
  std::int64_t scale;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, upsample_nearest_impl<T, D>::backward(dy, scale));
  }
};
}  // namespace detail

/// y[n, c, i, j] = x[n, c, i / scale, j / scale]: [N, C, H, W] -> [N, C, scale H, scale W].
/// Throws ShapeError unless x has rank 4, ValueError unless scale is positive.
template <FloatingElement T, class D>
Variable<T, D> upsample_nearest(const Variable<T, D>& x, std::int64_t scale) {
  require<ShapeError>(x.shape().rank() == 4, "upsample_nearest: expected input [N, C, H, W], got ",
                      x.shape());
  require(scale >= 1, "upsample_nearest: the scale must be at least 1, got ", scale, " for input ",
          x.shape());
  return record(upsample_nearest_impl<T, D>::forward(x.value(), scale), {x},
                detail::UpsampleBackward<T, D>{scale});
}

}  // namespace kfer
