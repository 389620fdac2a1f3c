// Images of another size: bilinear resampling with antialiasing, the bytes that Pillow's
// Image.resize(size, BILINEAR) gives.
//
// A triangle filter whose support grows with the ratio of the sizes, so that every pixel of a large image
// counts. First along the rows, then along the columns; weights in fixed point, rounding to a byte after each
// pass: as Pillow does, because models are fed by Pillow elsewhere. (Pillow 13 takes the columns first where
// the height shrinks far more than the width; its bytes then differ from these by at most one.)
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/image.hpp"

namespace kfer::io {
namespace detail {

/// Weights of the input pixels in each output pixel, along one axis.
class TriangleFilter {
 public:
  static constexpr int fraction_bits = 22;  ///< 255 * (a sum of weights of about 1) stays within 31 bits

  struct Window {
    int begin = 0;  ///< first input pixel
    std::vector<std::int32_t> weights;
  };

  TriangleFilter(int from, int to) {
    const double scale = static_cast<double>(from) / to, support = std::max(scale, 1.0), slope = 1 / support;
    windows_.resize(static_cast<std::size_t>(to));
    std::vector<double> values;
    for (int i = 0; i < to; ++i) {
      auto& window = windows_[static_cast<std::size_t>(i)];
      const double centre = (i + 0.5) * scale;
      window.begin = std::max(static_cast<int>(centre - support + 0.5), 0);
      const int end = std::min(static_cast<int>(centre + support + 0.5), from);
      values.clear();
      double sum = 0;
      for (int x = window.begin; x < end; ++x) {
        values.push_back(std::max(1 - std::abs((x - centre + 0.5) * slope), 0.0));
        sum += values.back();
      }
      for (const double value : values)
        window.weights.push_back(static_cast<std::int32_t>(0.5 + value / sum * (1 << fraction_bits)));
    }
  }

  const Window& operator[](int i) const { return windows_[static_cast<std::size_t>(i)]; }

 private:
  std::vector<Window> windows_;
};

inline std::uint8_t rounded_pixel(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> TriangleFilter::fraction_bits, 0, 255));
}

/// Each row of an RGB image to `width` pixels.
inline Image resize_rows(const Image& image, int width) {
  const TriangleFilter filter(image.width, width);
  Image out{image.height, width, 3, {}};
  out.pixels.resize(static_cast<std::size_t>(image.height) * static_cast<std::size_t>(width) * 3);
  auto* to = out.pixels.data();
  for (int y = 0; y < image.height; ++y) {
    const auto* row = image.pixels.data() + static_cast<std::size_t>(y) * image.width * 3;
    for (int x = 0; x < width; ++x, to += 3) {
      const auto& window = filter[x];
      const auto* from = row + static_cast<std::size_t>(window.begin) * 3;
      std::int32_t r = 1 << (TriangleFilter::fraction_bits - 1), g = r, b = r;
      for (const auto w : window.weights) {
        r += w * from[0];
        g += w * from[1];
        b += w * from[2];
        from += 3;
      }
      to[0] = rounded_pixel(r), to[1] = rounded_pixel(g), to[2] = rounded_pixel(b);
    }
  }
  return out;
}

/// Each column of an RGB image to `height` pixels.
inline Image resize_columns(const Image& image, int height) {
  const TriangleFilter filter(image.height, height);
  const std::size_t n = static_cast<std::size_t>(image.width) * 3;
  Image out{height, image.width, 3, {}};
  out.pixels.resize(static_cast<std::size_t>(height) * n);
  std::vector<std::int32_t> sums(n);
  for (int y = 0; y < height; ++y) {
    const auto& window = filter[y];
    std::ranges::fill(sums, 1 << (TriangleFilter::fraction_bits - 1));
    const auto* from = image.pixels.data() + static_cast<std::size_t>(window.begin) * n;
    for (const auto w : window.weights) {
      for (std::size_t i = 0; i < n; ++i) sums[i] += w * from[i];
      from += n;
    }
    auto* to = out.pixels.data() + static_cast<std::size_t>(y) * n;
    for (std::size_t i = 0; i < n; ++i) to[i] = rounded_pixel(sums[i]);
  }
  return out;
}

}  // namespace detail

/// `image` (RGB) resampled to `size`, whatever its aspect ratio. An image of that size is returned as it is.
/// Throws ValueError for an empty image or size, or one that is not RGB.
inline Image resize(Image image, ImageSize size) {
  require<ValueError>(image.height > 0 && image.width > 0 && size.height > 0 && size.width > 0,
                      "resize: from ", image.width, " x ", image.height, " to ", size.width, " x ",
                      size.height, " pixels; expected at least one pixel each way");
  require<ValueError>(
      image.channels == 3 && image.pixels.size() == static_cast<std::size_t>(image.height) * image.width * 3,
      "resize: expected ", image.width, " x ", image.height, " pixels of 3 bytes, got ", image.channels,
      " channels and ", image.pixels.size(), " bytes");
  if (image.width != size.width) image = detail::resize_rows(image, size.width);
  if (image.height != size.height) image = detail::resize_columns(image, size.height);
  return image;
}

}  // namespace kfer::io
