// The way up of a photograph: cameras store the sensor's rows and note in the file how to turn them.
//
// Exif 2.32 (CIPA DC-008): a JPEG's APP1 segment "Exif\0\0" holds a TIFF structure, whose first directory may
// have the tag Orientation (0x0112), a number from 1 to 8.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "kfer/io/image.hpp"

namespace kfer::io {
namespace detail {

/// Orientation in the first directory of a TIFF structure, 1 if it has none or is damaged.
inline int tiff_orientation(Bytes tiff) {
  const auto order = as_text(tiff.first(std::min<std::size_t>(tiff.size(), 4)));
  const bool big = order == std::string_view("MM\0*", 4);
  if (!big && order != std::string_view("II*\0", 4)) return 1;
  const auto number = [&](std::uint64_t at, std::size_t bytes) -> std::uint32_t {
    if (at > tiff.size() || tiff.size() - at < bytes) return 0;
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value = value << 8 | std::to_integer<std::uint32_t>(tiff[at + (big ? i : bytes - 1 - i)]);
    return value;
  };
  constexpr std::uint32_t orientation = 0x0112, type_short = 3;
  const std::uint64_t directory = number(4, 4);
  const auto entries = number(directory, 2);
  for (std::uint32_t i = 0; i < entries; ++i) {
    const auto entry = directory + 2 + std::uint64_t{12} * i;
    if (entry >= tiff.size()) break;
    if (number(entry, 2) != orientation) continue;
    const auto value = number(entry + 8, 2);
    const bool valid =
        number(entry + 2, 2) == type_short && number(entry + 4, 4) == 1 && value >= 1 && value <= 8;
    return valid ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace detail

/// The Exif orientation of an encoded image, from 1 (upright) to 8. What has none, or none that can be read,
/// counts as upright: a damaged note is no reason to refuse a picture. Never throws.
inline int exif_orientation(Bytes encoded) {
  constexpr unsigned app1 = 0xe1, start_of_scan = 0xda;
  constexpr std::string_view exif("Exif\0\0", 6);
  if (!as_text(encoded.first(std::min<std::size_t>(encoded.size(), 3))).starts_with(jpeg_magic)) return 1;
  for (std::size_t at = 2; encoded.size() - at >= 4;) {
    if (encoded[at] != std::byte{0xff}) return 1;
    const auto marker = std::to_integer<unsigned>(encoded[at + 1]);
    if (marker == 0xff) {  // padding
      ++at;
      continue;
    }
    if (marker == start_of_scan || (marker >= 0xd0 && marker <= 0xd9)) return 1;
    const std::size_t length = detail::load_be(encoded, at + 2, 2);
    if (length < 2 || length > encoded.size() - at - 2) return 1;
    const auto segment = encoded.subspan(at + 4, length - 2);
    if (marker == app1 && as_text(segment).starts_with(exif))
      return detail::tiff_orientation(segment.subspan(exif.size()));
    at += 2 + length;
  }
  return 1;
}

/// The upright picture of pixels stored in an Exif orientation from 1 to 8. Throws ValueError for another.
inline Image upright(Image image, int orientation) {
  require<ValueError>(orientation >= 1 && orientation <= 8, "an Exif orientation is from 1 to 8, got ",
                      orientation);
  if (orientation == 1) return image;
  // The upright pixel (y, x) is the stored one at (row, column) = (y, x), or (x, y), each counted from the
  // near or from the far end.
  const bool transposed = orientation >= 5;
  const bool far_row = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool far_column = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const auto channels = static_cast<std::size_t>(image.channels);
  Image out{image.height, image.width, image.channels, {}};
  if (transposed) std::swap(out.height, out.width);
  out.pixels.resize(image.pixels.size());
  auto* to = out.pixels.data();
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x, to += channels) {
      const int r = transposed ? x : y, c = transposed ? y : x;
      const auto row = static_cast<std::size_t>(far_row ? image.height - 1 - r : r);
      const auto column = static_cast<std::size_t>(far_column ? image.width - 1 - c : c);
      std::memcpy(to, image.pixels.data() + (row * static_cast<std::size_t>(image.width) + column) * channels,
                  channels);
    }
  return out;
}

/// Decodes as `decode_image` does, and turns the picture upright as its Exif note says.
inline Image decode_upright(Bytes encoded, const ImageLimits& limits = {}) {
  return upright(decode_image(encoded, limits), exif_orientation(encoded));
}

}  // namespace kfer::io
