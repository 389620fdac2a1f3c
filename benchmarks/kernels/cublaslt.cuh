// cuBLASLt as the kernels' products state theirs, and the ceiling that products are judged by. Programs that
// include it call bench::use_stream(...) before they make their Suite.
#pragma once

#if defined(__CUDACC__)

#include "bench.cuh"
#include "kfer/device/cublaslt.hpp"
#include "kfer/kernels/gemm/problem.cuh"

namespace bench {

/// The product, in TF32 if `tf32` and T is float.
template <class T>
void cublaslt_product(const kfer::kernels::Gemm<T>& g, bool tf32) {
  using E = std::conditional_t<std::is_same_v<T, float>, float, kfer::bfloat16>;
  kfer::Cuda::math().strict_fp32 = !tf32;
  kfer::cublaslt::matmul<E>({.m = g.m,
                             .n = g.n,
                             .k = g.k,
                             .a = reinterpret_cast<const E*>(g.a),
                             .lda = g.lda,
                             .b = reinterpret_cast<const E*>(g.b),
                             .ldb = g.ldb,
                             .c = reinterpret_cast<E*>(g.c),
                             .ldc = g.ldc,
                             .transpose_a = g.transpose_a,
                             .transpose_b = g.transpose_b});
}

/// Sets the ceiling: a product of 8192 x 8192 matrices in bf16, of random numbers, whose power draw is that
/// of real ones.
inline void measure_flop_ceiling(Suite& suite) {
  constexpr long long n = 8192;
  const auto a = random<bf16>(n * n, 1), b = random<bf16>(n * n, 2);
  const Array<bf16> c(n * n);
  const kfer::kernels::Gemm<bf16> g{
      .m = n, .n = n, .k = n, .a = a.data(), .lda = n, .b = b.data(), .ldb = n, .c = c.data(), .ldc = n};
  suite.set_flop_ceiling(2.0 * n * n * n / suite.time([&] { cublaslt_product(g, true); }, {}));
  std::printf("FLOP ceiling %.0f TFLOP/s\n", suite.flop_ceiling() / 1e12);
}

}  // namespace bench

#endif
