// The pooling that ships: vectors of channels, with 2 x 2 and 3 x 3 maximum windows known when compiling.
#pragma once

#include "../common/specialise.cuh"
#include "3_known_windows.cuh"

KFER_KERNELS_BEGIN

namespace pool_detail {
/// Calls `run(width, windows, items)` for a kernel over the vectors of y, or of x, unless there are none.
template <class T, class Run, class... Pointers>
void with_windows(const Pool2d& s, bool over_output, const Run& run, const Pointers*... pointers) {
  const long long in = s.images * s.height * s.width, out = s.images * s.out_height * s.out_width;
  with_row_vectors<T>(
      in > out ? in : out, s.channels,  // an index counts in both
      [&](auto width, auto zero, long long groups) {
        using Index = decltype(zero);
        run(width, PoolWindows<Index>(s, groups, over_output),
            static_cast<Index>((over_output ? out : in) * groups));
      },
      pointers...);
}
inline bool is_known(const Pool2d& s, long long extent) {
  return s.kernel_height == extent && s.kernel_width == extent;
}
/// Known windows are small: their kernels need to exist only for cells of a byte.
template <class Cell>
inline constexpr bool may_be_known = sizeof(Cell) == 1;
}  // namespace pool_detail

/// y[n, i, j, c] = the maximum of its window, the padding being minus infinity; `cells`, unless null, which
/// cell of the window (row times kernel width plus column) it came from: the first of equal ones; a NaN is
/// the maximum. Cell: uint8 for windows of at most 256 cells, int32 for any.
template <class T, class Cell>
void max_pool_forward(const T* x, T* y, Cell* cells, const Pool2d& s, Stream stream) {
  pool_detail::with_windows<T>(
      s, true,
      [&]<class Index>(auto width, const PoolWindows<Index>& windows, Index items) {
        const auto run = [&](auto kernel) {
          launch(kernel, dim3(grid_blocks(items, 256)), dim3(256), 0, stream, x, y, cells, windows, items);
        };
        if constexpr (pool_detail::may_be_known<Cell>) {
          if (pool_detail::is_known(s, 2)) return run(max_pool_known<2, T, width, Cell, Index>);
          if (pool_detail::is_known(s, 3)) return run(max_pool_known<3, T, width, Cell, Index>);
        }
        run(max_pool_channels<T, width, Cell, Index>);
      },
      x, y, cells);
}

/// dx gets, at each pixel, the sum of dy over the windows whose maximum it is.
template <class T, class Cell>
void max_pool_backward(const T* dy, const Cell* cells, T* dx, const Pool2d& s, Stream stream) {
  pool_detail::with_windows<T>(
      s, false,
      [&]<class Index>(auto width, PoolWindows<Index> windows, Index items) {
        const auto run = [&](auto kernel, Index count) {
          launch(kernel, dim3(grid_blocks(count, 256)), dim3(256), 0, stream, dy, cells, dx, windows, count);
        };
        if constexpr (pool_detail::may_be_known<Cell>)
          if (pool_detail::is_known(s, 2) && s.stride_height == 2 && s.stride_width == 2 &&
              s.padding_height == 0 && s.padding_width == 0) {
            const long long down = div_up(s.height, 2), across = div_up(s.width, 2);
            windows.grid = Nhwc<Index>(down, across, windows.groups);
            return run(max_pool_tiles_backward<T, width, Cell, Index>,
                       static_cast<Index>(s.images * down * across * windows.groups));
          }
        run(max_pool_channels_backward<T, width, Cell, Index>, items);
      },
      dy, cells, dx);
}

/// y[n, i, j, c] = the sum of its window, the padding being zero, over the number of its cells: with
/// `count_padding` those of the padding too, else those inside.
template <class T>
void avg_pool_forward(const T* x, T* y, const Pool2d& s, bool count_padding, Stream stream) {
  pool_detail::with_windows<T>(
      s, true,
      [&]<class Index>(auto width, const PoolWindows<Index>& windows, Index items) {
        launch(avg_pool_channels<T, width, Index>, dim3(grid_blocks(items, 256)), dim3(256), 0, stream, x, y,
               windows, count_padding, items);
      },
      x, y);
}
template <class T>
void avg_pool_backward(const T* dy, T* dx, const Pool2d& s, bool count_padding, Stream stream) {
  pool_detail::with_windows<T>(
      s, false,
      [&]<class Index>(auto width, const PoolWindows<Index>& windows, Index items) {
        launch(avg_pool_channels_backward<T, width, Index>, dim3(grid_blocks(items, 256)), dim3(256), 0,
               stream, dy, dx, windows, count_padding, items);
      },
      dy, dx);
}

/// y[n, c] = the mean over the pixels of x [images, pixels, channels].
template <class T>
void global_avg_pool_forward(const T* x, T* y, long long images, long long pixels, long long channels,
                             Stream stream) {
  if (images * channels == 0) return;
  with_vector_width<T>(
      channels,
      [&](auto width) {
        constexpr int N = width;
        const dim3 block = column_block(channels / N);
        const long long tiles = div_up(channels / N, block.x);
        launch(global_avg_pool_channels<T, N>, dim3(static_cast<unsigned>(images * tiles)), block,
               add_rows_shared<N, accum_t<T>>(), stream, x, y, pixels, channels / N, tiles);
      },
      x, y);
}
template <class T>
void global_avg_pool_backward(const T* dy, T* dx, long long images, long long pixels, long long channels,
                              Stream stream) {
  with_row_vectors<T>(
      images * pixels, channels,
      [&](auto width, auto zero, long long groups) {
        using Index = decltype(zero);
        const long long items = images * pixels * groups;
        launch(global_avg_pool_channels_backward<T, width, Index>, dim3(grid_blocks(items, 256)), dim3(256),
               0, stream, dy, dx, Nhwc<Index>(1, pixels, groups), pixels, groups, static_cast<Index>(items));
      },
      dy, dx);
}

KFER_KERNELS_END
