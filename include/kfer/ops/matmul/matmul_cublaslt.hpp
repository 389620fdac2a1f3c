// The product of two matrices in float and bfloat16 by cuBLASLt.
#pragma once

#include "kfer/device/cublaslt.hpp"
#include "kfer/ops/matmul/matmul.hpp"

namespace kfer {
namespace detail {

template <class T>
struct MatmulByCublaslt {
  static Tensor<T, Cuda> run(const Tensor<T, Cuda>& a, const Tensor<T, Cuda>& b, const MatmulOptions& o) {
    const auto [m, n, k] = MatmulShape::of(a.shape(), b.shape(), o);
    const Tensor<T, Cuda> p = a.row_major(), q = b.row_major();
    Tensor<T, Cuda> y({m, n});
    if (y.numel() == 0) return y;
    if (k == 0) {
      Cuda::set_zero(y.mutable_data(), static_cast<std::size_t>(y.numel()) * sizeof(T));
      return y;
    }
    cublaslt::matmul(cublaslt::Matmul<T>{.m = m,
                                         .n = n,
                                         .k = k,
                                         .a = p.data(),
                                         .lda = p.shape()[1],
                                         .b = q.data(),
                                         .ldb = q.shape()[1],
                                         .c = y.mutable_data(),
                                         .ldc = n,
                                         .transpose_a = o.transpose_a,
                                         .transpose_b = o.transpose_b});
    return y;
  }
};

}  // namespace detail

template <>
struct matmul_impl<float, Cuda> : detail::MatmulByCublaslt<float> {};
template <>
struct matmul_impl<bfloat16, Cuda> : detail::MatmulByCublaslt<bfloat16> {};

}  // namespace kfer
