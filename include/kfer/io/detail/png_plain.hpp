// PNG of 8-bit grey, RGB or RGBA, not interlaced, as nearly all are: inflated by kfer's own reader and
// unfiltered a pixel a step, in two thirds of stb_image's time, to the same pixels. Everything else
// (palettes, 16 bits, interlacing, transparent colours, damage of any kind) is left to stb_image.
// https://www.w3.org/TR/png-3; section numbers below are its.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "kfer/core/simd.hpp"
#include "kfer/io/bytes.hpp"
#include "kfer/io/inflate.hpp"

namespace kfer::io::detail {

/// Decodes pictures; keeps its memory from one to the next.
class PlainPng {
 public:
  /// Decodes `file`, which `check_png` has passed and found to be of `height` x `width`, to interleaved RGB;
  /// alpha is dropped. False, with `rgb` in any state, if there is anything about the file that is not plain.
  bool decode(Bytes file, int height, int width, std::uint8_t* rgb) {
    const auto h = static_cast<std::size_t>(height), w = static_cast<std::size_t>(width);
    const bool done = parse(file) && inflate_rows(h, 1 + w * channels_) && write_rgb(h, w, rgb);
    if (data_.capacity() + rows_.capacity() > kept_bytes) data_ = {}, rows_ = {};
    return done;
  }

 private:
  static constexpr std::size_t kept_bytes = 1 << 20, slack = 16;

  static std::uint32_t number(Bytes bytes, std::size_t at) {
    return __builtin_bswap32(load_le<std::uint32_t>(bytes.data() + at));
  }

  /// Collects the image data; its chunks were checked.
  bool parse(Bytes file) {
    constexpr std::uint32_t ihdr = 0x49484452, idat = 0x49444154, iend = 0x49454e44, trns = 0x74524e53;
    data_.clear();
    for (std::size_t at = 8;;) {
      const std::size_t length = number(file, at);
      const auto kind = number(file, at + 4);
      const auto content = file.subspan(at + 8, length);
      at += length + 12;
      if (kind == ihdr) {
        const auto byte = [&](std::size_t i) { return std::to_integer<unsigned>(content[i]); };
        const unsigned colour = byte(9);
        if (byte(8) != 8 || (colour != 0 && colour != 2 && colour != 6)) return false;
        if (byte(10) != 0 || byte(11) != 0 || byte(12) != 0) return false;
        channels_ = colour == 0 ? 1 : colour == 2 ? 3 : 4;
      } else if (kind == idat) {
        append(data_, content);
      } else if (kind == iend) {
        return true;
      } else if (kind == trns || (kind >> 29 & 1) == 0) {  // critical: its first letter is a capital
        return false;
      }
    }
  }

  /// Rows as they are stored, each behind the number of its filter.
  bool inflate_rows(std::size_t height, std::size_t stride) {
    if (data_.size() < 6) return false;
    const auto method = std::to_integer<unsigned>(data_[0]), flags = std::to_integer<unsigned>(data_[1]);
    if ((method & 15) != 8 || (method << 8 | flags) % 31 != 0 || (flags & 32) != 0) return false;  // RFC 1950
    rows_.resize(height * stride + slack);
    try {
      inflate(Bytes(data_).subspan(2), std::as_writable_bytes(std::span(rows_)).first(height * stride));
    } catch (const FormatError&) {
      return false;
    }
    return true;
  }

  /// Undoes the filters (9.2) in place, then drops what is not colour.
  bool write_rgb(std::size_t height, std::size_t width, std::uint8_t* rgb) {
    const std::size_t bytes = width * channels_;
    no_row_.assign(bytes + slack, 0);
    const std::uint8_t* above = no_row_.data();
    for (std::size_t y = 0; y < height; ++y, rgb += 3 * width) {
      std::uint8_t* row = rows_.data() + y * (bytes + 1);
      const unsigned filter = *row++;
      if (filter > 4) return false;
      if (channels_ == 1)
        unfilter<1>(filter, row, above, bytes);
      else if (channels_ == 3)
        unfilter<3>(filter, row, above, bytes);
      else
        unfilter<4>(filter, row, above, bytes);
      above = row;
      if (channels_ == 3) {
        std::memcpy(rgb, row, bytes);
      } else {
        const std::size_t step = channels_, second = channels_ == 1 ? 0 : 1;
        for (std::size_t x = 0; x < width; ++x)
          rgb[3 * x] = row[step * x], rgb[3 * x + 1] = row[step * x + second],
                  rgb[3 * x + 2] = row[step * x + 2 * second];
      }
    }
    return true;
  }

  /// Pixels of up to four bytes, a 32-bit lane each.
  using Pixel = simd_i32<4>;
  using PixelBytes [[gnu::vector_size(4)]] = std::uint8_t;

  /// Four bytes from `p`, of which the first `Channels` count: rows have slack behind them.
  static Pixel load(const std::uint8_t* p) {
    PixelBytes bytes;
    std::memcpy(&bytes, p, sizeof bytes);
    return __builtin_convertvector(bytes, Pixel);
  }
  template <std::size_t Channels>
  static void store(std::uint8_t* p, Pixel v) {
    const PixelBytes bytes = __builtin_convertvector(v, PixelBytes);
    std::memcpy(p, &bytes, Channels);
  }

  template <std::size_t Channels>
  static void unfilter(unsigned filter, std::uint8_t* row, const std::uint8_t* above, std::size_t n) {
    const auto each = [&](auto predict) {
      constexpr std::uint8_t nothing[4] = {};
      Pixel left = load(nothing), corner = left;  // as nvcc 13, which fails on Pixel{}, compiles it
      for (std::size_t i = 0; i < n; i += Channels) {
        const Pixel up = load(above + i);
        left = (load(row + i) + predict(left, up, corner)) & 255;
        corner = up;
        store<Channels>(row + i, left);
      }
    };
    if (filter == 1)
      each([](Pixel left, Pixel, Pixel) { return left; });
    else if (filter == 2)
      for (std::size_t i = 0; i < n; ++i) row[i] = static_cast<std::uint8_t>(row[i] + above[i]);
    else if (filter == 3)
      each([](Pixel left, Pixel up, Pixel) { return (left + up) >> 1; });
    else if (filter == 4)
      each([](Pixel left, Pixel up, Pixel corner) {  // Paeth: which is nearest to left + up - corner
        const auto distance = [](Pixel v) { return v < 0 ? -v : v; };
        const Pixel to_left = distance(up - corner), to_up = distance(left - corner),
                    to_corner = distance(left + up - 2 * corner);
        const Pixel rest = to_up <= to_corner ? up : corner;
        return ((to_left <= to_up) & (to_left <= to_corner)) ? left : rest;
      });
  }

  std::size_t channels_ = 0;
  std::vector<std::byte> data_;
  std::vector<std::uint8_t> rows_, no_row_;
};

}  // namespace kfer::io::detail
