// The product of two matrices on a GPU.
#pragma once

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/gemm/shipped.cuh"
#include "kfer/ops/matmul/matmul.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

/// By the kernels of kernels/gemm; float and bfloat16 on Cuda have a specialisation of their own.
template <FloatingElement T, Gpu D>
struct matmul_impl<T, D> {
  static Tensor<T, D> run(const Tensor<T, D>& a, const Tensor<T, D>& b, const MatmulOptions& o) {
    const auto [m, n, k] = detail::MatmulShape::of(a.shape(), b.shape(), o);
    const Tensor<T, D> p = a.row_major(), q = b.row_major();
    Tensor<T, D> y({m, n});
    kernels::gemm(kernels::Gemm<detail::kernel_t<T>>{.m = m,
                                                     .n = n,
                                                     .k = k,
                                                     .a = detail::raw(p.data()),
                                                     .lda = p.shape()[1],
                                                     .b = detail::raw(q.data()),
                                                     .ldb = q.shape()[1],
                                                     .c = detail::raw(y.mutable_data()),
                                                     .ldc = n,
                                                     .transpose_a = o.transpose_a,
                                                     .transpose_b = o.transpose_b},
                  D::stream());
    return y;
  }
};

}  // namespace kfer

#if defined(__CUDACC__)
#include "kfer/ops/matmul/matmul_cublaslt.hpp"
#endif
