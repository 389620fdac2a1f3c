#include "kfer/io/image.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "io/support.hpp"
#include "kfer/io/image_write.hpp"
#include "kfer/io/npz.hpp"

namespace io = kfer::io;
using io::ImageSize;
using kfer::FormatError;
using test::throws_with;

namespace {

int largest_difference(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b) {
  REQUIRE(a.size() == b.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(int{a[i]} - int{b[i]}));
  return largest;
}

/// A smooth picture: 3 channels.
std::vector<std::uint8_t> picture(int height, int width, int channels) {
  std::vector<std::uint8_t> out;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        out.push_back(static_cast<std::uint8_t>(40 + y * 3 + x * 2 + c * 30));
  return out;
}

std::vector<std::byte> without(std::vector<std::byte> bytes, std::size_t from, std::size_t n) {
  bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(from),
              bytes.begin() + static_cast<std::ptrdiff_t>(from + n));
  return bytes;
}

}  // namespace

TEST_CASE("images decode to what Pillow decodes them to") {
  const auto expected = io::read_npz(test::data_path("images_expected.npz"));
  CHECK(expected.size() == 10);
  for (const auto& [key, pixels] : expected) {
    const std::string& name = key;
    CAPTURE(name);
    const auto bytes = test::data(name);
    CHECK(io::image_size(bytes) == ImageSize{13, 17});
    const auto image = io::decode_image(bytes);
    CHECK(image.height == 13);
    CHECK(image.width == 17);
    CHECK(image.channels == 3);
    // JPEG decoders may round the cosine transform differently, and halved colour is interpolated each in its
    // own way.
    const int tolerance = name.ends_with("png") ? 0 : name == "rgb420.jpg" ? 24 : 4;
    CHECK(largest_difference(image.pixels, pixels.values<std::uint8_t>()) <= tolerance);
    std::vector<std::uint8_t> into(13 * 17 * 3);
    io::decode_image_into(bytes, {13, 17}, into);
    CHECK(into == image.pixels);
  }
}

TEST_CASE("decoding into memory checks the size") {
  const auto bytes = test::data("rgb.png");
  std::vector<std::uint8_t> out(13 * 17 * 3);
  CHECK(throws_with<FormatError>(
      [&] {
        io::decode_image_into(bytes, {17, 13}, out);
      },
      {"expected 13 x 17", "got 17 x 13"}));
  CHECK_THROWS_AS(io::decode_image_into(bytes, {13, 16}, out), kfer::ValueError);
  CHECK_THROWS_AS(io::decode_image_into(bytes, {0, 16}, {}), kfer::ValueError);
}

TEST_CASE("what is encoded decodes: exactly from PNG, closely from JPEG") {
  for (const auto& [height, width] : {std::pair{1, 1}, {7, 13}, {64, 64}, {1, 97}}) {
    for (const int channels : {1, 3, 4}) {
      const auto pixels = picture(height, width, channels);
      std::vector<std::uint8_t> rgb;
      for (std::size_t i = 0; i < pixels.size(); i += static_cast<std::size_t>(channels))
        for (std::size_t c = 0; c < 3; ++c) rgb.push_back(pixels[channels == 1 ? i : i + c]);
      const io::PixelView view{height, width, channels, pixels};
      CHECK(io::decode_image(io::encode_png(view)).pixels == rgb);
      CHECK(largest_difference(io::decode_image(io::encode_jpeg(view, 98)).pixels, rgb) <= 8);
    }
  }
  const auto pixels = picture(4, 4, 3);
  CHECK_THROWS_AS(io::encode_png({4, 4, 2, pixels}), kfer::ValueError);
  CHECK_THROWS_AS(io::encode_png({4, 5, 3, pixels}), kfer::ValueError);
  CHECK_THROWS_AS(io::encode_png({0, 4, 3, {}}), kfer::ValueError);
  CHECK_THROWS_AS(io::encode_jpeg({4, 4, 3, pixels}, 0), kfer::ValueError);
}

TEST_CASE("what is no JPEG or PNG, or is not whole, is a FormatError") {
  CHECK(throws_with<FormatError>([] { io::decode_image({}); }, {"neither JPEG nor PNG"}));
  CHECK(throws_with<FormatError>([] { io::decode_image(io::as_bytes("GIF89a....")); },
                                 {"neither JPEG nor PNG"}));
  CHECK_THROWS_AS(io::decode_image(io::as_bytes(io::png_magic)), FormatError);
  CHECK_THROWS_AS(io::decode_image(io::as_bytes(io::jpeg_magic)), FormatError);
  const auto png = test::data("rgb.png");
  CHECK(throws_with<FormatError>([&] { io::decode_image(without(png, 8, 25)); }, {"IHDR"}));
  auto flipped = png;
  flipped[60] ^= std::byte{1};
  CHECK(throws_with<FormatError>([&] { io::decode_image(flipped); }, {"CRC"}));
}

namespace {

/// Whether kfer's own decoders take the file, and then whether they give stb_image's pixels.
struct Verdict {
  bool taken = false, equal = true;
};

Verdict against_stb(std::span<const std::byte> file) {
  static io::detail::BaselineJpeg jpeg;
  static io::detail::PlainPng png;
  const auto size = io::image_size(file, {.max_pixels = 10000});
  std::vector<std::uint8_t> own(static_cast<std::size_t>(size.height * size.width) * 3), stb(own.size());
  Verdict verdict;
  verdict.taken = file[0] == std::byte{0xff} ? jpeg.decode(file, size.height, size.width, own.data())
                                             : png.decode(file, size.height, size.width, own.data());
  if (!verdict.taken) return verdict;
  io::detail::decode_by_stb(file, size, stb);
  verdict.equal = own == stb;
  return verdict;
}

/// 4:2:2 halves the columns of colour; with one byte changed the same blocks are a picture of 4:4:0, rows.
std::vector<std::byte> halved_rows() {
  auto bytes = test::data("rgb422.jpg");
  for (std::size_t at = 2; at + 12 < bytes.size(); ++at)
    if (bytes[at] == std::byte{0xff} && bytes[at + 1] == std::byte{0xc0}) bytes[at + 11] = std::byte{0x12};
  return bytes;
}

}  // namespace

TEST_CASE("regular files are decoded by kfer itself, to stb_image's bits") {
  for (const char* name :
       {"rgb.jpg", "rgb420.jpg", "rgb422.jpg", "gray.jpg", "rgb.png", "rgba.png", "gray.png"}) {
    CAPTURE(name);
    const auto [taken, equal] = against_stb(test::data(name));
    CHECK(taken);
    CHECK(equal);
  }
  CHECK(against_stb(halved_rows()).taken);
  CHECK(against_stb(halved_rows()).equal);
  for (const char* name : {"progressive.jpg", "restart.jpg", "palette.png", "gray16.png"})
    CHECK(!against_stb(test::data(name)).taken);
  std::uint32_t noise = 1;
  for (const auto& [height, width] :
       {std::pair{1, 1}, {1, 2}, {2, 1}, {8, 8}, {9, 7}, {15, 17}, {16, 16}, {17, 33}, {64, 64}})
    for (const bool smooth : {false, true}) {
      auto pixels = picture(height, width, 3);
      if (!smooth)
        for (auto& value : pixels)
          value = static_cast<std::uint8_t>((noise = noise * 1664525 + 1013904223) >> 24);
      const io::PixelView view{height, width, 3, pixels};
      for (const int quality :
           {1, 30, 75, 90, 91, 100}) {  // up to 90 with half of the colour's rows and columns
        const auto [taken, equal] = against_stb(io::encode_jpeg(view, quality));
        CHECK(taken);
        CHECK(equal);
      }
      CHECK(against_stb(io::encode_png(view)).taken);
      CHECK(against_stb(io::encode_png(view)).equal);
    }
}

TEST_CASE("of damaged files, what kfer decodes itself is what stb_image makes of them") {
  int taken = 0;
  for (const auto& good : {test::data("rgb.jpg"), test::data("rgb420.jpg"), test::data("rgb422.jpg"),
                           test::data("gray.jpg"), halved_rows()})
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      REQUIRE(test::survives([&] {
        const auto verdict = against_stb(bad);
        taken += verdict.taken;
        REQUIRE(verdict.equal);
      }));
    });
  CHECK(taken > 1000);  // flipped bits of coefficients, mostly
}

TEST_CASE("too many pixels are refused before they are decoded") {
  auto bytes = test::data("rgb.jpg");
  CHECK(throws_with<FormatError>([&] { io::decode_image(bytes, {.max_pixels = 13 * 17 - 1}); },
                                 {"17 x 13", "at most 220"}));
  // A frame header that states 65535 x 65535.
  for (std::size_t at = 2; at + 9 < bytes.size(); ++at)
    if (bytes[at] == std::byte{0xff} && bytes[at + 1] == std::byte{0xc0})
      std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at) + 5, 4, std::byte{0xff});
  CHECK(throws_with<FormatError>([&] { io::decode_image(bytes); }, {"65535 x 65535"}));
  auto png = test::data("rgb.png");
  std::fill_n(png.begin() + 16, 8, std::byte{0x7f});
  const auto crc = io::crc32(io::Bytes(png).subspan(12, 17));
  for (std::size_t i = 0; i < 4; ++i) png[29 + i] = static_cast<std::byte>(crc >> (24 - 8 * i));
  CHECK(throws_with<FormatError>([&] { io::decode_image(png); }, {"2139062143 x 2139062143"}));
}

TEST_CASE("Huffman tables with more symbols than there can be are refused") {
  auto bytes = test::data("rgb.jpg");
  for (std::size_t at = 2; at + 20 < bytes.size(); ++at)
    if (bytes[at] == std::byte{0xff} && bytes[at + 1] == std::byte{0xc4}) {
      bytes[at + 5 + 15] = std::byte{0xff};  // 255 codes of 16 bits
      break;
    }
  CHECK(throws_with<FormatError>([&] { io::decode_image(bytes); }, {"Huffman table"}));
}

TEST_CASE("every damage to a PNG is found; a cut JPEG is found, and flipped bits never crash") {
  for (const char* name : {"rgb.png", "palette.png", "rgba.png"}) {
    const auto good = test::data(name);
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      REQUIRE_THROWS_AS(io::decode_image(bad), FormatError);
    });
  }
  for (const char* name : {"rgb.jpg", "progressive.jpg", "restart.jpg"}) {
    const auto good = test::data(name);
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      if (bad.size() < good.size())
        REQUIRE_THROWS_AS(io::decode_image(bad), FormatError);
      else
        REQUIRE(test::survives([&] { io::decode_image(bad, {.max_pixels = 10000}); }));
    });
  }
}
