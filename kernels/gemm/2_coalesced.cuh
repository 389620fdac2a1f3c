// GEMM, a thread an element of C, and the threads of a warp along a row.
//
// Launch: blocks of 32 x 8 threads, a block 8 rows and 32 columns of C.
// The one change to 1_naive: neighbouring threads have neighbouring columns. A warp's step along k then reads
// one element of A (a broadcast) and 32 neighbours in a row of B (four sectors of 32 bytes, all used), and
// its write of C is one line: 160 bytes instead of 1056 a step. Still two loads for each multiplication, so
// the load units, not the FMA units, are busy: at best half an FMA a clock where the hardware has a whole
// one. (With op(B) transposed it is the columns of B that are strided; only tiles cure that.)
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void gemm_coalesced_kernel(Gemm<T> g, long long tiles_n) {
  const long long i = blockIdx.x / tiles_n * 8 + threadIdx.y, j = blockIdx.x % tiles_n * 32 + threadIdx.x;
  if (i >= g.m || j >= g.n) return;
  accum_t<T> sum = 0;
  for (long long l = 0; l < g.k; ++l) sum += detail::a_at(g, i, l) * detail::b_at(g, l, j);
  g.c[i * g.ldc + j] = detail::gemm_epilogue(g, i, j, sum);
}

template <class T>
void gemm_coalesced(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, 32), tiles = div_up(g.m, 8) * tiles_n;
  launch(gemm_coalesced_kernel<T>, dim3(static_cast<unsigned>(tiles)), dim3(32, 8), 0, stream, g, tiles_n);
}

KFER_KERNELS_END
