// The temporal shift of TSM (Lin, Gan and Han, ICCV 2019): frames of a clip exchange a part of their channels
// with their neighbours, so that 2-D convolutions see time.
#pragma once

#include "kfer/autograd/variable.hpp"

namespace kfer {

struct TemporalShiftOptions {
  std::int64_t segments = 8;      ///< frames of a clip
  std::int64_t fold_divisor = 8;  ///< one part in this many of the channels moves each way; at least 2
};

/// shift(x, segments, fold, step) -> y, of x's memory order where it can: y[t] = x[t + step] in the first
/// `fold` channels, x[t - step] in the next `fold`, x[t] in the rest, and zero where the clip has no such
/// frame.
template <FloatingElement T, class D>
struct temporal_shift_impl;

namespace detail {
template <FloatingElement T, class D>
struct TemporalShiftBackward {
  std::int64_t segments, fold;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, temporal_shift_impl<T, D>::shift(dy, segments, fold, -1));
  }
};
}  // namespace detail

/// x: [clips * segments, C, H, W], the frames of a clip one after the other. The first C / fold_divisor
/// channels of a frame become those of the next frame of the clip, the next as many those of the frame
/// before, the rest stay; past the ends of a clip there are zeros. Throws ShapeError unless x has rank 4 and
/// whole clips, ValueError for options out of range.
template <FloatingElement T, class D>
Variable<T, D> temporal_shift(const Variable<T, D>& x, const TemporalShiftOptions& options = {}) {
  const Shape& s = x.shape();
  require(options.segments >= 1 && options.fold_divisor >= 2,
          "temporal_shift: expected segments >= 1 and fold_divisor >= 2, got ", options.segments, " and ",
          options.fold_divisor);
  require<ShapeError>(s.rank() == 4 && s[0] % options.segments == 0,
                      "temporal_shift: expected input [clips * ", options.segments, ", C, H, W], got ", s);
  const std::int64_t fold = s[1] / options.fold_divisor;
  return record(temporal_shift_impl<T, D>::shift(x.value(), options.segments, fold, 1), {x},
                detail::TemporalShiftBackward<T, D>{options.segments, fold});
}

}  // namespace kfer
