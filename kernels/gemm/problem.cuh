// What every variant of the ladder computes, and how one element of the result ends.
#pragma once

#include "../common/grid.cuh"
#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// C [m, n] = epilogue(alpha op(A) op(B) + beta C), all matrices row-major, op(A) [m, k], op(B) [k, n].
/// The epilogue adds bias[column] and takes max(0, .), each if asked for. C is not read if beta is 0. C
/// overlaps neither A nor B.
template <class T>
struct Gemm {
  long long m = 0, n = 0, k = 0;
  const T* a = nullptr;  ///< [m, k], or [k, m] if transposed
  long long lda = 0;     ///< elements from a row of `a` to the next
  const T* b = nullptr;  ///< [k, n], or [n, k] if transposed
  long long ldb = 0;
  T* c = nullptr;
  long long ldc = 0;
  bool transpose_a = false, transpose_b = false;
  accum_t<T> alpha = 1, beta = 0;
  const T* bias = nullptr;  ///< [n], or null
  bool relu = false;
};

namespace detail {

template <class T>
__device__ inline accum_t<T> a_at(const Gemm<T>& g, long long i, long long l) {
  return widen(g.a[g.transpose_a ? l * g.lda + i : i * g.lda + l]);
}
template <class T>
__device__ inline accum_t<T> b_at(const Gemm<T>& g, long long l, long long j) {
  return widen(g.b[g.transpose_b ? j * g.ldb + l : l * g.ldb + j]);
}

/// The value of C's element (i, j), whose sum of products is `sum`.
template <class T>
__device__ inline T gemm_epilogue(const Gemm<T>& g, long long i, long long j, accum_t<T> sum) {
  accum_t<T> v = g.alpha * sum;
  if (g.beta != 0) v += g.beta * widen(g.c[i * g.ldc + j]);
  if (g.bias) v += widen(g.bias[j]);
  if (g.relu && v < 0) v = 0;  // a NaN stays
  return narrow<T>(v);
}

}  // namespace detail

KFER_KERNELS_END
