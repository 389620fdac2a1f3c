// The loops that define the product of two matrices.
#pragma once

#include "kfer/ops/matmul/matmul.hpp"

namespace kfer::reference {

template <FloatingElement T>
Tensor<T, Cpu> matmul(const Tensor<T, Cpu>& a, const Tensor<T, Cpu>& b, const MatmulOptions& options) {
  const auto [m, n, k] = detail::MatmulShape::of(a.shape(), b.shape(), options);
  const Tensor<T, Cpu> p = a.row_major(), q = b.row_major();
  Tensor<T, Cpu> y({m, n});
  T* out = y.mutable_data();
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      T sum = 0;
      for (std::int64_t l = 0; l < k; ++l)
        sum += p.data()[options.transpose_a ? l * m + i : i * k + l] *
               q.data()[options.transpose_b ? j * k + l : l * n + j];
      out[i * n + j] = sum;
    }
  return y;
}

}  // namespace kfer::reference
