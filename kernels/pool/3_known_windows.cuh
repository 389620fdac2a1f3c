// Maximum pooling over NHWC where the window is known when compiling.
//
// The one idea: a loop over a window of unknown extent has one load in flight, for the next one waits for its
// bounds. With K known, all K x K loads are issued before the first comparison (2 x 2: four, 3 x 3: nine
// times 16 bytes a thread), and nothing of the walk is left at run time but the edges. Backward of 2 x 2
// windows at stride 2 turns round: they do not overlap, so a thread takes a window, reads its gradient and
// cells once, and writes its four pixels; the gather reads them four times. Launch and bytes as in
// 2_channel_vectors.cuh.
#pragma once

#include "2_channel_vectors.cuh"

KFER_KERNELS_BEGIN

/// Windows of K x K cells at any stride and padding.
template <int K, class T, int N, class Cell, class Index>
__global__ void __launch_bounds__(256, 2)
    max_pool_known(const T* __restrict__ x, T* __restrict__ y, Cell* __restrict__ cells, PoolWindows<Index> s,
                   Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto [n, i, j, group] = s.grid.place(item);
    const auto top = s.down.start(i), left = s.across.start(j);
    const long long corner = s.input(n, top, left, group), row = s.across.size * s.groups;
    Vec<T, N> in[K][K];
    bool inside[K][K];
#pragma unroll
    for (int u = 0; u < K; ++u)
#pragma unroll
      for (int v = 0; v < K; ++v) {
        inside[u][v] = top + u >= 0 && top + u < s.down.size && left + v >= 0 && left + v < s.across.size;
        if (inside[u][v]) in[u][v] = load_vec<N>(x, corner + u * row + v * s.groups);
      }
    Vec<T, N> out;
    int from[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      A best = -std::numeric_limits<A>::infinity();
      from[k] = -1;
#pragma unroll
      for (int u = 0; u < K; ++u)
#pragma unroll
        for (int v = 0; v < K; ++v) {
          if (!inside[u][v]) continue;
          const A value = widen(in[u][v][k]);
          const bool better = from[k] < 0 || value > best || value != value;
          best = better ? value : best;
          from[k] = better ? u * K + v : from[k];
        }
      out[k] = narrow<T>(best);
    }
    store_vec(y, item, out);
    if (cells) store_cells(cells, item, from);
  });
}

/// Backward of 2 x 2 windows at stride 2 without padding. Items are the windows and what is left of one at
/// the right and lower edge of an odd image, whose pixels get zeros: `s.grid` is [ceil(h / 2), ceil(w / 2)].
template <class T, int N, class Cell, class Index>
__global__ void __launch_bounds__(256)
    max_pool_tiles_backward(const T* __restrict__ dy, const Cell* __restrict__ cells, T* __restrict__ dx,
                            PoolWindows<Index> s, Index items) {
  for_each_item(items, [&](Index item) {
    const auto [n, i, j, group] = s.grid.place(item);
    Vec<T, N> g;
    int from[N];
#pragma unroll
    for (int k = 0; k < N; ++k) from[k] = -1;
    if (i < s.down.windows && j < s.across.windows) {
      const long long at = s.output(n, i, j, group);
      load_cells(cells, at, from);
      g = load_vec<N>(dy, at);
    }
#pragma unroll
    for (int u = 0; u < 2; ++u)
#pragma unroll
      for (int v = 0; v < 2; ++v) {
        if (2 * i + u >= s.down.size || 2 * j + v >= s.across.size) continue;
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; ++k) out[k] = from[k] == 2 * u + v ? g[k] : narrow<T>(0);
        store_vec(dx, s.input(n, 2 * i + u, 2 * j + v, group), out);
      }
  });
}

KFER_KERNELS_END
