// The temporal shift on a GPU, in NHWC.
#pragma once

#include "kfer/kernels/temporal_shift/shipped.cuh"
#include "kfer/ops/temporal_shift/temporal_shift.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct temporal_shift_impl<T, D> {
  static Tensor<T, D> shift(const Tensor<T, D>& input, std::int64_t segments, std::int64_t fold, int step) {
    const Tensor<T, D> x = input.to(Layout::channels_last());
    const Shape& s = x.shape();
    Tensor<T, D> y(s, Layout::channels_last());
    kernels::temporal_shift(detail::raw(x.data()), detail::raw(y.mutable_data()), s[0], s[2] * s[3], s[1],
                            segments, fold, step, D::stream());
    return y;
  }
};

}  // namespace kfer
