#include "kfer/io/exif.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "io/support.hpp"
#include "kfer/io/npz.hpp"

namespace io = kfer::io;

namespace {

std::map<std::string, io::NpyArray> arrays() {
  std::map<std::string, io::NpyArray> out;
  for (auto& [name, array] : io::read_npz(test::data_path("exif.npz"))) out.emplace(name, std::move(array));
  return out;
}

std::vector<std::byte> file(int orientation) {
  const auto bytes = arrays().at(kfer::text("file/", orientation)).values<std::uint8_t>();
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("photographs of every Exif orientation decode to what Pillow turns them to") {
  const auto all = arrays();
  for (int orientation = 1; orientation <= 8; ++orientation) {
    CAPTURE(orientation);
    const auto bytes = file(orientation);
    CHECK(io::exif_orientation(bytes) == orientation);
    const auto image = io::decode_upright(bytes);
    const bool transposed = orientation >= 5;
    CHECK(image.height == (transposed ? 20 : 12));
    CHECK(image.width == (transposed ? 12 : 20));
    const auto expected = all.at(kfer::text("upright/", orientation)).values<std::uint8_t>();
    REQUIRE(image.pixels.size() == expected.size());
    int largest = 0;
    for (std::size_t i = 0; i < expected.size(); ++i)
      largest = std::max(largest, std::abs(image.pixels[i] - expected[i]));
    CHECK(largest <= 4);  // decoders may round the cosine transform differently
    CHECK_MESSAGE((orientation == 1) == (image.pixels == io::decode_image(bytes).pixels),
                  "turned if and only if it has to be");
  }
}

TEST_CASE("what has no orientation, or none that can be read, is upright") {
  CHECK(io::exif_orientation({}) == 1);
  CHECK(io::exif_orientation(test::data("rgb.jpg")) == 1);
  CHECK(io::exif_orientation(test::data("rgb.png")) == 1);
  auto bytes = file(3);  // little-endian; its directory is at 8 with 3 entries, the second is the orientation
  const auto tiff = io::as_text(bytes).find(std::string("Exif\0\0", 6)) + 6;
  const auto entry = tiff + 8 + 2 + 12;
  const auto with = [&](std::size_t at, std::initializer_list<int> values) {
    auto copy = bytes;
    for (const int value : values) copy[at++] = static_cast<std::byte>(value);
    return io::exif_orientation(copy);
  };
  CHECK(with(entry, {0x12, 0x01, 3, 0, 1, 0, 0, 0, 6, 0}) == 6);
  CHECK(with(entry, {0x12, 0x01, 3, 0, 1, 0, 0, 0, 0, 0}) == 1);           // out of range
  CHECK(with(entry, {0x12, 0x01, 3, 0, 1, 0, 0, 0, 9, 0}) == 1);           // out of range
  CHECK(with(entry, {0x12, 0x01, 4, 0, 1, 0, 0, 0, 6, 0}) == 1);           // no SHORT
  CHECK(with(entry, {0x12, 0x01, 3, 0, 2, 0, 0, 0, 6, 0}) == 1);           // two of them
  CHECK(with(entry, {0x13, 0x01, 3, 0, 1, 0, 0, 0, 6, 0}) == 1);           // another tag
  CHECK(with(tiff, {'M', 'M', 0, '*'}) == 1);                              // the other byte order
  CHECK(with(tiff, {'X', 'X'}) == 1);                                      // none
  CHECK(with(tiff + 4, {0xff, 0xff, 0xff, 0xff}) == 1);                    // a directory past the end
  CHECK(with(tiff + 8, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}) == 3);  // more entries than there are
}

TEST_CASE("no damage to a note stops a picture from being read") {
  const auto good = file(6);
  const auto note = io::as_text(good).find("Exif");
  test::damage({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(note + 80)}, [&](const auto& bad) {
    const int orientation = io::exif_orientation(bad);
    REQUIRE(orientation >= 1);
    REQUIRE(orientation <= 8);
  });
}

TEST_CASE("orientations that do not exist are refused") {
  const io::Image image{2, 2, 3, std::vector<std::uint8_t>(12)};
  CHECK_THROWS_AS(io::upright(image, 0), kfer::ValueError);
  CHECK_THROWS_AS(io::upright(image, 9), kfer::ValueError);
}
