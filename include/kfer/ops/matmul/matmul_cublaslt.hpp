// The product of two matrices in float and bfloat16 by cuBLASLt; what the library has no algorithm for,
// kernels/gemm computes.
#pragma once

#if defined(__CUDACC__)  // the whole file: for other compilers, the Cuda backend means Simt

#include "kfer/device/cublaslt.hpp"
#include "kfer/ops/matmul/matmul_cuda.hpp"

namespace kfer::detail {

template <class T>
struct MatmulByCublaslt {
  using Tn = Tensor<T, Cuda>;
  static void run(const MatmulShape& s, const Tn& a, const Tn& b, const MatmulOptions& o, Tn& y) {
    const cublaslt::Matmul<T> product{.m = s.m,
                                      .n = s.n,
                                      .k = s.k,
                                      .a = a.data(),
                                      .lda = a.shape()[1],
                                      .b = b.data(),
                                      .ldb = b.shape()[1],
                                      .c = y.mutable_data(),
                                      .ldc = s.n,
                                      .transpose_a = o.transpose_a,
                                      .transpose_b = o.transpose_b};
    if (s.k == 0 || !cublaslt::try_matmul(product)) matmul_by_kernels(s, a, b, o, y);
  }
};

template <>
struct MatmulProduct<float, Cuda> : MatmulByCublaslt<float> {};
template <>
struct MatmulProduct<bfloat16, Cuda> : MatmulByCublaslt<bfloat16> {};

}  // namespace kfer::detail

#endif
