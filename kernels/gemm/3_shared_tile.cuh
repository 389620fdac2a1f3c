// GEMM by tiles in shared memory: what a block needs of A and B is read once from device memory.
//
// Launch: blocks of 32 x 32 threads, a block a tile of 32 x 32 of C, a thread an element of it.
// A step along k brings a 32 x 32 tile of A and one of B to shared memory, 2048 elements for 2 * 32^3 = 65536
// FLOP: 8 FLOP/byte in float, 32 times the naive figure; device memory reads each matrix n / 32 or m / 32
// times. Now shared memory is the limit: each multiplication still reads two words there. The 32 threads of a
// warp share one row of the A tile (a broadcast) and read one row of the B tile (32 banks, no conflict): two
// shared loads an FMA. Rows of the tiles are 33 words, so that a transposed operand, whose tile is written by
// columns, meets 32 banks as well. 1024 threads a block, 8.25 KiB: two blocks fill a multiprocessor.
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void __launch_bounds__(1024) gemm_shared_tile_kernel(Gemm<T> g, long long tiles_n) {
  using A = accum_t<T>;
  KFER_SHARED(A, a, [32][33]);  // [row][k]
  KFER_SHARED(A, b, [32][33]);  // [k][column]
  const int tx = static_cast<int>(threadIdx.x), ty = static_cast<int>(threadIdx.y);
  const long long i0 = blockIdx.x / tiles_n * 32, j0 = blockIdx.x % tiles_n * 32;
  A sum = 0;
  for (long long l0 = 0; l0 < g.k; l0 += 32) {
    // threadIdx.x runs along whichever direction is contiguous in memory.
    const int ai = g.transpose_a ? tx : ty, al = g.transpose_a ? ty : tx;
    const int bl = g.transpose_b ? tx : ty, bj = g.transpose_b ? ty : tx;
    a[ai][al] = i0 + ai < g.m && l0 + al < g.k ? detail::a_at(g, i0 + ai, l0 + al) : A(0);
    b[bl][bj] = l0 + bl < g.k && j0 + bj < g.n ? detail::b_at(g, l0 + bl, j0 + bj) : A(0);
    __syncthreads();
#pragma unroll
    for (int l = 0; l < 32; ++l) sum += a[ty][l] * b[l][tx];
    __syncthreads();
  }
  const long long i = i0 + ty, j = j0 + tx;
  if (i < g.m && j < g.n) g.c[i * g.ldc + j] = detail::gemm_epilogue(g, i, j, sum);
}

template <class T>
void gemm_shared_tile(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, 32), tiles = div_up(g.m, 32) * tiles_n;
  launch(gemm_shared_tile_kernel<T>, dim3(static_cast<unsigned>(tiles)), dim3(32, 32), 0, stream, g, tiles_n);
}

KFER_KERNELS_END
