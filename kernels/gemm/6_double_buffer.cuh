// GEMM that fetches the next step while it multiplies this one.
//
// Launch and tiles as in 5_vectorised. The one change: two copies of the shared tiles. A step issues the
// loads of the next tiles into registers, multiplies the present ones (16 k: 1024 FMA a thread, 4096 clocks
// for the 16 resident warps' share of a multiprocessor, against some 800 clocks of latency), and only then
// stores the registers to the other copy: one barrier a step instead of two, and the latency of device memory
// is hidden by a block's own arithmetic. Costs 33 KiB of shared memory and 16 more live registers. This is
// the best of the portable ladder and the path of double: FP32 FMA units bound it, 67 TFLOP/s on an H200;
// past that only tensor cores go.
#pragma once

#include "tile.cuh"

KFER_KERNELS_BEGIN

template <class T, int Outer>
__global__ void __launch_bounds__(256, 2)
    gemm_double_buffer_kernel(Gemm<T> g, detail::Operand<T> op_a, detail::Operand<T> op_b, bool vectors_c,
                              long long tiles_n) {
  using S = detail::TileShape<T, Outer>;
  using Row = typename S::Row;
  KFER_SHARED(Row, a, [2][S::depth]);
  KFER_SHARED(Row, b, [2][S::depth]);
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16;
  const long long i0 = blockIdx.x / tiles_n * Outer, j0 = blockIdx.x % tiles_n * Outer;
  detail::ThreadTile<T, Outer> c;
  detail::StagedTile<T, Outer> next_a, next_b;
  next_a.load(op_a, i0, 0, t);
  next_b.load(op_b, j0, 0, t);
  next_a.store(a[0], op_a.k_contiguous, t);
  next_b.store(b[0], op_b.k_contiguous, t);
  __syncthreads();
  int now = 0;
  for (long long l = 0; l < g.k; l += S::depth) {
    const bool more = l + S::depth < g.k;
    if (more) {
      next_a.load(op_a, i0, l + S::depth, t);
      next_b.load(op_b, j0, l + S::depth, t);
    }
    c.multiply(a[now], b[now], tx, ty);
    now ^= 1;
    if (more) {  // the other copy's readers passed the barrier a step ago
      next_a.store(a[now], op_a.k_contiguous, t);
      next_b.store(b[now], op_b.k_contiguous, t);
    }
    __syncthreads();
  }
  c.store(g, vectors_c, i0, j0, tx, ty);
}

template <class T, int Outer = sizeof(T) == 8 ? 64 : 128>
void gemm_double_buffer(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  const long long tiles_n = div_up(g.n, Outer), tiles = div_up(g.m, Outer) * tiles_n;
  launch(gemm_double_buffer_kernel<T, Outer>, dim3(static_cast<unsigned>(tiles)), dim3(256), 0, stream, g,
         detail::Operand<T>::a(g), detail::Operand<T>::b(g), detail::vectors_c(g), tiles_n);
}

KFER_KERNELS_END
