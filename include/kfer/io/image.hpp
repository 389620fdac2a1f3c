// Images in memory: JPEG and PNG decoded to RGB bytes. Everything a file declares is checked before a pixel
// is decoded. Regular baseline JPEGs and plain PNGs are decoded by kfer, to stb_image's bits; all else is
// stb_image's, which this is the only header to reach.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/bytes.hpp"
#include "kfer/io/crc32.hpp"
#include "kfer/io/detail/jpeg_baseline.hpp"
#include "kfer/io/detail/png_plain.hpp"
#include "kfer/io/detail/stb_image.hpp"

namespace kfer::io {

/// 8-bit pixels, rows from top to bottom, channels interleaved: pixels[(y * width + x) * channels + c].
struct Image {
  int height = 0, width = 0, channels = 3;
  std::vector<std::uint8_t> pixels;
};

struct ImageSize {
  int height = 0, width = 0;
  friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

struct ImageLimits {
  std::int64_t max_pixels = 64'000'000;  ///< larger images are refused before anything is allocated
};

inline constexpr std::string_view jpeg_magic = "\xff\xd8\xff", png_magic = "\x89PNG\r\n\x1a\n";

namespace detail {

inline void check_image(bool ok, std::string_view format, std::string_view problem) {
  require<FormatError>(ok, format, ": ", problem);
}

inline std::uint32_t load_be(Bytes bytes, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  return value;
}

/// Checks the chunk structure of a PNG: complete, every CRC right. Returns the size that IHDR states.
inline ImageSize check_png(Bytes bytes) {
  constexpr std::string_view format = "PNG";
  constexpr std::uint32_t ihdr = 0x49484452, idat = 0x49444154, iend = 0x49454e44;
  ImageSize size;
  bool has_data = false;
  for (std::size_t at = png_magic.size();;) {
    const std::size_t rest = bytes.size() - at;
    check_image(rest >= 12, format, "truncated");
    const std::size_t length = load_be(bytes, at, 4);
    check_image(length <= rest - 12, format, "truncated chunk");
    const auto kind = load_be(bytes, at + 4, 4);
    const bool first = at == png_magic.size();
    check_image(first == (kind == ihdr), format, "IHDR is not the first chunk, or not the only one");
    check_image(crc32(bytes.subspan(at + 4, length + 4)) == load_be(bytes, at + 8 + length, 4), format,
                "a chunk's CRC is wrong");
    if (first) {
      check_image(length == 13, format, "IHDR has not 13 bytes");
      const auto width = load_be(bytes, at + 8, 4), height = load_be(bytes, at + 12, 4);
      check_image(width - 1 < 0x7fffffff && height - 1 < 0x7fffffff, format,
                  "a width or height out of range");
      size = {static_cast<int>(height), static_cast<int>(width)};
    }
    has_data = has_data || kind == idat;
    if (kind == iend) break;
    at += length + 12;
  }
  check_image(has_data, format, "no image data");
  return size;
}

/// Checks a JPEG's Huffman tables (`segment` is the content of a DHT marker): stb_image trusts their lengths.
inline void check_jpeg_huffman(Bytes segment) {
  while (!segment.empty()) {
    check_image(segment.size() >= 17, "JPEG", "a truncated Huffman table");
    std::size_t symbols = 0, code = 0;
    for (std::size_t bits = 1; bits <= 16; ++bits) {
      const auto count = std::to_integer<std::size_t>(segment[bits]);
      symbols += count;
      code = code * 2 + count;
      check_image(code <= std::size_t{1} << bits, "JPEG", "a Huffman table with more codes than bits allow");
    }
    check_image(symbols <= 256 && segment.size() >= 17 + symbols, "JPEG",
                "a Huffman table of a wrong length");
    segment = segment.subspan(17 + symbols);
  }
}

/// Checks the segment structure of a JPEG up to its end-of-image marker. Returns the size that the frame
/// header states.
inline ImageSize check_jpeg(Bytes bytes) {
  constexpr std::string_view format = "JPEG";
  ImageSize size;
  bool in_scan = false, has_scan = false;
  for (std::size_t at = 2;;) {
    // To the next marker: 0xff (repeated at will), then neither 0 (a stuffed 0xff) nor, in a scan, a restart.
    const auto* mark = static_cast<const std::byte*>(std::memchr(bytes.data() + at, 0xff, bytes.size() - at));
    check_image(mark != nullptr, format, "truncated: no end-of-image marker");
    at = static_cast<std::size_t>(mark - bytes.data());
    while (at < bytes.size() && bytes[at] == std::byte{0xff}) ++at;
    check_image(at < bytes.size(), format, "truncated: no end-of-image marker");
    const auto marker = std::to_integer<unsigned>(bytes[at++]);
    const bool restart = marker >= 0xd0 && marker <= 0xd7;
    if (in_scan && (marker == 0 || restart)) continue;
    check_image(marker >= 0xc0 && !restart && marker != 0xd8, format, "an unknown marker");
    if (marker == 0xd9) break;  // end of image
    check_image(bytes.size() - at >= 2, format, "truncated");
    const std::size_t length = load_be(bytes, at, 2);
    check_image(length >= 2 && length <= bytes.size() - at, format, "a truncated segment");
    const auto segment = bytes.subspan(at + 2, length - 2);
    at += length;
    in_scan = marker == 0xda;
    has_scan = has_scan || in_scan;
    if (marker == 0xc4) {
      check_jpeg_huffman(segment);
    } else if (marker <= 0xcf && marker != 0xc8 && marker != 0xcc) {  // a frame header
      check_image(marker <= 0xc2, format, "neither baseline nor progressive: not supported");
      check_image(size == ImageSize{}, format, "a second frame header");
      check_image(segment.size() >= 6, format, "a truncated frame header");
      size = {static_cast<int>(load_be(segment, 1, 2)), static_cast<int>(load_be(segment, 3, 2))};
      check_image(size.height > 0 && size.width > 0, format, "a width or height of 0");
    }
  }
  check_image(has_scan && size != ImageSize{}, format, "no image data");
  return size;
}

inline ImageSize check_encoded(Bytes bytes, const ImageLimits& limits) {
  const auto head = as_text(bytes.first(std::min<std::size_t>(bytes.size(), 8)));
  const bool png = head.starts_with(png_magic);
  require<FormatError>(png || head.starts_with(jpeg_magic), "image: neither JPEG nor PNG (", bytes.size(),
                       " bytes)");
  require<FormatError>(bytes.size() <= 0x7fffffff, "image: ", bytes.size(), " bytes are too many");
  const auto size = png ? check_png(bytes) : check_jpeg(bytes);
  require<FormatError>(std::int64_t{size.height} * size.width <= limits.max_pixels, "image: ", size.width,
                       " x ", size.height, " pixels, at most ", limits.max_pixels, " are allowed");
  return size;
}

/// Decodes what `check_encoded` has passed into `rgb`, by stb_image.
inline void decode_by_stb(Bytes bytes, ImageSize size, std::span<std::uint8_t> rgb) {
  // The largest blocks: 16-bit RGBA, planes or coefficients padded to whole blocks, the compressed data
  // (doubled as they grow), the decoder's state.
  const auto padded =
      (static_cast<std::size_t>(size.height) + 64) * (static_cast<std::size_t>(size.width) + 64);
  const StbBlockLimit limit(padded * 8 + bytes.size() * 2 + (std::size_t{1} << 16));
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stb::stbi_uc, decltype(&std::free)> pixels(
      stb::stbi_load_from_memory(reinterpret_cast<const stb::stbi_uc*>(bytes.data()),
                                 static_cast<int>(bytes.size()), &width, &height, &channels, 3),
      &std::free);
  if (!pixels) {
    const char* reason = stb::stbi_failure_reason();
    throw FormatError(text("image: cannot be decoded: ", reason ? reason : "no reason given"));
  }
  require<FormatError>(width == size.width && height == size.height, "image: decoded to ", width, " x ",
                       height, " pixels, its header states ", size.width, " x ", size.height);
  std::copy_n(pixels.get(), rgb.size(), rgb.data());
}

/// Decodes what `check_encoded` has passed into `rgb`, height * width * 3 bytes.
inline void decode_checked(Bytes bytes, ImageSize size, std::span<std::uint8_t> rgb) {
  thread_local BaselineJpeg jpeg;
  thread_local PlainPng png;
  const bool is_jpeg = bytes[0] == std::byte{0xff};
  const bool done = is_jpeg ? jpeg.decode(bytes, size.height, size.width, rgb.data())
                            : png.decode(bytes, size.height, size.width, rgb.data());
  if (!done) decode_by_stb(bytes, size, rgb);
}

}  // namespace detail

/// Height and width of an encoded image, from its header. Throws FormatError if it is not a complete JPEG or
/// PNG.
inline ImageSize image_size(Bytes encoded, const ImageLimits& limits = {}) {
  return detail::check_encoded(encoded, limits);
}

/// Decodes a JPEG or PNG to RGB; grey becomes three equal channels, alpha is dropped. Throws FormatError for
/// anything else, for a truncated or damaged file as far as the format can tell (PNG has checksums, JPEG has
/// none), and for more pixels than `limits` allow.
inline Image decode_image(Bytes encoded, const ImageLimits& limits = {}) {
  const auto size = detail::check_encoded(encoded, limits);
  Image image{.height = size.height, .width = size.width, .channels = 3, .pixels = {}};
  image.pixels.resize(static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3);
  detail::decode_checked(encoded, size, image.pixels);
  return image;
}

/// Decodes an image that must be `expected` in size into `out`, height * width * 3 bytes. Throws FormatError
/// as `decode_image` does, and for another size; ValueError if `out` has not that many bytes.
inline void decode_image_into(Bytes encoded, ImageSize expected, std::span<std::uint8_t> out) {
  require<ValueError>(expected.height > 0 && expected.width > 0, "an image of ", expected.width, " x ",
                      expected.height, " pixels cannot be decoded");
  const auto pixels = std::int64_t{expected.height} * expected.width;
  require<ValueError>(out.size() == static_cast<std::size_t>(pixels) * 3, "an image of ", expected.width,
                      " x ", expected.height, " pixels takes ", pixels * 3, " bytes, got room for ",
                      out.size());
  const auto size = detail::check_encoded(encoded, {});
  require<FormatError>(size == expected, "image: expected ", expected.width, " x ", expected.height,
                       " pixels, got ", size.width, " x ", size.height);
  detail::decode_checked(encoded, size, out);
}

}  // namespace kfer::io
