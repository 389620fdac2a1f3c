// Nearest-neighbour upsampling on a GPU, in NHWC.
#pragma once

#include "kfer/kernels/upsample/shipped.cuh"
#include "kfer/ops/upsample/upsample.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct upsample_nearest_impl<T, D> {
  static Tensor<T, D> forward(const Tensor<T, D>& input, std::int64_t scale) {
    const Tensor<T, D> x = input.to(Layout::channels_last());
    const Shape& s = x.shape();
    Tensor<T, D> y({s[0], s[1], s[2] * scale, s[3] * scale}, Layout::channels_last());
    kernels::upsample_forward<detail::kernel_t<T>>(detail::raw(x.data()), nullptr,
                                                   detail::raw(y.mutable_data()), s[0], s[2], s[3], s[1],
                                                   scale, D::stream());
    return y;
  }
  static Tensor<T, D> backward(const Tensor<T, D>& grad, std::int64_t scale) {
    const Tensor<T, D> dy = grad.to(Layout::channels_last());
    const Shape& s = dy.shape();
    Tensor<T, D> dx({s[0], s[1], s[2] / scale, s[3] / scale}, Layout::channels_last());
    kernels::upsample_backward(detail::raw(dy.data()), detail::raw(dx.mutable_data()), s[0], s[2] / scale,
                               s[3] / scale, s[1], scale, D::stream());
    return dx;
  }
};

}  // namespace kfer
