// Sums over all images and pixels: the gradient of a convolution's bias.
#pragma once

#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer::detail {

/// [N, C, H, W] -> [C], each row of pixels summed in T and the rows in double.
template <FloatingElement T>
Tensor<T, Cpu> channel_sums(const Tensor<T, Cpu>& dy) {
  Tensor<T, Cpu> sums({dy.size(1)});
  const Tensor<T, Cpu> g = dy.row_major();
  const std::int64_t channels = g.size(1), pixels = g.size(2) * g.size(3);
  parallel_for(channels, [&, to = sums.mutable_data()](std::int64_t c) {
    double sum = 0;
    for (std::int64_t n = 0; n < g.size(0); ++n) {
      const T* plane = g.data() + (n * channels + c) * pixels;
      T part = 0;
#pragma omp simd reduction(+ : part)
      for (std::int64_t i = 0; i < pixels; ++i) part += plane[i];
      sum += part;
    }
    to[c] = static_cast<T>(sum);
  });
  return sums;
}

}  // namespace kfer::detail
