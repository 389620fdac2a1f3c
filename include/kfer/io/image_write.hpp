// Pixels encoded as PNG or JPEG, in memory.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"
#include "kfer/io/detail/stb_image_write.hpp"

namespace kfer::io {

/// Pixels to encode: 8 bits, rows from top to bottom, channels interleaved.
struct PixelView {
  int height = 0, width = 0;
  int channels = 3;  ///< 1 grey, 3 RGB, 4 RGBA
  std::span<const std::uint8_t> pixels;
};

namespace detail {

inline void check_pixels(const PixelView& view) {
  constexpr int limit = 65535;
  require<ValueError>(view.height > 0 && view.width > 0 && view.height <= limit && view.width <= limit,
                      "an image of ", view.width, " x ", view.height, " pixels cannot be encoded");
  require<ValueError>(view.channels == 1 || view.channels == 3 || view.channels == 4,
                      "an image has 1, 3 or 4 "
                      "channels, got ",
                      view.channels);
  const auto bytes = std::int64_t{view.height} * view.width * view.channels;
  require<ValueError>(view.pixels.size() == static_cast<std::uint64_t>(bytes), "an image of ", view.width,
                      " x ", view.height, " pixels and ", view.channels, " channels takes ", bytes,
                      " bytes, got ", view.pixels.size());
  require<ValueError>(bytes < (1 << 30), "an image of ", bytes, " bytes is too large to encode");
}

inline void append_encoded(void* out, void* data, int size) {
  append(*static_cast<std::vector<std::byte>*>(out),
         Bytes(static_cast<const std::byte*>(data), static_cast<std::size_t>(size)));
}

}  // namespace detail

/// A PNG file's bytes: lossless. Throws ValueError if the view is not one of an image.
inline std::vector<std::byte> encode_png(const PixelView& view) {
  detail::check_pixels(view);
  std::vector<std::byte> out;
  const int ok =
      detail::stb::stbi_write_png_to_func(detail::append_encoded, &out, view.width, view.height,
                                          view.channels, view.pixels.data(), view.width * view.channels);
  require<OutOfMemoryError>(ok != 0, "png: encoding ", view.pixels.size(), " bytes failed");
  return out;
}

/// A JPEG file's bytes (baseline; alpha is dropped). `quality` from 1 to 100. Throws ValueError as
/// `encode_png` does.
inline std::vector<std::byte> encode_jpeg(const PixelView& view, int quality = 95) {
  detail::check_pixels(view);
  require<ValueError>(quality >= 1 && quality <= 100, "jpeg: a quality from 1 to 100 is expected, got ",
                      quality);
  std::vector<std::byte> out;
  const int ok = detail::stb::stbi_write_jpg_to_func(detail::append_encoded, &out, view.width, view.height,
                                                     view.channels, view.pixels.data(), quality);
  require<OutOfMemoryError>(ok != 0, "jpeg: encoding ", view.pixels.size(), " bytes failed");
  return out;
}

}  // namespace kfer::io
