// Pooling over NHWC, a thread a vector of channels.
//
// The one idea: the channels of a pixel are neighbours and share their window, so a thread takes 16 bytes of
// them: one 16-byte access where the naive one makes four or eight, and one walk of the window, with its
// bounds and divisions (now by the multiplication of common/divide.cuh), for all of them. Launch: blocks of
// 256 threads striding over [pixels, channel vectors] of the result (forward) or of dx (backward). The
// backward passes gather, so that they are deterministic and write each element of dx once, zeros included.
//
// Bytes: max forward reads x and writes y and one byte of cell each; backward reads dy and the cells, writes
// dx. Average: the same without cells. Where windows overlap, the repeated reads come from the caches.
#pragma once

#include <limits>

#include "window.cuh"

KFER_KERNELS_BEGIN

template <class T, int N, class Cell, class Index>
__global__ void __launch_bounds__(256)
    max_pool_channels(const T* __restrict__ x, T* __restrict__ y, Cell* __restrict__ cells,
                      PoolWindows<Index> s, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto [n, i, j, group] = s.grid.place(item);
    const auto top = s.down.start(i), left = s.across.start(j);
    const auto u0 = top < 0 ? -top : 0, v0 = left < 0 ? -left : 0;
    A best[N];
    int from[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      best[k] = -std::numeric_limits<A>::infinity();
      from[k] = static_cast<int>(u0 * s.across.kernel + v0);
    }
    for (auto u = u0; u < s.down.kernel && top + u < s.down.size; ++u)
      for (auto v = v0; v < s.across.kernel && left + v < s.across.size; ++v) {
        const Vec<T, N> in = load_vec<N>(x, s.input(n, top + u, left + v, group));
#pragma unroll
        for (int k = 0; k < N; ++k) {
          const A value = widen(in[k]);
          const bool better = value > best[k] || value != value;
          best[k] = better ? value : best[k];
          from[k] = better ? static_cast<int>(u * s.across.kernel + v) : from[k];
        }
      }
    store_sums(y, item, best);
    if (cells) store_cells(cells, item, from);
  });
}

template <class T, int N, class Cell, class Index>
__global__ void __launch_bounds__(256)
    max_pool_channels_backward(const T* __restrict__ dy, const Cell* __restrict__ cells, T* __restrict__ dx,
                               PoolWindows<Index> s, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto pixel = s.grid.place(item);
    A sum[N] = {};
    s.for_each_window(pixel.row, pixel.column, [&](auto i, auto j) {
      const auto u = pixel.row - s.down.start(i), v = pixel.column - s.across.start(j);
      const int mine = static_cast<int>(u * s.across.kernel + v);
      const long long at = s.output(pixel.image, i, j, pixel.group);
      int from[N];
      load_cells(cells, at, from);
      const Vec<T, N> g = load_vec<N>(dy, at);
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += from[k] == mine ? widen(g[k]) : A(0);
    });
    store_sums(dx, item, sum);
  });
}

template <class T, int N, class Index>
__global__ void __launch_bounds__(256)
    avg_pool_channels(const T* __restrict__ x, T* __restrict__ y, PoolWindows<Index> s, bool count_padding,
                      Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto [n, i, j, group] = s.grid.place(item);
    const auto top = s.down.start(i), left = s.across.start(j);
    A sum[N] = {};
    for (auto u = top < 0 ? -top : 0; u < s.down.kernel && top + u < s.down.size; ++u)
      for (auto v = left < 0 ? -left : 0; v < s.across.kernel && left + v < s.across.size; ++v)
        add_to_sums(sum, load_vec<N>(x, s.input(n, top + u, left + v, group)));
    const A share = A(1) / static_cast<A>(s.down.cells(i, count_padding) * s.across.cells(j, count_padding));
#pragma unroll
    for (int k = 0; k < N; ++k) sum[k] *= share;
    store_sums(y, item, sum);
  });
}

template <class T, int N, class Index>
__global__ void __launch_bounds__(256, 2)
    avg_pool_channels_backward(const T* __restrict__ dy, T* __restrict__ dx, PoolWindows<Index> s,
                               bool count_padding, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto pixel = s.grid.place(item);
    A sum[N] = {};
    s.for_each_window(pixel.row, pixel.column, [&](auto i, auto j) {
      const A share =
          A(1) / static_cast<A>(s.down.cells(i, count_padding) * s.across.cells(j, count_padding));
      const Vec<T, N> g = load_vec<N>(dy, s.output(pixel.image, i, j, pixel.group));
#pragma unroll
      for (int k = 0; k < N; ++k) sum[k] += widen(g[k]) * share;
    });
    store_sums(dx, item, sum);
  });
}

/// The mean over an image's pixels: a block for each tile of channels of an image, its rows of threads taking
/// turns at the pixels, four loads in flight each.
template <class T, int N>
__global__ void __launch_bounds__(256)
    global_avg_pool_channels(const T* __restrict__ x, T* __restrict__ y, long long pixels, long long groups,
                             long long tiles) {
  using A = accum_t<T>;
  const long long image = blockIdx.x / tiles, group = blockIdx.x % tiles * blockDim.x + threadIdx.x;
  A sum[N] = {};
  if (group < groups) {
#pragma unroll 4
    for (long long p = threadIdx.y; p < pixels; p += blockDim.y)
      add_to_sums(sum, load_vec<N>(x, (image * pixels + p) * groups + group));
  }
  add_rows(sum);
  if (threadIdx.y > 0 || group >= groups) return;
#pragma unroll
  for (int k = 0; k < N; ++k) sum[k] /= static_cast<A>(pixels);
  store_sums(y, image * groups + group, sum);
}

template <class T, int N, class Index>
__global__ void __launch_bounds__(256)
    global_avg_pool_channels_backward(const T* __restrict__ dy, T* __restrict__ dx, Nhwc<Index> grid,
                                      long long pixels, long long groups, Index items) {
  using A = accum_t<T>;
  const A share = A(1) / static_cast<A>(pixels);
  for_each_item(items, [&](Index item) {
    const auto p = grid.place(item);
    const Vec<T, N> g = load_vec<N>(dy, p.image * groups + p.group);
    Vec<T, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = narrow<T>(widen(g[k]) * share);
    store_vec(dx, item, out);
  });
}

KFER_KERNELS_END
