// Reductions over the contiguous dimension of [rows, cols], 16 bytes a load and several loads on the way.
//
// Two shapes of work. Long rows: a block takes a piece of a row, each thread sums its vectors lane by lane in
// registers, U loads at a time, and the block joins by shuffles; pieces are joined by a second launch. Short
// rows: 2^k lanes of a warp take a row, so that a row of 49 elements does not keep 256 threads. Piece lengths
// depend on the shape alone, so the bits are the same on every device. Moves each element once: the floor is
// rows cols sizeof(T) bytes.
#pragma once

#include "../common/grid.cuh"
#include "../common/reduce.cuh"
#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// What leaves the other operand of Op alone.
template <class Op>
struct Identity;
template <>
struct Identity<Sum> {
  template <class A>
  __host__ __device__ static A value() {
    return A(0);
  }
};
template <>
struct Identity<Max> {
  template <class A>
  __host__ __device__ static A value() {
    return -A(1) / A(0);
  }
};

namespace detail {
/// Op over N lanes.
template <class Op, class A, int N>
__device__ inline A join_lanes(Op op, const A (&lane)[N]) {
  A all = lane[0];
#pragma unroll
  for (int k = 1; k < N; ++k) all = op(all, lane[k]);
  return all;
}
}  // namespace detail

/// Block b of the grid takes elements [p piece, (p + 1) piece) of row r, (r, p) = (b / pieces, b % pieces),
/// and leaves factor * their reduction in y[b]. For N > 1 rows start at multiples of N elements, x aligned to
/// them too, and `piece` is a multiple of N. Blocks of whole warps.
template <class Op, int N, int U, class In, class Out>
__global__ void __launch_bounds__(256)
    reduce_rows_block(const In* __restrict__ x, Out* __restrict__ y, long long cols, long long piece,
                      unsigned pieces, accum_t<In> factor) {
  using A = accum_t<In>;
  constexpr Op op{};
  A lane[N];
#pragma unroll
  for (int k = 0; k < N; ++k) lane[k] = Identity<Op>::template value<A>();
  const long long row = blockIdx.x / pieces, begin = blockIdx.x % pieces * piece;
  const long long end = begin + piece < cols ? begin + piece : cols, n = end - begin, vectors = n / N;
  x += row * cols + begin;
  long long i = threadIdx.x;
  for (; i + (U - 1) * static_cast<long long>(blockDim.x) < vectors;
       i += U * static_cast<long long>(blockDim.x)) {
    Vec<In, N> v[U];
#pragma unroll
    for (int u = 0; u < U; ++u) v[u] = load_vec<N>(x, i + u * static_cast<long long>(blockDim.x));
#pragma unroll
    for (int u = 0; u < U; ++u)
#pragma unroll
      for (int k = 0; k < N; ++k) lane[k] = op(lane[k], widen(v[u][k]));
  }
  for (; i < vectors; i += blockDim.x) {
    const Vec<In, N> v = load_vec<N>(x, i);
#pragma unroll
    for (int k = 0; k < N; ++k) lane[k] = op(lane[k], widen(v[k]));
  }
  if (const long long rest = vectors * N + threadIdx.x; rest < n) lane[0] = op(lane[0], widen(x[rest]));
  const A all = block_reduce(detail::join_lanes(op, lane), op, Identity<Op>::template value<A>());
  if (threadIdx.x == 0) y[blockIdx.x] = narrow<Out>(all * factor);
}

/// `group` lanes (a power of two, at most 32) take a row: y[r] = factor * the reduction of row r. For N > 1,
/// cols is a multiple of N and x aligned to N elements. Blocks of whole warps, any grid.
template <class Op, int N, class In, class Out>
__global__ void __launch_bounds__(256)
    reduce_rows_group(const In* __restrict__ x, Out* __restrict__ y, long long rows, long long cols,
                      unsigned group, accum_t<In> factor) {
  using A = accum_t<In>;
  constexpr Op op{};
  const unsigned member = threadIdx.x % group;
  const long long per_block = blockDim.x / group, vectors = cols / N;
  for (long long first = blockIdx.x * per_block; first < rows; first += gridDim.x * per_block) {
    const long long row = first + threadIdx.x / group;
    A lane[N];
#pragma unroll
    for (int k = 0; k < N; ++k) lane[k] = Identity<Op>::template value<A>();
    if (row < rows)
      for (long long i = member; i < vectors; i += group) {
        const Vec<In, N> v = load_vec<N>(x + row * cols, i);
#pragma unroll
        for (int k = 0; k < N; ++k) lane[k] = op(lane[k], widen(v[k]));
      }
    A all = detail::join_lanes(op, lane);
    for (unsigned other = group / 2; other > 0; other /= 2)
      all = op(all, __shfl_xor_sync(full_warp, all, static_cast<int>(other)));
    if (member == 0 && row < rows) y[row] = narrow<Out>(all * factor);
  }
}

KFER_KERNELS_END
