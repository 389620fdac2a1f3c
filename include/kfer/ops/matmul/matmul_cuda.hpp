// The product of two matrices on a GPU.
#pragma once

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/gemm/shipped.cuh"
#include "kfer/ops/matmul/matmul.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {

/// a [m, k] or [k, m], b [k, n] or [n, k], y [m, n], all row-major; y is not empty.
template <FloatingElement T, Gpu D>
void matmul_by_kernels(const MatmulShape& s, const Tensor<T, D>& a, const Tensor<T, D>& b,
                       const MatmulOptions& o, Tensor<T, D>& y) {
  kernels::gemm(kernels::Gemm<kernel_t<T>>{.m = s.m,
                                           .n = s.n,
                                           .k = s.k,
                                           .a = raw(a.data()),
                                           .lda = a.shape()[1],
                                           .b = raw(b.data()),
                                           .ldb = b.shape()[1],
                                           .c = raw(y.mutable_data()),
                                           .ldc = s.n,
                                           .transpose_a = o.transpose_a,
                                           .transpose_b = o.transpose_b},
                D::stream());
}

/// Who computes the product: the kernels, except for float and bfloat16 on Cuda (matmul_cublaslt.hpp).
template <FloatingElement T, Gpu D>
struct MatmulProduct {
  static void run(const MatmulShape& s, const Tensor<T, D>& a, const Tensor<T, D>& b, const MatmulOptions& o,
                  Tensor<T, D>& y) {
    matmul_by_kernels(s, a, b, o, y);
  }
};

}  // namespace detail

template <FloatingElement T, Gpu D>
struct matmul_impl<T, D> {
  static Tensor<T, D> run(const Tensor<T, D>& a, const Tensor<T, D>& b, const MatmulOptions& o) {
    const auto s = detail::MatmulShape::of(a.shape(), b.shape(), o);
    Tensor<T, D> y({s.m, s.n});
    if (y.numel()) detail::MatmulProduct<T, D>::run(s, a.row_major(), b.row_major(), o, y);
    return y;
  }
};

}  // namespace kfer

#if defined(__CUDACC__)
#include "kfer/ops/matmul/matmul_cublaslt.hpp"
#endif
