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

template <int N, class In, class Out>
void launch_runs(const In* x, Out* y, const Axes& axes, long long size, Stream stream) {
  Gather gather;
  gather.axes = axes.count;
  for (int a = 0; a < axes.count; ++a) {
    gather.extent[a] = Divider<unsigned>(a == axes.count - 1 ? axes.extent[a] / N : axes.extent[a]);
    gather.from[a] = axes.from[a];
  }
  launch(relayout_runs<N, In, Out>, dim3(grid_blocks(size / N, 256)), dim3(256), 0, stream, x, y, gather,
         static_cast<unsigned>(size / N));
}

template <class In, class Out>
void copy_runs(const In* x, Out* y, const Axes& axes, long long size, Stream stream) {
  constexpr int N = 16 / static_cast<int>(sizeof(In) > sizeof(Out) ? sizeof(In) : sizeof(Out));
  const int last = axes.count - 1;
  if (axes.from[last] == 1 && aligned16(x, y) && divides(N, axes, axes.from, last))
    launch_runs<N>(x, y, axes, size, stream);
  else
    launch_runs<1>(x, y, axes, size, stream);
}

/// The axis that is contiguous in x, if it is long enough, as the one contiguous in y has to be, for tiles.
inline int turned_axis(const Axes& axes) {
  const int last = axes.count - 1;
  for (int a = 0; a < last; ++a)
    if (axes.from[a] == 1 && axes.extent[a] >= 8 && axes.extent[last] >= 8) return a;
  return -1;
}

template <class In, class Out>
void transpose(const In* x, Out* y, const Axes& axes, int col, Stream stream) {
  constexpr int NI = turn_width<In>, NO = turn_width<Out>;
  const int row = axes.count - 1;
  Turn turn;
  long long blocks = 1;
  for (int a = 0; a < axes.count; ++a) {
    if (a == row || a == col) continue;
    turn.extent[turn.outer] = Divider<unsigned>(axes.extent[a]);
    turn.from[turn.outer] = axes.from[a];
    turn.to[turn.outer++] = axes.to[a];
    blocks *= axes.extent[a];
  }
  turn.rows = axes.extent[row];
  turn.cols = axes.extent[col];
  turn.from_row = axes.from[row];
  turn.to_col = axes.to[col];
  turn.row_tiles = Divider<unsigned>(div_up(axes.extent[row], turn_side));
  turn.col_tiles = Divider<unsigned>(div_up(axes.extent[col], turn_side));
  blocks *= div_up(axes.extent[row], turn_side) * div_up(axes.extent[col], turn_side);
  const auto run = [&](auto kernel) {
    launch(kernel, dim3(static_cast<unsigned>(blocks)), dim3(256), 0, stream, x, y, turn);
  };
  const bool read = aligned16(x) && divides(NI, axes, axes.from, col),
             write = aligned16(y) && divides(NO, axes, axes.to, row);
  if (read && write)
    run(transpose_vectorised<NI, NO, In, Out>);
  else if (read)
    run(transpose_vectorised<NI, 1, In, Out>);
  else if (write)
    run(transpose_vectorised<1, NO, In, Out>);
  else
    run(transpose_vectorised<1, 1, In, Out>);
}

/// Whether this is images to `channel_blocked(8)` of at most 8 channels.
inline bool pads_channels(const MemoryOrder& from, const MemoryOrder& to, const Extents& shape) {
  const auto dims_are = [](const MemoryOrder& order, int a, int b, int c, int d) {
    return order.dim[0] == a && order.dim[1] == b && order.dim[2] == c && order.dim[3] == d;
  };
  return shape.v[1] < 8 && to.axes == 5 && dims_are(to, 0, 1, 2, 3) && to.dim[4] == 1 && to.extent[4] == 8 &&
         from.axes == 4 && (dims_are(from, 0, 1, 2, 3) || dims_are(from, 0, 2, 3, 1));
}

/// A change of order without padding, with at most `most` elements a launch.
template <class In, class Out>
void relayout(long long most, const In* x, Out* y, const Axes& axes, Stream stream) {
  long long size = 1;
  for (int a = 0; a < axes.count; ++a) size *= axes.extent[a];
  if (size > most) {  // halves along the slowest axis that there is, the first of whole vectors
    int a = 0;
    while (axes.extent[a] == 1) ++a;
    const long long all = axes.extent[a], half = all > 32 ? all / 32 * 16 : all / 2;
    Axes first = axes, second = axes;
    first.extent[a] = half;
    second.extent[a] = all - half;
    relayout(most, x, y, first, stream);
    return relayout(most, x + half * axes.from[a], y + half * axes.to[a], second, stream);
  }
  if (const int col = turned_axis(axes); col >= 0) return transpose(x, y, axes, col, stream);
  copy_runs(x, y, axes, size, stream);
}
}  // namespace detail

/// y, in the order `to`, gets the elements of x, in the order `from`; padding of y becomes zero. In and Out
/// are one type, or any and a floating one: the cast comes free.
template <class In, class Out>
void relayout(const In* x, const MemoryOrder& from, Out* y, const MemoryOrder& to, const Extents& shape,
              Stream stream) {
  const long long size = to.size();
  if (size == 0) return;
  if (const Axes axes = axes_of(from, to, shape); axes.count)
    return detail::relayout(most_indexed, x, y, axes, stream);
  if constexpr (sizeof(Out) > 1)
    if (detail::pads_channels(from, to, shape) && aligned16(y)) {
      const long long pixels = shape.v[2] * shape.v[3], channels = shape.v[1], images = shape.v[0];
      const bool last = from.dim[1] == 2;
      launch(pad_channels<In, Out>, dim3(grid_blocks(images * pixels, 256)), dim3(256), 0, stream, x, y,
             images, pixels, static_cast<int>(channels), last ? channels : 1, last ? 1 : pixels);
      return;
    }
  const auto naive = [&]<class Index>(Index n) {
    launch(relayout_naive<Index, In, Out>, dim3(grid_blocks(size, 256)), dim3(256), 0, stream, x, from, y, to,
           shape, n);
  };
  if (size <= most_indexed && from.size() <= most_indexed)
    naive(static_cast<unsigned>(size));
  else
    naive(static_cast<unsigned long long>(size));
}

KFER_KERNELS_END
