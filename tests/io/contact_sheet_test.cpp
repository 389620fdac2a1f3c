// Contact sheets: where pictures, captions and headings come to lie, and what is refused.
#include "kfer/io/contact_sheet.hpp"

#include <cmath>
#include <limits>
#include <set>

#include "support.hpp"

using namespace kfer;
using namespace kfer::io;

namespace {

using Rgb = std::array<std::uint8_t, 3>;
constexpr Rgb white{255, 255, 255}, black{0, 0, 0}, caption_grey{80, 80, 80};

std::vector<std::uint8_t> filled(int height, int width, Rgb color) {
  std::vector<std::uint8_t> out;
  for (int i = 0; i < height * width; ++i) out.insert(out.end(), color.begin(), color.end());
  return out;
}
Rgb pixel(const Image& image, int y, int x) {
  const auto* p = image.pixels.data() + static_cast<std::size_t>(y * image.width + x) * 3;
  return {p[0], p[1], p[2]};
}
int count(const Image& image, Rgb color) {
  int n = 0;
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x) n += pixel(image, y, x) == color;
  return n;
}

/// The letter `c` as the heading of a sheet shows it, row by row.
std::string drawn(char c) {
  ContactSheet sheet({.columns = 1, .cell = 8});
  sheet.row(std::string(1, c));
  const auto image = sheet.image();
  std::string out;
  for (int y = 0; y < 8; ++y) {
    for (int x = 0; x < 5; ++x) out += pixel(image, 8 + y, 4 + x) == black ? '#' : '.';
    out += '\n';
  }
  return out;
}

}  // namespace

TEST_CASE("pictures lie on a grid with gaps of four pixels, and nothing else is drawn") {
  ContactSheet sheet({.columns = 3, .cell = 10, .caption_lines = 0});
  const std::array<Rgb, 4> colors{{{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {10, 20, 30}}};
  for (const auto& color : colors) sheet.add(filled(10, 10, color), 10, 10, "no room for captions");
  CHECK(sheet.size() == 4);
  const auto image = sheet.image();
  CHECK(image.width == 4 + 3 * 14);
  CHECK(image.height == 4 + 2 * (10 + 2 + 4));
  for (int k = 0; k < 4; ++k) {
    const int top = 4 + k / 3 * 16, left = 4 + k % 3 * 14;
    const auto color = colors[static_cast<std::size_t>(k)];
    CHECK(count(image, color) == 100);
    CHECK(pixel(image, top, left) == color);
    CHECK(pixel(image, top + 9, left + 9) == color);
  }
  CHECK(count(image, white) == image.width * image.height - 400);
}

TEST_CASE("a picture keeps its proportions, is centred, and shrinks by averages") {
  ContactSheet sheet({.columns = 1, .cell = 16, .caption_lines = 0});
  sheet.add(filled(8, 4, {1, 2, 3}), 8, 4);  // becomes 16 x 8, four pixels from the left
  auto image = sheet.image();
  CHECK(count(image, {1, 2, 3}) == 16 * 8);
  CHECK(pixel(image, 4, 4 + 3) == white);
  CHECK(pixel(image, 4, 4 + 4) == Rgb{1, 2, 3});
  CHECK(pixel(image, 4 + 15, 4 + 11) == Rgb{1, 2, 3});
  CHECK(pixel(image, 4, 4 + 12) == white);

  // A checkerboard of 0 and 200 at twice the cell's size is even 100 there.
  std::vector<std::uint8_t> checkers;
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) checkers.insert(checkers.end(), 3, (x + y) % 2 ? 200 : 0);
  ContactSheet reduced({.columns = 1, .cell = 16, .caption_lines = 0});
  image = reduced.add(checkers, 32, 32).image();
  CHECK(count(image, {100, 100, 100}) == 256);

  // Twice enlarged, each pixel is a sharp square; a line of one pixel does not vanish.
  ContactSheet enlarged({.columns = 1, .cell = 64, .caption_lines = 0});
  image = enlarged.add(checkers, 32, 32).image();
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) {
      const auto value = static_cast<std::uint8_t>((x / 2 + y / 2) % 2 ? 200 : 0);
      CHECK(pixel(image, 4 + y, 4 + x) == Rgb{value, value, value});
    }
  ContactSheet thin({.columns = 1, .cell = 8, .caption_lines = 0});
  CHECK(count(thin.add(filled(1, 1000, {9, 9, 9}), 1, 1000).image(), {9, 9, 9}) == 8);
}

TEST_CASE("planes of floats are the same picture as their bytes") {
  constexpr int height = 3, width = 5;
  std::vector<std::uint8_t> hwc;
  for (int i = 0; i < height * width * 3; ++i) hwc.push_back(static_cast<std::uint8_t>(i * 37 % 256));
  std::vector<float> chw(hwc.size());
  for (std::size_t p = 0; p < hwc.size() / 3; ++p)
    for (std::size_t c = 0; c < 3; ++c)
      chw[c * (hwc.size() / 3) + p] = static_cast<float>(hwc[3 * p + c]) / 255.f;
  const auto sheet = [] { return ContactSheet({.columns = 1, .cell = 8}); };
  CHECK(sheet().add(hwc, height, width, "x").png() == sheet().add_planes(chw, height, width, "x").png());

  const std::vector<float> outside{-3.f, 0.5f, 7.f};
  const auto image = sheet().add_planes(outside, 1, 1).image();
  CHECK(pixel(image, 8, 8) == Rgb{0, 128, 255});
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    const std::vector<float> values{0.f, 0.f, bad};
    CHECK_THROWS_AS(sheet().add_planes(values, 1, 1), NumericError);
  }
}

TEST_CASE("headings and captions are written in a font whose letters differ") {
  CHECK(drawn('F') ==
        "#####\n"
        "#....\n"
        "#....\n"
        "####.\n"
        "#....\n"
        "#....\n"
        "#....\n"
        ".....\n");
  std::set<std::string> glyphs;
  for (char c = ' '; c <= '~'; ++c)
    CHECK_MESSAGE(glyphs.insert(drawn(c)).second, "two letters look like ", c);
  CHECK(glyphs.size() == 95);
  CHECK(drawn(' ').find('#') == std::string::npos);
  CHECK(glyphs.insert(drawn('\n')).second);  // what is no letter is a box

  ContactSheet sheet({.columns = 1, .cell = 64});
  sheet.row("F").add(filled(64, 64, {255, 0, 0}), 64, 64, "FF");
  const auto image = sheet.image();
  CHECK(image.height == 4 + (4 + 9 + 2) + (64 + 2 + 9 + 4));
  CHECK(count(image, black) == 5 + 6 + 3);
  CHECK(count(image, caption_grey) == 2 * (5 + 6 + 3));
  CHECK(pixel(image, 4 + 15 + 64 + 2, 4) == caption_grey);
  CHECK(pixel(image, 4 + 15 + 64 + 2, 4 + 6 + 4) == caption_grey);
}

TEST_CASE("long text is cut or wrapped within its own room; bytes that are no ASCII become boxes") {
  const auto ink = [](std::string caption, int lines) {
    ContactSheet sheet({.columns = 2, .cell = 30, .caption_lines = lines});
    sheet.add(filled(30, 30, {255, 0, 0}), 30, 30, caption);
    sheet.add(filled(30, 30, {255, 0, 0}), 30, 30);
    return sheet.image();
  };
  // Five letters fit a line: the cut caption is three and two points.
  CHECK(ink("ABCDEFGHIJ", 1).pixels == ink("ABC..", 1).pixels);
  CHECK(ink("ABCDEFGHIJK", 2).pixels == ink("ABCDEFGH..", 2).pixels);
  const auto image = ink(std::string(1000, '#'), 2);
  for (int y = 0; y < image.height; ++y) CHECK(pixel(image, y, 4 + 30) != caption_grey);
  CHECK(ink("a\xc3\xa4z", 1).pixels == ink("a\x01z", 1).pixels);
  CHECK(ink(std::string("a\0z", 3), 1).pixels == ink("a\x01z", 1).pixels);

  ContactSheet heading({.columns = 1, .cell = 8});
  heading.row(std::string(5000, 'M'));
  CHECK(heading.image().width == 2 * 4 + 80 * 6);
  // Text that is wider than a cell: nothing of it fits, and that is no error.
  ContactSheet narrow({.columns = 1, .cell = 8, .text_scale = 8});
  CHECK(count(narrow.add(filled(8, 8, {1, 1, 1}), 8, 8, "W").image(), caption_grey) == 0);
}

TEST_CASE("a sheet is written as a PNG that decodes to what was drawn") {
  const test::TemporaryDirectory dir;
  ContactSheet sheet({.columns = 2, .cell = 20, .text_scale = 2});
  sheet.row("first").add(filled(20, 20, {200, 100, 50}), 20, 20, "a").row("second");
  sheet.write(dir / "sheet.png");
  const auto back = decode_image(read_file(dir / "sheet.png"));
  const auto image = sheet.image();
  CHECK(back.width == image.width);
  CHECK(back.height == image.height);
  CHECK(back.pixels == image.pixels);
  CHECK(dir.list() == std::vector<std::string>{"sheet.png"});
  CHECK_THROWS_AS(sheet.write(dir / "none/sheet.png"), IoError);
}

TEST_CASE("options, sizes and buffers are checked") {
  CHECK_THROWS_AS(ContactSheet({.columns = 0}), ValueError);
  CHECK_THROWS_AS(ContactSheet({.columns = 1001}), ValueError);
  CHECK_THROWS_AS(ContactSheet({.cell = 7}), ValueError);
  CHECK_THROWS_AS(ContactSheet({.caption_lines = -1}), ValueError);
  CHECK_THROWS_AS(ContactSheet({.text_scale = 0}), ValueError);
  ContactSheet sheet;
  CHECK_THROWS_AS(sheet.image(), ValueError);
  CHECK_THROWS_AS(sheet.add({}, 0, 0), ValueError);
  CHECK_THROWS_AS(sheet.add(filled(2, 2, black), 2, 3), ValueError);
  CHECK_THROWS_AS(sheet.add(filled(2, 2, black), -2, -2), ValueError);
  CHECK_THROWS_AS(sheet.add_planes(std::vector<float>(11), 2, 2), ValueError);
  ContactSheet tall({.columns = 1, .cell = 4096, .caption_lines = 0});
  for (int i = 0; i < 16; ++i) tall.add(filled(1, 4, black), 1, 4);
  CHECK(test::throws_with<ValueError>([&] { tall.image(); }, {"16 rows", "too large"}));
}
