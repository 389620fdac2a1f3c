// The loops that define dropout.
#pragma once

#include "kfer/ops/dropout/dropout.hpp"

namespace kfer::reference {

/// Where element i (row-major) of a tensor of this shape stands in the order that dropout counts in.
inline std::int64_t dropout_index(const Shape& shape, std::int64_t i) {
  if (shape.rank() != 4) return i;
  const std::int64_t pixels = shape[2] * shape[3], channels = shape[1];
  return (i / (pixels * channels) * pixels + i % pixels) * channels + i / pixels % channels;
}

template <FloatingElement T>
Tensor<T, Cpu> dropout_forward(const Tensor<T, Cpu>& x, const DropoutMask& mask, bool relu) {
  Tensor<T, Cpu> y = x.row_major();
  T* out = y.mutable_data();
  for (std::int64_t i = 0, n = y.numel(); i < n; ++i) {
    if (relu && out[i] < T(0)) out[i] = T(0);
    const bool keep = mask.keeps(static_cast<std::uint64_t>(dropout_index(x.shape(), i)));
    out[i] = keep ? out[i] * T(mask.scale()) : T(0);
  }
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> relu_dropout_backward(const Tensor<T, Cpu>& y, const Tensor<T, Cpu>& dy, T scale) {
  Tensor<T, Cpu> dx = dy.row_major();
  const Tensor<T, Cpu> result = y.row_major();
  T* d = dx.mutable_data();
  for (std::int64_t i = 0, n = dx.numel(); i < n; ++i) d[i] = result.data()[i] > T(0) ? d[i] * scale : T(0);
  return dx;
}

}  // namespace kfer::reference
