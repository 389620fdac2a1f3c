// The temporal shift on the Cpu, in any memory order: copies of runs of channels.
#pragma once

#include "kfer/ops/temporal_shift/temporal_shift_reference.hpp"
#include "kfer/tensor/lanes.hpp"

namespace kfer {

template <>
struct temporal_shift_impl<float, Cpu> {
  static Tensor<float, Cpu> shift(const Tensor<float, Cpu>& input, std::int64_t segments, std::int64_t fold,
                                  int step) {
    const Tensor<float, Cpu> x = detail::planar(input);
    Tensor<float, Cpu> y(x.shape(), x.layout());
    if (x.numel() == 0) return y;
    const auto planes = detail::Planes::of(x.shape(), x.layout());
    const std::int64_t channels = planes.channels(), frame = planes.blocks * planes.plane();
    const float* in = x.data();
    float* out = y.mutable_data();
    // The channels [begin, end) of a plane come from the frame `move` further, or are zero.
    const auto copy = [&](std::int64_t k, std::int64_t begin, std::int64_t end, std::int64_t move) {
      const std::int64_t first = k % planes.blocks * planes.lanes, t = k / planes.blocks % segments;
      begin = std::max<std::int64_t>(begin - first, 0), end = std::min(end - first, planes.lanes);
      if (begin >= end) return;
      const bool exists = t + move >= 0 && t + move < segments, whole = end - begin == planes.lanes;
      const std::int64_t run = whole ? planes.plane() : end - begin, runs = whole ? 1 : planes.pixels;
      for (std::int64_t p = 0; p < runs; ++p) {
        const std::int64_t at = k * planes.plane() + p * planes.lanes + begin;
        if (exists)
          std::copy_n(in + at + move * frame, run, out + at);
        else
          std::fill_n(out + at, run, 0.0f);
      }
    };
    parallel_for(planes.images * planes.blocks, [&](std::int64_t k) {
      copy(k, 0, fold, step);
      copy(k, fold, 2 * fold, -step);
      copy(k, 2 * fold, channels, 0);
    });
    return y;
  }
};

template <>
struct temporal_shift_impl<double, Cpu> {
  static Tensor<double, Cpu> shift(const Tensor<double, Cpu>& x, std::int64_t segments, std::int64_t fold,
                                   int step) {
    return reference::temporal_shift(x, segments, fold, step);
  }
};

}  // namespace kfer
