// Contact sheets: small pictures in rows, with captions, as one PNG. What a data set or a model's output
// looks like, at a glance.
//
//   ContactSheet sheet({.columns = 8, .cell = 64});
//   sheet.row("sad|upset");
//   sheet.add(rgb, 64, 64, "03_0001-27");                 // height x width x RGB bytes
//   sheet.add_planes(reconstruction, 64, 64, "epoch 3");  // RGB planes of floats in [0, 1]
//   sheet.write("sheet.png");
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/detail/bitmap_font.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/image.hpp"
#include "kfer/io/image_write.hpp"

namespace kfer::io {

struct ContactSheetOptions {
  int columns = 8;        ///< pictures side by side, 1 to 1000
  int cell = 64;          ///< pixels a side of the square that a picture is fitted into, 8 to 4096
  int caption_lines = 1;  ///< lines under each picture, 0 to 4; a caption that is longer is cut with ".."
  int text_scale = 1;     ///< pixels a side of a dot of the 5 x 8 font, 1 to 8
};

/// Collects pictures row by row and draws them on white. Errors: ValueError for options, picture sizes or
/// buffers that do not fit, NumericError for floats that are not finite, IoError if the disk refuses.
class ContactSheet {
 public:
  explicit ContactSheet(ContactSheetOptions options = {}) : options_(options) {
    check_range("columns", options.columns, 1, 1000);
    check_range("cell", options.cell, 8, 4096);
    check_range("caption_lines", options.caption_lines, 0, 4);
    check_range("text_scale", options.text_scale, 1, 8);
  }

  /// Begins a new row under a heading; none if `heading` is empty.
  ContactSheet& row(std::string_view heading = {}) {
    rows_.push_back({std::string(heading), {}});
    return *this;
  }

  /// The next picture: height x width x RGB bytes. It is fitted into the cell with its proportions: enlarged
  /// pixels stay sharp, reduced ones are averaged. A full row is continued on the next.
  ContactSheet& add(std::span<const std::uint8_t> hwc, int height, int width, std::string_view caption = {}) {
    check_picture(hwc.size(), height, width);
    if (rows_.empty() || rows_.back().pictures.size() == static_cast<std::size_t>(options_.columns)) row();
    rows_.back().pictures.push_back({fitted(hwc, height, width), std::string(caption)});
    ++size_;
    return *this;
  }

  /// The same from three planes of height x width floats, as networks take and give them: 0 is black, 1 full,
  /// what lies outside is clipped.
  ContactSheet& add_planes(std::span<const float> chw, int height, int width, std::string_view caption = {}) {
    check_picture(chw.size(), height, width);
    std::vector<std::uint8_t> hwc(chw.size());
    const std::size_t plane = chw.size() / 3;
    for (std::size_t i = 0; i < chw.size(); ++i) {
      require<NumericError>(std::isfinite(chw[i]), "contact sheet: value ", i, " of picture ", size_, " is ",
                            chw[i]);
      hwc[i % plane * 3 + i / plane] =
          static_cast<std::uint8_t>(std::lround(255.f * std::clamp(chw[i], 0.f, 1.f)));
    }
    return add(hwc, height, width, caption);
  }

  /// Pictures so far.
  std::size_t size() const { return size_; }

  /// The sheet as drawn now. Throws ValueError if it has no row, or is larger than a PNG of this library may
  /// be.
  Image image() const {
    require(!rows_.empty(), "contact sheet: nothing was added");
    std::size_t columns = 1;
    for (const auto& row : rows_) columns = std::max(columns, row.pictures.size());
    const int width =
        std::max(gap + static_cast<int>(columns) * (options_.cell + gap), 2 * gap + longest_heading());
    std::int64_t height = gap;
    for (const auto& row : rows_) height += row_height(row);
    require(height <= 65535 && height * width * 3 < (1 << 30), "contact sheet: ", rows_.size(),
            " rows make a picture of ", width, " x ", height, " pixels, which is too large");
    Canvas canvas(static_cast<int>(height), width);
    int top = gap;
    for (const auto& row : rows_) {
      draw_row(canvas, row, top);
      top += row_height(row);
    }
    return std::move(canvas.image);
  }

  /// The sheet as a PNG file's bytes.
  std::vector<std::byte> png() const {
    const auto drawn = image();
    return encode_png({.height = drawn.height, .width = drawn.width, .channels = 3, .pixels = drawn.pixels});
  }

  /// Writes the PNG, replacing `path` as a whole or not at all.
  void write(const std::string& path) const {
    const auto encoded = png();
    atomic_write(path, as_text(encoded));
  }

 private:
  static constexpr int gap = 4;

  struct Picture {
    Image pixels;  // already fitted: cell pixels a side at most
    std::string caption;
  };
  struct Row {
    std::string heading;
    std::vector<Picture> pictures;
  };

  struct Canvas {
    Image image;

    Canvas(int height, int width) : image{height, width, 3, {}} {
      image.pixels.assign(static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3, 255);
    }
    std::uint8_t* at(int y, int x) {
      return image.pixels.data() + (static_cast<std::size_t>(y) * static_cast<std::size_t>(image.width) +
                                    static_cast<std::size_t>(x)) *
                                       3;
    }
    void paste(const Image& picture, int top, int left) {
      const auto bytes = static_cast<std::size_t>(picture.width) * 3;
      for (int y = 0; y < picture.height; ++y)
        std::copy_n(picture.pixels.data() + static_cast<std::size_t>(y) * bytes, bytes, at(top + y, left));
    }
    void write(std::string_view line, int top, int left, int scale, std::uint8_t grey) {
      for (const char c : line) {
        const auto glyph = detail::glyph_of(c);
        for (int y = 0; y < detail::glyph_height * scale; ++y)
          for (int x = 0; x < detail::glyph_width * scale; ++x)
            if (glyph >> (y / scale * detail::glyph_width + x / scale) & 1)
              std::fill_n(at(top + y, left + x), 3, grey);
        left += (detail::glyph_width + 1) * scale;
      }
    }
  };

  static void check_range(std::string_view name, int value, int low, int high) {
    require(value >= low && value <= high, "contact sheet: ", name, " must be ", low, " to ", high, ", got ",
            value);
  }
  static void check_picture(std::size_t values, int height, int width) {
    require(height > 0 && width > 0 && height <= 65535 && width <= 65535, "contact sheet: a picture of ",
            width, " x ", height, " pixels");
    const auto expected = static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3;
    require(values == expected, "contact sheet: an RGB picture of ", width, " x ", height, " pixels has ",
            expected, " values, got ", values);
  }

  int advance() const { return (detail::glyph_width + 1) * options_.text_scale; }
  int line_height() const { return (detail::glyph_height + 1) * options_.text_scale; }
  int longest_heading() const {
    // Headings may be wider than the pictures, but not without bound.
    std::size_t letters = 0;
    for (const auto& row : rows_) letters = std::max(letters, letters_of(row.heading).size());
    return static_cast<int>(std::min<std::size_t>(letters, 80)) * advance();
  }
  int caption_height() const { return options_.caption_lines * line_height(); }
  int heading_height() const { return gap + line_height() + gap / 2; }
  int row_height(const Row& row) const {
    return (row.heading.empty() ? 0 : heading_height()) +
           (row.pictures.empty() ? 0 : options_.cell + gap / 2 + caption_height() + gap);
  }

  /// Text as the font can draw it: of a UTF-8 sequence the first byte alone, which is drawn as a box.
  static std::string letters_of(std::string_view line) {
    std::string out;
    for (const char c : line)
      if ((static_cast<unsigned char>(c) & 0xc0) != 0x80) out += c;
    return out;
  }
  static std::string cut(std::string letters, std::size_t room) {
    if (letters.size() <= room) return letters;
    letters.resize(room);
    for (std::size_t i = room - std::min<std::size_t>(room, 2); i < room; ++i) letters[i] = '.';
    return letters;
  }

  /// `picture` in the largest size of its proportions that fits the cell: each pixel is the mean of those
  /// that it covers.
  Image fitted(std::span<const std::uint8_t> hwc, int height, int width) const {
    const int longer = std::max(height, width);
    const auto fit = [&](int side) {
      return std::max(1, static_cast<int>(std::int64_t{side} * options_.cell / longer));
    };
    Image out{fit(height), fit(width), 3, {}};
    out.pixels.reserve(static_cast<std::size_t>(out.height) * static_cast<std::size_t>(out.width) * 3);
    const auto range = [](int i, int from, int to) {
      const int begin = static_cast<int>(std::int64_t{i} * from / to);
      return std::pair{begin, std::max(begin + 1, static_cast<int>(std::int64_t{i + 1} * from / to))};
    };
    for (int y = 0; y < out.height; ++y) {
      const auto [y_begin, y_end] = range(y, height, out.height);
      for (int x = 0; x < out.width; ++x) {
        const auto [x_begin, x_end] = range(x, width, out.width);
        const auto count = std::int64_t{y_end - y_begin} * (x_end - x_begin);
        for (int c = 0; c < 3; ++c) {
          std::int64_t sum = 0;
          for (int sy = y_begin; sy < y_end; ++sy)
            for (int sx = x_begin; sx < x_end; ++sx)
              sum += hwc[(static_cast<std::size_t>(sy) * static_cast<std::size_t>(width) +
                          static_cast<std::size_t>(sx)) *
                             3 +
                         static_cast<std::size_t>(c)];
          out.pixels.push_back(static_cast<std::uint8_t>((sum + count / 2) / count));
        }
      }
    }
    return out;
  }

  void draw_row(Canvas& canvas, const Row& row, int top) const {
    if (!row.heading.empty()) {
      const auto room = static_cast<std::size_t>((canvas.image.width - 2 * gap) / advance());
      canvas.write(cut(letters_of(row.heading), room), top + gap, gap, options_.text_scale, 0);
      top += heading_height();
    }
    int left = gap;
    const auto room = static_cast<std::size_t>(options_.cell / advance());
    for (const auto& picture : row.pictures) {
      canvas.paste(picture.pixels, top + (options_.cell - picture.pixels.height) / 2,
                   left + (options_.cell - picture.pixels.width) / 2);
      const auto caption =
          cut(letters_of(picture.caption), room * static_cast<std::size_t>(options_.caption_lines));
      int y = top + options_.cell + gap / 2;
      for (std::size_t at = 0; at < caption.size(); at += room, y += line_height())
        canvas.write(std::string_view(caption).substr(at, room), y, left, options_.text_scale, 80);
      left += options_.cell + gap;
    }
  }

  ContactSheetOptions options_;
  std::vector<Row> rows_;
  std::size_t size_ = 0;
};

}  // namespace kfer::io
