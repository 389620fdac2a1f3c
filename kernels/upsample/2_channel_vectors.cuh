// Nearest-neighbour upsampling over NHWC, a thread a vector of channels.
//
// The one idea: a pixel's channels move together, so a thread takes 16 bytes of them and works out once where
// they go. Forward the threads are numbered along y, not x: then every store of a warp is contiguous, and the
// scale^2 reads of one vector fall to neighbours that find it in the caches. Backward they are numbered along
// dx, and a thread's scale^2 loads (all in flight when the scale is 2) are of pixels that no other thread
// reads. Blocks of 256 threads in a grid-stride loop. Bytes: (1 + scale^2) times x, and add, if there is one.
#pragma once

#include "../common/nhwc.cuh"

KFER_KERNELS_BEGIN

/// `grid` numbers the vectors of y, [images, height scale, width scale, groups].
template <class T, int N, class Index>
__global__ void __launch_bounds__(256)
    upsample_channels(const T* __restrict__ x, const T* __restrict__ add, T* __restrict__ y, Nhwc<Index> grid,
                      Divider<Index> scale, long long height, long long width, long long groups,
                      Index items) {
  for_each_item(items, [&](Index item) {
    const auto to = grid.place(item);
    Index rest;
    const Index h = scale.divide(static_cast<Index>(to.row), rest),
                w = scale.divide(static_cast<Index>(to.column), rest);
    Vec<T, N> v = load_vec<N>(x, ((to.image * height + h) * width + w) * groups + to.group);
    if (add) {
      const Vec<T, N> more = load_vec<N>(add, item);
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = narrow<T>(widen(v[k]) + widen(more[k]));
    }
    store_vec(y, item, v);
  });
}

/// `grid` numbers the vectors of dx. Known: the scale if it is known when compiling, else 0.
template <int Known, class T, int N, class Index>
__global__ void __launch_bounds__(256)
    upsample_channels_backward(const T* __restrict__ dy, T* __restrict__ dx, Nhwc<Index> grid, int scale,
                               long long height, long long width, long long groups, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    const auto from = grid.place(item);
    const int side = Known ? Known : scale;
    const long long row = width * side,
                    corner = (from.image * height + from.row) * side * row + from.column * side;
    A sum[N] = {};
    if constexpr (Known > 0) {
      Vec<T, N> g[Known][Known];
#pragma unroll
      for (int i = 0; i < Known; ++i)
#pragma unroll
        for (int j = 0; j < Known; ++j)
          g[i][j] = load_vec<N>(dy, (corner + i * row + j) * groups + from.group);
#pragma unroll
      for (int i = 0; i < Known; ++i)
#pragma unroll
        for (int j = 0; j < Known; ++j) add_to_sums(sum, g[i][j]);
    } else {
      for (int i = 0; i < side; ++i)
        for (int j = 0; j < side; ++j)
          add_to_sums(sum, load_vec<N>(dy, (corner + i * row + j) * groups + from.group));
    }
    store_sums(dx, item, sum);
  });
}

KFER_KERNELS_END
