// GEMM whose every access is 16 bytes wide: loads, shared memory and stores.
//
// Launch: blocks of 256 threads, a block a tile of 128 x 128 of C (64 x 64 in double), a thread 8 x 8 (4 x 4)
// elements in pieces of 16 bytes. The idea: shared tiles lie with k slowest, so that the 8 rows of A that a
// thread needs are two loads of four words, as its 8 columns of B are; the matrix whose rows run along k is
// transposed on its way in. A step of one k: 4 shared loads (of 16 bytes) for 64 FMA.
// In float: a step moves 2 * 128 * 16 * 4 = 16 KiB for 2 * 128 * 128 * 16 = 524288 FLOP, 32 FLOP/byte from
// device memory. A warp's reads of one k: A two addresses a load (a broadcast), B sixteen 16-byte words, two
// wavefronts; 6 wavefronts for the 16 clocks that 64 FMA of a warp take a multiprocessor (128 lanes): shared
// memory is busy 3/8 of the time, no longer the limit. The transposing store meets 2 lanes a bank. 16.5 KiB
// of shared memory; at most 128 registers, so two blocks, 16 warps, are resident. What is left is waiting: a
// step's loads are not in flight while the last one is multiplied.
#pragma once

#include "tile.cuh"

KFER_KERNELS_BEGIN

template <class T, int Outer>
__global__ void __launch_bounds__(256, 2)
    gemm_vectorised_kernel(Gemm<T> g, detail::Operand<T> op_a, detail::Operand<T> op_b, bool vectors_c,
                           long long tiles_n) {
  using S = detail::TileShape<T, Outer>;
  using Row = typename S::Row;
  KFER_SHARED(Row, a, [S::depth]);
  KFER_SHARED(Row, b, [S::depth]);
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16;
  const long long i0 = blockIdx.x / tiles_n * Outer, j0 = blockIdx.x % tiles_n * Outer;
  detail::ThreadTile<T, Outer> c;
  for (long long l = 0; l < g.k; l += S::depth) {
    detail::StagedTile<T, Outer> next_a, next_b;
    next_a.load(op_a, i0, l, t);
    next_b.load(op_b, j0, l, t);
    __syncthreads();  // the last step's readers are done
    next_a.store(a, op_a.k_contiguous, t);
    next_b.store(b, op_b.k_contiguous, t);
    __syncthreads();
    c.multiply(a, b, tx, ty);
  }
  c.store(g, vectors_c, i0, j0, tx, ty);
}

template <class T, int Outer = sizeof(T) == 8 ? 64 : 128>
void gemm_vectorised(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, Outer), tiles = div_up(g.m, Outer) * tiles_n;
  launch(gemm_vectorised_kernel<T, Outer>, dim3(static_cast<unsigned>(tiles)), dim3(256), 0, stream, g,
         detail::Operand<T>::a(g), detail::Operand<T>::b(g), detail::vectors_c(g), tiles_n);
}

KFER_KERNELS_END
