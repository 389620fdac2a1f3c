// The changes of memory order that ship, and the choice among them.
#pragma once

#include "pad_channels.cuh"
#include "pitched_copy.cuh"
#include "runs.cuh"

KFER_KERNELS_BEGIN

namespace detail {

inline bool divides(int n, const Axes& axes, const long long* steps, int contiguous) {
  for (int a = 0; a < axes.count; ++a)
    if ((a == contiguous ? axes.extent[a] : steps[a]) % n != 0) return false;
  return true;
}

template <int N, class Index, class In, class Out>
void launch_runs(const In* x, Out* y, const Axes& axes, long long size, Stream stream) {
  Gather<Index> gather;
  gather.axes = axes.count;
  for (int a = 0; a < axes.count; ++a) {
    gather.extent[a] = Divider<Index>(a == axes.count - 1 ? axes.extent[a] / N : axes.extent[a]);
    gather.from[a] = static_cast<Index>(axes.from[a]);
  }
  launch(relayout_runs<N, Index, In, Out>, dim3(grid_blocks(size / N, 256)), dim3(256), 0, stream, x, y,
         gather, static_cast<Index>(size / N));
}

template <class Index, class In, class Out>
void copy_runs(const In* x, Out* y, const Axes& axes, long long size, Stream stream) {
  constexpr int N = 16 / static_cast<int>(sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out));
  const int last = axes.count - 1;
  if (axes.from[last] == 1 && aligned16(x, y) && divides(N, axes, axes.from, last))
    launch_runs<N, Index>(x, y, axes, size, stream);
  else
    launch_runs<1, Index>(x, y, axes, size, stream);
}

/// The axis that is contiguous in x, if it is long enough, as the one contiguous in y has to be, for tiles.
inline int turned_axis(const Axes& axes) {
  const int last = axes.count - 1;
  for (int a = 0; a < last; ++a)
    if (axes.from[a] == 1 && axes.extent[a] >= 8 && axes.extent[last] >= 8) return a;
  return -1;
}

template <class Index, class In, class Out>
void transpose(const In* x, Out* y, const Axes& axes, int col, Stream stream) {
  constexpr int NI = turn_width<In>, NO = turn_width<Out>;
  const int row = axes.count - 1;
  Turn<Index> turn;
  long long blocks = 1;
  for (int a = 0; a < axes.count; ++a) {
    if (a == row || a == col) continue;
    turn.extent[turn.outer] = Divider<Index>(axes.extent[a]);
    turn.from[turn.outer] = static_cast<Index>(axes.from[a]);
    turn.to[turn.outer++] = static_cast<Index>(axes.to[a]);
    blocks *= axes.extent[a];
  }
  turn.rows = static_cast<Index>(axes.extent[row]);
  turn.cols = static_cast<Index>(axes.extent[col]);
  turn.from_row = static_cast<Index>(axes.from[row]);
  turn.to_col = static_cast<Index>(axes.to[col]);
  turn.row_tiles = Divider<Index>(div_up(axes.extent[row], turn_side));
  turn.col_tiles = Divider<Index>(div_up(axes.extent[col], turn_side));
  blocks *= div_up(axes.extent[row], turn_side) * div_up(axes.extent[col], turn_side);
  const auto run = [&](auto kernel) {
    launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, x, y, turn);
  };
  const bool read = aligned16(x) && divides(NI, axes, axes.from, col),
             write = aligned16(y) && divides(NO, axes, axes.to, row);
  if (read && write)
    run(transpose_vectorised<NI, NO, Index, In, Out>);
  else if (read)
    run(transpose_vectorised<NI, 1, Index, In, Out>);
  else if (write)
    run(transpose_vectorised<1, NO, Index, In, Out>);
  else
    run(transpose_vectorised<1, 1, Index, In, Out>);
}

/// Whether this is images to `channel_blocked(8)` of at most 8 channels.
inline bool pads_channels(const MemoryOrder& from, const MemoryOrder& to, const Extents& shape) {
  const auto dims_are = [](const MemoryOrder& order, int a, int b, int c, int d) {
    return order.dim[0] == a && order.dim[1] == b && order.dim[2] == c && order.dim[3] == d;
  };
  return shape.v[1] < 8 && to.axes == 5 && dims_are(to, 0, 1, 2, 3) && to.dim[4] == 1 && to.extent[4] == 8 &&
         from.axes == 4 && (dims_are(from, 0, 1, 2, 3) || dims_are(from, 0, 2, 3, 1));
}

template <class Index, class In, class Out>
void relayout(const In* x, const MemoryOrder& from, Out* y, const MemoryOrder& to, const Extents& shape,
              Stream stream) {
  if (const Axes axes = axes_of(from, to, shape); axes.count) {
    if (const int col = turned_axis(axes); col >= 0) return transpose<Index>(x, y, axes, col, stream);
    return copy_runs<Index>(x, y, axes, to.size(), stream);
  }
  if constexpr (sizeof(Out) > 1)
    if (pads_channels(from, to, shape) && aligned16(y)) {
      const long long pixels = shape.v[2] * shape.v[3], channels = shape.v[1], images = shape.v[0];
      const bool last = from.dim[1] == 2;
      launch(pad_channels<In, Out>, dim3(grid_blocks(images * pixels, 256)), dim3(256), 0, stream, x, y,
             images, pixels, static_cast<int>(channels), last ? channels : 1, last ? 1 : pixels);
      return;
    }
  launch(relayout_naive<Index, In, Out>, dim3(grid_blocks(to.size(), 256)), dim3(256), 0, stream, x, from, y,
         to, shape, static_cast<Index>(to.size()));
}
}  // namespace detail

/// y, in the order `to`, gets the elements of x, in the order `from`; padding of y becomes zero. In and Out
/// are one type, or two floating ones: the cast comes free.
template <class In, class Out>
void relayout(const In* x, const MemoryOrder& from, Out* y, const MemoryOrder& to, const Extents& shape,
              Stream stream) {
  if (to.size() == 0) return;
  const long long farthest = from.size() > to.size() ? from.size() : to.size();
  if (fits_divider(farthest + (1ll << 28)))  // an index may pass the end by a grid stride or a tile
    detail::relayout<unsigned>(x, from, y, to, shape, stream);
  else
    detail::relayout<unsigned long long>(x, from, y, to, shape, stream);
}

KFER_KERNELS_END
