// GEMM with a tile of C in each thread's registers: what a thread reads from shared memory it uses several
// times.
//
// Launch: blocks of 16 x 16 threads, a block a tile of 64 x 64 of C, a thread 4 x 4 elements of it, 16 apart
// in both directions so that the reads of neighbours are neighbours.
// A step of one k costs a thread 4 + 4 shared loads for 16 FMA: half a load an FMA, a quarter of what
// 3_shared_tile needs. The block's tiles are 64 wide: 2 * 64 * 64 / (4 * 128) = 16 FLOP/byte from device
// memory in float. Shared memory: 64 * 17 + 16 * 65 words, 8.3 KiB. With 48 registers a thread five
// blocks, 1280 threads, are resident, and 16 independent sums hide the latency of the FMA (4 clocks) at 8
// warps.
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void __launch_bounds__(256) gemm_register_tile_kernel(Gemm<T> g, long long tiles_n) {
  using A = accum_t<T>;
  constexpr int tile = 64, depth = 16, per_thread = 4;
  KFER_SHARED(A, a, [64][17]);  // [row][k]
  KFER_SHARED(A, b, [16][65]);  // [k][column]
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y), t = ty * 16 + tx;
  const long long i0 = blockIdx.x / tiles_n * tile, j0 = blockIdx.x % tiles_n * tile;
  A sum[per_thread][per_thread] = {};
  for (long long l0 = 0; l0 < g.k; l0 += depth) {
#pragma unroll
    for (int e = t; e < tile * depth; e += 256) {
      const int ai = g.transpose_a ? e % tile : e / depth, al = g.transpose_a ? e / tile : e % depth;
      const int bl = g.transpose_b ? e % depth : e / tile, bj = g.transpose_b ? e / depth : e % tile;
      a[ai][al] = i0 + ai < g.m && l0 + al < g.k ? detail::a_at(g, i0 + ai, l0 + al) : A(0);
      b[bl][bj] = l0 + bl < g.k && j0 + bj < g.n ? detail::b_at(g, l0 + bl, j0 + bj) : A(0);
    }
    __syncthreads();
#pragma unroll
    for (int l = 0; l < depth; ++l) {
      A x[per_thread], y[per_thread];
#pragma unroll
      for (int p = 0; p < per_thread; ++p) {
        x[p] = a[ty + 16 * p][l];
        y[p] = b[l][tx + 16 * p];
      }
#pragma unroll
      for (int p = 0; p < per_thread; ++p)
#pragma unroll
        for (int q = 0; q < per_thread; ++q) sum[p][q] += x[p] * y[q];
    }
    __syncthreads();
  }
#pragma unroll
  for (int p = 0; p < per_thread; ++p)
#pragma unroll
    for (int q = 0; q < per_thread; ++q) {
      const long long i = i0 + ty + 16 * p, j = j0 + tx + 16 * q;
      if (i < g.m && j < g.n) g.c[i * g.ldc + j] = detail::gemm_epilogue(g, i, j, sum[p][q]);
    }
}

template <class T>
void gemm_register_tile(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, 64), tiles = div_up(g.m, 64) * tiles_n;
  launch(gemm_register_tile_kernel<T>, dim3(static_cast<unsigned>(tiles)), dim3(16, 16), 0, stream, g,
         tiles_n);
}

KFER_KERNELS_END
