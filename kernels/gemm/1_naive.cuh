// GEMM, a thread an element of C, and the threads of a warp down a column.
//
// Launch: blocks of 32 x 8 threads, a block 32 rows and 8 columns of C.
// Each thread reads a row of A and a column of B: 2 k elements for 2 k FLOP, 0.25 FLOP/byte in float if no
// cache helps, where an H200 needs about 67 TFLOP/s / 4.8 TB/s = 14 to keep its FP32 units busy. Worse, the
// 32 threads of a warp read 32 different rows of A: 32 sectors of 32 bytes for 128 bytes of use, and write C
// the same way. Never wins; it is the definition.
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void gemm_naive_kernel(Gemm<T> g, long long tiles_n) {
  const long long i = blockIdx.x / tiles_n * 32 + threadIdx.x, j = blockIdx.x % tiles_n * 8 + threadIdx.y;
  if (i >= g.m || j >= g.n) return;
  accum_t<T> sum = 0;
  for (long long l = 0; l < g.k; ++l) sum += detail::a_at(g, i, l) * detail::b_at(g, l, j);
  g.c[i * g.ldc + j] = detail::gemm_epilogue(g, i, j, sum);
}

template <class T>
void gemm_naive(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, 8), tiles = div_up(g.m, 32) * tiles_n;
  launch(gemm_naive_kernel<T>, dim3(static_cast<unsigned>(tiles)), dim3(32, 8), 0, stream, g, tiles_n);
}

KFER_KERNELS_END
