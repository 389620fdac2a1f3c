// Pixels as an image inside the page.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "kfer/io/image_write.hpp"
#include "kfer/train/report/html.hpp"

namespace kfer::report {

/// RFC 4648, section 4.
inline std::string base64(io::Bytes bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < n ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

/// An `<img>` of height x width x 3 bytes, RGB: as PNG, or as JPEG where that would take more than 48 KB.
/// Throws ShapeError naming `where` unless the pixels fill the size.
inline Html picture(std::span<const std::uint8_t> pixels, int height, int width, std::string_view description,
                    std::string_view where) {
  require<ShapeError>(
      height > 0 && width > 0 && height <= 4096 && width <= 4096 &&
          pixels.size() == std::uint64_t{3} * static_cast<unsigned>(height) * static_cast<unsigned>(width),
      "report: ", where, " has ", pixels.size(), " bytes of pixels, expected ", height, " x ", width,
      " x 3 (at most 4096 a side)");
  const io::PixelView view{.height = height, .width = width, .channels = 3, .pixels = pixels};
  auto file = io::encode_png(view);
  const bool large = file.size() > 48 * 1024;
  if (large) file = io::encode_jpeg(view, 90);
  return Html("<img alt=\""_html, description, "\" width=\""_html, width, "\" height=\""_html, height,
              "\" src=\"data:image/"_html, large ? "jpeg" : "png", ";base64,"_html, base64(file), "\">"_html);
}

}  // namespace kfer::report
