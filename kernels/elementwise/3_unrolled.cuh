// y[i] = f(x0[i], x1[i], ...), several independent vectors of 16 bytes a thread.
//
// Little's law: 4.8 TB/s with 600 to 800 ns of latency need some 3 MB on the way, 25 KB a multiprocessor. One
// vector a thread gives that only at full occupancy; U of them, all requested before the first is used, give
// it at a U-th. Neighbouring threads take neighbouring vectors in each of the U requests, so each stays
// coalesced.
#pragma once

#include "2_vectorised.cuh"

KFER_KERNELS_BEGIN

namespace detail {
/// A thread's U vectors of one operand, `blockDim.x` vectors apart.
template <class T, int N, int U>
struct MapTile {
  Vec<T, N> v[U];
};
template <int N, int U, class T>
__device__ inline MapTile<T, N, U> load_tile(const T* x, long long first) {
  MapTile<T, N, U> tile;
#pragma unroll
  for (int u = 0; u < U; ++u) tile.v[u] = load_vec<N>(x, first + u * static_cast<long long>(blockDim.x));
  return tile;
}
/// The tiles are arguments, so that all loads come before the first store.
template <int N, int U, class F, class Out, class... In>
__device__ inline void store_tile(const F& f, Out* y, long long first, const MapTile<In, N, U>&... x) {
#pragma unroll
  for (int u = 0; u < U; ++u)
    store_vec(y, first + u * static_cast<long long>(blockDim.x), map_vec<Out, N>(f, x.v[u]...));
}
}  // namespace detail

/// Any grid: blocks stride over tiles of blockDim.x * U vectors. Pointers are aligned to N elements. y may be
/// one of the operands.
template <int N, int U, class F, class Out, class... In>
__global__ void __launch_bounds__(256) map_unrolled(F f, long long n, Out* y, const In*... x) {
  const long long vectors = n / N, tile = static_cast<long long>(blockDim.x) * U;
  for (long long start = blockIdx.x * tile; start < vectors; start += gridDim.x * tile) {
    const long long first = start + threadIdx.x;
    if (start + tile <= vectors) {
      detail::store_tile<N, U>(f, y, first, detail::load_tile<N, U>(x, first)...);
    } else {
      for (long long i = first; i < vectors; i += blockDim.x)
        store_vec(y, i, detail::map_vec<Out, N>(f, load_vec<N>(x, i)...));
    }
  }
  detail::map_rest<N>(f, n, y, x...);
}

KFER_KERNELS_END
