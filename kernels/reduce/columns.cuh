// Reductions over the rows of [batch, rows, cols]: the gradient of a bias from NHWC, sums over the batch.
//
// Neighbouring threads take neighbouring columns, 16 bytes each, so that a warp reads whole lines; the
// block's second dimension and U loads a thread go down the rows. Each thread keeps one sum a column in
// registers, and the block joins them in shared memory once, at the end. Where there are few columns, many
// blocks share the rows, and a second launch joins their partial results: no atomics, the same bits every
// time and on every device. Moves each element once: the floor is batch rows cols sizeof(T) bytes.
#pragma once

#include "4_vectorised.cuh"

KFER_KERNELS_BEGIN

/// Blocks of 256 threads as [256 / width][width]. Block (t + tiles b, s) takes columns [t width N, ...) and
/// rows [s piece, ...) of batch b; its result goes to y[b, s, columns], times factor. For N > 1, cols is a
/// multiple of N and x and y are aligned to N elements.
template <class Op, int N, int U, class In, class Out>
__global__ void __launch_bounds__(256)
    reduce_columns(const In* __restrict__ x, Out* __restrict__ y, long long rows, long long cols,
                   long long piece, unsigned tiles, accum_t<In> factor) {
  using A = accum_t<In>;
  constexpr Op op{};
  KFER_SHARED(A, shared, [N][256]);  // by lane first: neighbouring threads, neighbouring banks
  const long long batch = blockIdx.x / tiles, vectors = cols / N;
  const long long column = static_cast<long long>(blockIdx.x % tiles) * blockDim.x + threadIdx.x;
  const long long begin = blockIdx.y * piece, end = begin + piece < rows ? begin + piece : rows;
  A sum[N];
#pragma unroll
  for (int k = 0; k < N; ++k) sum[k] = Identity<Op>::template value<A>();
  if (column < vectors) {
    const In* from = x + batch * rows * cols;
    const long long step = blockDim.y;
    long long row = begin + threadIdx.y;
    for (; row + (U - 1) * step < end; row += U * step) {
      Vec<In, N> v[U];
#pragma unroll
      for (int u = 0; u < U; ++u) v[u] = load_vec<N>(from, (row + u * step) * vectors + column);
#pragma unroll
      for (int u = 0; u < U; ++u)
#pragma unroll
        for (int k = 0; k < N; ++k) sum[k] = op(sum[k], widen(v[u][k]));
    }
    for (; row < end; row += step) {
      const Vec<In, N> v = load_vec<N>(from, row * vectors + column);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] = op(sum[k], widen(v[k]));
    }
  }
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int k = 0; k < N; ++k) shared[k][thread] = sum[k];
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.y < half)
#pragma unroll
      for (int k = 0; k < N; ++k)
        shared[k][thread] = op(shared[k][thread], shared[k][thread + half * blockDim.x]);
  }
  if (threadIdx.y == 0 && column < vectors) {
    Vec<Out, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = narrow<Out>(shared[k][thread] * factor);
    Out* to = y + ((batch * gridDim.y + blockIdx.y) * vectors + column) * N;
#pragma unroll
    for (int k = 0; k < N; ++k) to[k] = out[k];
  }
}

KFER_KERNELS_END
