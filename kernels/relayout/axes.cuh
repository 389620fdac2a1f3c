// A change of memory order as axes with a step on either side.
//
// Where neither order has padding, both walk the same elements, and the dimensions can be cut into axes so
// that each axis has one step in the source and one in the destination: a permutation of axes. Axes that lie
// side by side in the same way in both are joined. NCHW to NHWC becomes [N, HW, C] with source steps [C HW,
// 1, HW]: a batch of matrix transposes; a change that keeps the innermost axis becomes a copy of runs.
#pragma once

#include "../common/divide.cuh"
#include "1_naive.cuh"

KFER_KERNELS_BEGIN

/// Axes in the destination's order, slowest first; steps in elements.
struct Axes {
  static constexpr int most = 16;
  int count = 0;
  long long extent[most], from[most], to[most];
};

namespace detail {
/// Elements between neighbours along axis `a` of an order.
inline long long memory_step(const MemoryOrder& order, int a) {
  long long step = 1;
  for (int i = a + 1; i < order.axes; ++i) step *= order.extent[i];
  return step;
}
/// The step in memory for steps of `step` along `dim`; the axis that counts in them is found by its range.
inline long long memory_step(const MemoryOrder& order, int dim, long long step) {
  for (int a = 0; a < order.axes; ++a)
    if (order.dim[a] == dim && order.step[a] <= step && step < order.step[a] * order.extent[a])
      return memory_step(order, a) * (step / order.step[a]);
  return 0;
}
inline void insert(Axes& axes, long long extent, long long from, long long to) {
  int at = axes.count++;
  for (; at > 0 && axes.to[at - 1] < to; --at) {
    axes.extent[at] = axes.extent[at - 1];
    axes.from[at] = axes.from[at - 1];
    axes.to[at] = axes.to[at - 1];
  }
  axes.extent[at] = extent;
  axes.from[at] = from;
  axes.to[at] = to;
}
inline Axes join(const Axes& axes) {
  Axes out;
  for (int a = 0; a < axes.count; ++a) {
    const int last = out.count - 1;
    const bool joins = out.count && out.from[last] == axes.from[a] * axes.extent[a] &&
                       out.to[last] == axes.to[a] * axes.extent[a];
    const int at = joins ? last : out.count++;
    out.extent[at] = joins ? out.extent[at] * axes.extent[a] : axes.extent[a];
    out.from[at] = axes.from[a];
    out.to[at] = axes.to[a];
  }
  return out;
}
}  // namespace detail

/// The axes of a change of order, or none (count 0) if there is padding or blocks that do not divide each
/// other. A tensor of one element has one axis.
inline Axes axes_of(const MemoryOrder& from, const MemoryOrder& to, const Extents& shape) {
  long long elements = 1;
  for (const long long n : shape.v) elements *= n;
  if (from.size() != elements || to.size() != elements || elements == 0) return {};
  Axes axes;
  for (int d = 0; d < MemoryOrder::max_dims; ++d) {
    if (shape.v[d] == 1) continue;
    long long outer = shape.v[d];  // cut at the next smaller step of either order until it is 1
    while (outer > 1) {
      long long step = 1;
      for (const MemoryOrder* order : {&from, &to})
        for (int a = 0; a < order->axes; ++a)
          if (order->dim[a] == d && order->step[a] < outer && order->step[a] > step) step = order->step[a];
      if (outer % step != 0) return {};
      detail::insert(axes, outer / step, detail::memory_step(from, d, step),
                     detail::memory_step(to, d, step));
      outer = step;
    }
  }
  if (axes.count == 0) detail::insert(axes, 1, 1, 1);
  return detail::join(axes);
}

KFER_KERNELS_END
