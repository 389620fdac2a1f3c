// Copies between memory orders on the Cpu.
#pragma once

#include <array>
#include <cstring>
#include <numeric>

#include "kfer/core/simd.hpp"
#include "kfer/device/cpu.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {
namespace detail {

/// Rank-4 activations as [image][channel block][pixel][lane]: nChw{B}c has B lanes, NCHW has one, NHWC has
/// them all. One view for the three, so that an op on activations is written once.
struct Planes {
  std::int64_t images = 0, blocks = 0, pixels = 0, lanes = 1;

  std::int64_t size() const { return images * blocks * pixels * lanes; }
  std::int64_t channels() const { return blocks * lanes; }
  std::int64_t plane() const { return pixels * lanes; }

  /// Whether `layout` is one of the three for this shape, without padding.
  static bool fits(const Shape& shape, const Layout& layout) {
    return shape.rank() == 4 &&
           (layout.is_row_major() || layout == Layout::channels_last() || blocked(shape, layout));
  }
  static Planes of(const Shape& shape, const Layout& layout) {
    const std::int64_t pixels = shape[2] * shape[3];
    if (layout.is_row_major()) return {shape[0], shape[1], pixels, 1};
    if (layout == Layout::channels_last()) return {shape[0], 1, pixels, shape[1]};
    const std::int64_t lanes = layout.block_size(1);
    return {shape[0], shape[1] / lanes, pixels, lanes};
  }

 private:
  static bool blocked(const Shape& shape, const Layout& layout) {
    return layout.block_count() == 1 && layout == Layout::channel_blocked(layout.block(0).size) &&
           !layout.has_padding(shape);
  }
};

/// Exchanges the two inner axes of [outer][rows][columns] into [outer][columns][rows], tile by tile.
template <class T>
void transpose_planes(const T* from, T* to, std::int64_t outer, std::int64_t rows, std::int64_t columns) {
  constexpr std::int64_t tile = 16;
  const std::int64_t row_tiles = (rows + tile - 1) / tile, tiles = outer * row_tiles;
  parallel_for(tiles, [&](std::int64_t k) {
    const std::int64_t base = k / row_tiles * rows * columns, r0 = k % row_tiles * tile,
                       r1 = std::min(rows, r0 + tile);
    for (std::int64_t c0 = 0; c0 < columns; c0 += tile) {
      const std::int64_t c1 = std::min(columns, c0 + tile);
      if (r1 - r0 == tile && c1 - c0 == tile) {
        for (std::int64_t c = 0; c < tile; ++c)
          for (std::int64_t r = 0; r < tile; ++r)
            to[base + (c0 + c) * rows + r0 + r] = from[base + (r0 + r) * columns + c0 + c];
      } else {
        for (std::int64_t c = c0; c < c1; ++c)
          for (std::int64_t r = r0; r < r1; ++r) to[base + c * rows + r] = from[base + r * columns + c];
      }
    }
  });
}

/// Between two orders with several lanes (NHWC and blocked ones): runs of the smaller number of lanes move
/// whole.
template <class T>
void regroup_lanes(const T* from, const Planes& a, T* to, const Planes& b) {
  const std::int64_t run = std::gcd(a.lanes, b.lanes), pixels = a.pixels;
  const auto at = [=](const Planes& p, std::int64_t image, std::int64_t channel) {
    return (image * p.blocks + channel / p.lanes) * p.plane() + channel % p.lanes;
  };
  parallel_for(a.images, [&](std::int64_t image) {
    constexpr std::int64_t piece = 64;  // pixels at a time, so that the lines of all runs stay in the cache
    for (std::int64_t p0 = 0; p0 < pixels; p0 += piece)
      for (std::int64_t c = 0; c < a.channels(); c += run) {
        const T* src = from + at(a, image, c);
        T* dst = to + at(b, image, c);
        for (std::int64_t p = p0; p < std::min(pixels, p0 + piece); ++p) {
          if (run == simd_width)
            std::memcpy(dst + p * b.lanes, src + p * a.lanes, simd_width * sizeof(T));
          else
            std::memcpy(dst + p * b.lanes, src + p * a.lanes, static_cast<std::size_t>(run) * sizeof(T));
        }
      }
  });
}

}  // namespace detail

template <Element T>
struct relayout_impl<T, Cpu> {
  static void run(const Tensor<T, Cpu>& from, Tensor<T, Cpu>& to) {
    const Shape& shape = from.shape();
    const T* src = from.data();
    T* dst = to.mutable_data();
    if (detail::Planes::fits(shape, from.layout()) && detail::Planes::fits(shape, to.layout())) {
      const auto a = detail::Planes::of(shape, from.layout()), b = detail::Planes::of(shape, to.layout());
      if (b.lanes == 1) return detail::transpose_planes(src, dst, a.images * a.blocks, a.pixels, a.lanes);
      if (a.lanes == 1) return detail::transpose_planes(src, dst, b.images * b.blocks, b.lanes, b.pixels);
      return detail::regroup_lanes(src, a, dst, b);
    }
    // Any layout to any other: walk the destination in its own order.
    const auto walk = outer_strides(shape, from.layout());
    const auto target = outer_strides(shape, to.layout());
    std::array<std::int64_t, Shape::max_rank> index{};
    const std::int64_t n = shape.numel();
    const std::size_t rank = shape.rank();
    for (std::int64_t i = 0; i < n; ++i) {
      std::int64_t s = 0, t = 0;
      for (std::size_t d = 0; d < rank; ++d) {
        s += walk.at(static_cast<int>(d), index[d]);
        t += target.at(static_cast<int>(d), index[d]);
      }
      dst[t] = src[s];
      for (std::size_t d = rank; d-- > 0;) {
        if (++index[d] < shape[d]) break;
        index[d] = 0;
      }
    }
  }

 private:
  /// A layout's offset is a sum of one term a dimension; each term comes from a table.
  struct Terms {
    std::array<std::vector<std::int64_t>, Shape::max_rank> table;
    std::int64_t at(int dim, std::int64_t i) const { return table[dim][i]; }
  };
  static Terms outer_strides(const Shape& shape, const Layout& layout) {
    Terms terms;
    for (std::size_t d = 0; d < shape.rank(); ++d) {
      std::array<std::int64_t, Shape::max_rank> index{};
      terms.table[d].resize(static_cast<std::size_t>(shape[d]));
      for (std::int64_t i = 0; i < shape[d]; ++i) {
        index[d] = i;
        terms.table[d][i] = layout.offset(shape, index);
      }
    }
    return terms;
  }
};

}  // namespace kfer
