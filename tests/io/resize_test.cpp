#include "kfer/io/resize.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "io/support.hpp"
#include "kfer/io/npz.hpp"

namespace io = kfer::io;
using kfer::ValueError;

namespace {

/// The picture of tools/make_resize_test_data.py.
io::Image picture(int height, int width) {
  io::Image out{height, width, 3, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        out.pixels.push_back(static_cast<std::uint8_t>(y * y * 3 + x * 7 + c * 40 + (x * y) % 17 * 9));
  return out;
}

/// The sizes in "pillow/29x37_64x64".
std::pair<io::ImageSize, io::ImageSize> sizes(const std::string& key) {
  io::ImageSize from, to;
  REQUIRE(std::sscanf(key.c_str() + key.find('/'), "/%dx%d_%dx%d", &from.height, &from.width, &to.height,
                      &to.width) == 4);
  return {from, to};
}

}  // namespace

TEST_CASE("images of other sizes are Pillow's to the byte, and torchvision's up to rounding") {
  int pillow = 0, torchvision = 0;
  for (const auto& entry : io::read_npz(test::data_path("resize.npz"))) {
    const auto& key = entry.first;
    const auto& array = entry.second;
    CAPTURE(std::string(key));
    const auto [from, to] = sizes(key);
    const auto image = io::resize(picture(from.height, from.width), to);
    CHECK(io::ImageSize{image.height, image.width} == to);
    CHECK(image.channels == 3);
    if (key.starts_with("pillow/")) {
      ++pillow;
      CHECK(image.pixels == array.values<std::uint8_t>());
      continue;
    }
    ++torchvision;  // computes in floating point, so two roundings to a byte are between
    const auto expected = array.values<float>();
    REQUIRE(image.pixels.size() == expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i)
      REQUIRE(std::abs(static_cast<float>(image.pixels[i]) - expected[i]) <= 1.001f);
  }
  CHECK(pillow == 10);
  CHECK(torchvision == 6);
}

TEST_CASE("resizing keeps what it must: the same size, one colour, the mean") {
  const auto same = picture(64, 64);
  CHECK(io::resize(same, {64, 64}).pixels == same.pixels);
  for (const std::uint8_t value : {0, 1, 127, 254, 255}) {
    io::Image plain{33, 47, 3, std::vector<std::uint8_t>(33 * 47 * 3, value)};
    for (const io::ImageSize size : {io::ImageSize{64, 64}, {5, 3}, {1, 200}})
      for (const auto pixel : io::resize(plain, size).pixels) REQUIRE(pixel == value);
  }
  // A board of black and white pixels is grey from afar: without antialiasing it would stay black and white.
  io::Image board{640, 640, 3, {}};
  for (int i = 0; i < 640 * 640; ++i) board.pixels.insert(board.pixels.end(), 3, (i / 640 + i) % 2 ? 255 : 0);
  for (const auto pixel : io::resize(board, {64, 64}).pixels) REQUIRE(std::abs(pixel - 127.5) <= 1.5);
}

TEST_CASE("sizes that cannot be are refused") {
  CHECK_THROWS_AS(io::resize(picture(4, 4), {0, 4}), ValueError);
  CHECK_THROWS_AS(io::resize(picture(4, 4), {4, -1}), ValueError);
  CHECK_THROWS_AS(io::resize({}, {4, 4}), ValueError);
  CHECK_THROWS_AS(io::resize({4, 4, 1, std::vector<std::uint8_t>(16)}, {2, 2}), ValueError);
  CHECK_THROWS_AS(io::resize({4, 4, 3, std::vector<std::uint8_t>(47)}, {2, 2}), ValueError);
}
