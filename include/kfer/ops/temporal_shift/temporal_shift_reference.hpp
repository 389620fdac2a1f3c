// The loops that define the temporal shift.
#pragma once

#include "kfer/ops/temporal_shift/temporal_shift.hpp"

namespace kfer::reference {

template <FloatingElement T>
Tensor<T, Cpu> temporal_shift(const Tensor<T, Cpu>& input, std::int64_t segments, std::int64_t fold,
                              int step) {
  const Tensor<T, Cpu> x = input.row_major();
  const Shape& s = x.shape();
  const std::int64_t pixels = s[2] * s[3], frame = s[1] * pixels;
  Tensor<T, Cpu> y(s);
  T* out = y.mutable_data();
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    const std::int64_t c = i / pixels % s[1], t = i / frame % segments;
    const std::int64_t shift = c < fold ? step : c < 2 * fold ? -step : 0;
    out[i] = t + shift >= 0 && t + shift < segments ? x.data()[i + shift * frame] : T(0);
  }
  return y;
}

}  // namespace kfer::reference
