// Dropout on the Cpu: vectors of counters, in any memory order, without a stored mask.
#pragma once

#include <limits>
#include <vector>

#include "kfer/core/philox_simd.hpp"
#include "kfer/ops/dropout/dropout_reference.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {
namespace detail {

/// Draws the numbers of every element of activations that lie in memory as `planes` say and calls
/// `visit(position, rows, count, numbers, step)`: element i of row r, at position + r * count + i in memory,
/// is kept where numbers[r * step + i] >= threshold. In parallel over pieces of images.
template <class Visit>
void for_each_dropout_run(const Planes& planes, const DropoutMask& mask, const Visit& visit) {
  const std::int64_t channels = planes.channels(), lanes = planes.lanes;
  if (planes.size() == 0) return;
  constexpr std::int64_t piece = 8192;  // numbers drawn at a time: 16 KiB, in the first-level cache
  const std::int64_t pixels = std::max<std::int64_t>(8, piece / channels / 8 * 8);
  const std::int64_t pieces = (planes.pixels + pixels - 1) / pixels;
  parallel_ranges(planes.images * pieces, 1, [&](int, std::int64_t begin, std::int64_t end) {
    std::vector<std::uint16_t> room(
        static_cast<std::size_t>(std::min(pixels, planes.pixels) * channels + 16 + 8 * simd_width));
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int64_t image = k / pieces, p0 = k % pieces * pixels,
                         p1 = std::min(planes.pixels, p0 + pixels);
      const std::int64_t first = (image * planes.pixels + p0) * channels;
      const std::int64_t last = first + (p1 - p0) * channels;
      philox_fill_halves(mask.random, static_cast<std::uint64_t>(first / 8), (last + 7) / 8 - first / 8,
                         room.data());
      const std::uint16_t* numbers = room.data() + first % 8;
      if (lanes == channels) {
        visit(first, std::int64_t{1}, last - first, numbers, std::int64_t{0});
        continue;
      }
      for (std::int64_t b = 0; b < planes.blocks; ++b) {
        const std::int64_t position = ((image * planes.blocks + b) * planes.pixels + p0) * lanes;
        visit(position, p1 - p0, lanes, numbers + b * lanes, channels);
      }
    }
  });
}

/// out = x (or max(0, x)) * scale where numbers >= threshold, else 0, for rows as `for_each_dropout_run`
/// describes them.
inline void dropout_rows(const float* x, float* out, std::int64_t rows, std::int64_t count,
                         const std::uint16_t* numbers, std::int64_t step, bool relu,
                         const DropoutMask& mask) {
  constexpr int W = simd_width;
  using halves [[gnu::vector_size(W * sizeof(std::uint16_t))]] = std::uint16_t;
  const simd_f32<W> zero{}, floor = relu ? zero : simd_fill<W>(-std::numeric_limits<float>::infinity());
  const std::uint32_t threshold = mask.threshold();
  const float scale = mask.scale();
  const auto vector = [=](std::int64_t at, const std::uint16_t* number) {
    simd_f32<W> v = simd_load<W>(x + at);
    v = v < floor ? floor : v;  // a NaN passes
    halves h;
    std::memcpy(&h, number, sizeof h);
    const simd_i32<W> keep = __builtin_convertvector(h, simd_i32<W>) >= static_cast<std::int32_t>(threshold);
    simd_store<W>(out + at, simd_select<W>(keep, v * scale, zero));
  };
  if (count == W) {
    for (std::int64_t r = 0; r < rows; ++r) vector(r * W, numbers + r * step);
    return;
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    std::int64_t i = 0;
    for (; i + W <= count; i += W) vector(r * count + i, numbers + r * step + i);
    for (; i < count; ++i) {
      const float v = x[r * count + i];
      out[r * count + i] = numbers[r * step + i] >= threshold ? (relu && v < 0 ? 0.0f : v) * scale : 0.0f;
    }
  }
}

}  // namespace detail

/// Drops elements of activations at `data`, which lie in memory as `planes` say, in place.
inline void dropout_apply(float* data, const detail::Planes& planes, const DropoutMask& mask) {
  detail::for_each_dropout_run(planes, mask,
                               [&](std::int64_t at, std::int64_t rows, std::int64_t count,
                                   const std::uint16_t* numbers, std::int64_t step) {
                                 detail::dropout_rows(data + at, data + at, rows, count, numbers, step, false,
                                                      mask);
                               });
}

/// dx = dy * scale where y > 0, else 0, in place of dy.
template <FloatingElement T>
Tensor<T, Cpu> relu_dropout_mask(const Tensor<T, Cpu>& y, Tensor<T, Cpu> dy, T scale) {
  dy = dy.to(y.layout());
  const T* p = y.data();
  T* d = dy.mutable_data();
  parallel_ranges(dy.storage_size(), 16384, [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) d[i] = p[i] > T(0) ? d[i] * scale : T(0);
  });
  return dy;
}

template <>
struct dropout_impl<float, Cpu> {
  static Tensor<float, Cpu> forward(const Tensor<float, Cpu>& input, const DropoutMask& mask, bool relu) {
    const auto [x, planes] = view(input);
    Tensor<float, Cpu> y(x.shape(), x.layout());
    const float* in = x.data();
    float* out = y.mutable_data();
    detail::for_each_dropout_run(planes, mask,
                                 [&](std::int64_t at, std::int64_t rows, std::int64_t count,
                                     const std::uint16_t* numbers, std::int64_t step) {
                                   detail::dropout_rows(in + at, out + at, rows, count, numbers, step, relu,
                                                        mask);
                                 });
    return y;
  }
  static Tensor<float, Cpu> backward(const Tensor<float, Cpu>& dy, const DropoutMask& mask) {
    return forward(dy, mask, false);
  }
  static Tensor<float, Cpu> relu_backward(const Tensor<float, Cpu>& y, Tensor<float, Cpu> dy, float scale) {
    return relu_dropout_mask(y, std::move(dy), scale);
  }

 private:
  static std::pair<Tensor<float, Cpu>, detail::Planes> view(const Tensor<float, Cpu>& x) {
    if (detail::Planes::fits(x.shape(), x.layout())) return {x, detail::Planes::of(x.shape(), x.layout())};
    const Tensor<float, Cpu> plain = x.row_major();
    if (x.rank() == 4) return {plain, detail::Planes::of(plain.shape(), plain.layout())};
    return {plain, {1, 1, plain.numel(), 1}};
  }
};

template <>
struct dropout_impl<double, Cpu> {
  static Tensor<double, Cpu> forward(const Tensor<double, Cpu>& x, const DropoutMask& mask, bool relu) {
    return reference::dropout_forward(x, mask, relu);
  }
  static Tensor<double, Cpu> backward(const Tensor<double, Cpu>& dy, const DropoutMask& mask) {
    return reference::dropout_forward(dy, mask, false);
  }
  static Tensor<double, Cpu> relu_backward(const Tensor<double, Cpu>& y, const Tensor<double, Cpu>& dy,
                                           float scale) {
    return reference::relu_dropout_backward<double>(y, dy, scale);
  }
};

}  // namespace kfer
