// The loops that define nearest-neighbour upsampling.
#pragma once

#include "kfer/ops/upsample/upsample.hpp"

namespace kfer::reference {

/// Calls `visit(y_index, x_index)` for every element of y, both in row-major order; x is [N, C, h, w].
template <class Visit>
void upsample_pairs(const Shape& x, std::int64_t scale, const Visit& visit) {
  const std::int64_t h = x[2], w = x[3];
  for (std::int64_t plane = 0; plane < x[0] * x[1]; ++plane)
    for (std::int64_t i = 0; i < h * scale; ++i)
      for (std::int64_t j = 0; j < w * scale; ++j)
        visit((plane * h * scale + i) * w * scale + j, (plane * h + i / scale) * w + j / scale);
}

template <FloatingElement T>
Tensor<T, Cpu> upsample_forward(const Tensor<T, Cpu>& input, std::int64_t scale) {
  const Tensor<T, Cpu> x = input.row_major();
  const Shape& s = x.shape();
  Tensor<T, Cpu> y({s[0], s[1], s[2] * scale, s[3] * scale});
  T* out = y.mutable_data();
  upsample_pairs(s, scale, [&](auto iy, auto ix) { out[iy] = x.data()[ix]; });
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> upsample_backward(const Tensor<T, Cpu>& grad, std::int64_t scale) {
  const Tensor<T, Cpu> dy = grad.row_major();
  const Shape& s = dy.shape();
  auto dx = zeros<T, Cpu>({s[0], s[1], s[2] / scale, s[3] / scale});
  T* d = dx.mutable_data();
  upsample_pairs(dx.shape(), scale, [&](auto iy, auto ix) { d[ix] += dy.data()[iy]; });
  return dx;
}

}  // namespace kfer::reference
