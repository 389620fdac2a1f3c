// Where the windows of a pooling lie.
#pragma once

#include "../common/nhwc.cuh"

KFER_KERNELS_BEGIN

/// All sizes of one pooling over [images, height, width, channels].
struct Pool2d {
  long long images, channels, height, width, out_height, out_width;
  long long kernel_height, kernel_width, stride_height, stride_width, padding_height, padding_width;
};

/// One axis of a pooling, for a thread.
template <class Coordinate>
struct PoolAxis {
  using Index = std::make_unsigned_t<Coordinate>;
  Coordinate size, windows, kernel, stride, padding;

  /// Where window i starts; before 0 in the padding.
  __device__ Coordinate start(Coordinate i) const { return i * stride - padding; }
  /// The windows [first, end) that cover position `at`.
  __device__ Coordinate first_window(Coordinate at) const {
    const Coordinate p = at + padding;
    return p < kernel ? 0 : (p - kernel) / stride + 1;
  }
  __device__ Coordinate end_window(Coordinate at) const {
    const Coordinate end = (at + padding) / stride + 1;
    return end < windows ? end : windows;
  }
  /// Cells of window i that count in an average: those inside, and with `padded` those of the padding too.
  __device__ Coordinate cells(Coordinate i, bool padded) const {
    const Coordinate begin = start(i), low = padded ? -padding : 0, high = padded ? size + padding : size,
                     end = begin + kernel;
    return (end < high ? end : high) - (begin > low ? begin : low);
  }
};

/// Both axes, and the way from an item number to its place in `grid`: y's in forward, dx's in backward.
template <class Index>
struct PoolWindows {
  using Coordinate = std::make_signed_t<Index>;
  PoolAxis<Coordinate> down, across;
  Nhwc<Index> grid;
  long long groups;

  PoolWindows(const Pool2d& s, long long g, bool over_output)
      : down{static_cast<Coordinate>(s.height), static_cast<Coordinate>(s.out_height),
             static_cast<Coordinate>(s.kernel_height), static_cast<Coordinate>(s.stride_height),
             static_cast<Coordinate>(s.padding_height)},
        across{static_cast<Coordinate>(s.width), static_cast<Coordinate>(s.out_width),
               static_cast<Coordinate>(s.kernel_width), static_cast<Coordinate>(s.stride_width),
               static_cast<Coordinate>(s.padding_width)},
        grid(over_output ? s.out_height : s.height, over_output ? s.out_width : s.width, g),
        groups(g) {}

  /// The vector of x at a pixel of image n; of y, dy and the cells at a window.
  __device__ long long input(Index n, Coordinate h, Coordinate w, Index group) const {
    return ((static_cast<long long>(n) * down.size + h) * across.size + w) * groups + group;
  }
  __device__ long long output(Index n, Coordinate i, Coordinate j, Index group) const {
    return ((static_cast<long long>(n) * down.windows + i) * across.windows + j) * groups + group;
  }
  /// Calls `f(i, j)` for every window that covers pixel (h, w).
  template <class F>
  __device__ void for_each_window(Coordinate h, Coordinate w, const F& f) const {
    const Coordinate i1 = down.end_window(h), j0 = across.first_window(w), j1 = across.end_window(w);
    for (Coordinate i = down.first_window(h); i < i1; ++i)
      for (Coordinate j = j0; j < j1; ++j) f(i, j);
  }
};

/// N cells (uint8 or int32) of vector i, in accesses of at most 16 bytes.
template <int N, class Cell>
__device__ inline void load_cells(const Cell* cells, long long i, int (&out)[N]) {
  constexpr int M = N < vec_width<Cell> ? N : vec_width<Cell>;
#pragma unroll
  for (int part = 0; part < N / M; ++part) {
    const Vec<Cell, M> v = load_vec<M>(cells, i * (N / M) + part);
#pragma unroll
    for (int k = 0; k < M; ++k) out[part * M + k] = static_cast<int>(v[k]);
  }
}
template <int N, class Cell>
__device__ inline void store_cells(Cell* cells, long long i, const int (&in)[N]) {
  constexpr int M = N < vec_width<Cell> ? N : vec_width<Cell>;
#pragma unroll
  for (int part = 0; part < N / M; ++part) {
    Vec<Cell, M> v;
#pragma unroll
    for (int k = 0; k < M; ++k) v[k] = static_cast<Cell>(in[part * M + k]);
    store_vec(cells, i * (N / M) + part, v);
  }
}

KFER_KERNELS_END
