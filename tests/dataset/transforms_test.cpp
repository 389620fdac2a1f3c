#include "kfer/data/transforms.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kfer/io/npz.hpp"

using namespace kfer;
using namespace kfer::data;

namespace {

struct Picture {
  int height, width;
  std::vector<float> values;
  Picture(int h, int w) : height(h), width(w), values(static_cast<std::size_t>(3 * h * w)) {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(i) / static_cast<float>(values.size());
  }
  float at(int c, int y, int x) const {
    return values[static_cast<std::size_t>((c * height + y) * width + x)];
  }
  ImageView view() { return {values, 3, height, width}; }
};

}  // namespace

TEST_CASE("a flip mirrors each row, and a second one undoes it") {
  Picture p(5, 7);
  const Picture before = p;
  CounterRandom random{1};
  RandomFlip{.probability = 1}(p.view(), random);
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < 5; ++y)
      for (int x = 0; x < 7; ++x) CHECK(p.at(c, y, x) == before.at(c, y, 6 - x));
  RandomFlip{.probability = 1}(p.view(), random);
  CHECK(p.values == before.values);
  RandomFlip{.probability = 0}(p.view(), random);
  CHECK(p.values == before.values);
}

TEST_CASE("a crop shifts by at most its padding, repeating the edge") {
  int moved = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Picture p(6, 5);
    const Picture before = p;
    CounterRandom random{seed};
    RandomCrop{.padding = 2}(p.view(), random);
    int matches = 0;
    for (int dy = -2; dy <= 2; ++dy)
      for (int dx = -2; dx <= 2; ++dx) {
        bool equal = true;
        for (int c = 0; c < 3; ++c)
          for (int y = 0; y < 6; ++y)
            for (int x = 0; x < 5; ++x)
              equal &= p.at(c, y, x) == before.at(c, std::clamp(y + dy, 0, 5), std::clamp(x + dx, 0, 4));
        matches += equal;
      }
    CHECK(matches == 1);
    moved += p.values != before.values;
  }
  CHECK(moved > 10);
}

TEST_CASE("colour jitter of strength zero changes nothing; of full brightness it stays within [0, 1]") {
  Picture p(4, 4);
  const Picture before = p;
  CounterRandom random{3};
  ColourJitter{.brightness = 0, .contrast = 0, .saturation = 0}(p.view(), random);
  for (std::size_t i = 0; i < p.values.size(); ++i) CHECK(std::abs(p.values[i] - before.values[i]) < 1e-6f);
  for (int i = 0; i < 20; ++i) {
    ColourJitter{.brightness = 1, .contrast = 1, .saturation = 1}(p.view(), random);
    for (const float v : p.values) REQUIRE((v >= 0 && v <= 1));
  }
}

TEST_CASE("brightness alone scales by one factor") {
  Picture p(4, 4);
  for (auto& v : p.values) v *= 0.5f;
  const Picture before = p;
  CounterRandom random{9};
  ColourJitter{.brightness = 0.5f, .contrast = 0, .saturation = 0}(p.view(), random);
  const float factor = p.values.back() / before.values.back();
  CHECK(std::abs(factor - 1) > 1e-3f);
  for (std::size_t i = 0; i < p.values.size(); ++i)
    CHECK(std::abs(p.values[i] - factor * before.values[i]) < 1e-5f);
}

TEST_CASE("erasing fills one rectangle of all channels") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Picture p(16, 12);
    CounterRandom random{seed};
    RandomErase{.probability = 1, .min_area = 0.1f, .max_area = 0.3f, .fill = -7}(p.view(), random);
    int top = 99, bottom = -1, left = 99, right = -1, count = 0;
    for (int y = 0; y < 16; ++y)
      for (int x = 0; x < 12; ++x)
        if (p.at(0, y, x) == -7) {
          top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, x),
          right = std::max(right, x);
          ++count;
          CHECK(p.at(1, y, x) == -7);
          CHECK(p.at(2, y, x) == -7);
        }
    CHECK(count == (bottom - top + 1) * (right - left + 1));
    CHECK(count >= 0.05 * 16 * 12);
    CHECK(count <= 0.4 * 16 * 12);
  }
}

TEST_CASE("composed transforms run in order on one stream") {
  Picture a(8, 8), b(8, 8);
  CounterRandom ra{4}, rb{4};
  compose(RandomCrop{.padding = 3}, RandomFlip{.probability = 1}, RandomErase{.probability = 1})(a.view(),
                                                                                                 ra);
  RandomCrop{.padding = 3}(b.view(), rb);
  RandomFlip{.probability = 1}(b.view(), rb);
  RandomErase{.probability = 1}(b.view(), rb);
  CHECK(a.values == b.values);
}

TEST_CASE("transforms refuse settings without meaning") {
  Picture p(4, 4);
  CounterRandom random{1};
  CHECK_THROWS_AS((RandomCrop{.padding = -1}(p.view(), random)), ValueError);
  CHECK_THROWS_AS((ColourJitter{.brightness = 2}(p.view(), random)), ValueError);
  CHECK_THROWS_AS((RandomErase{.probability = 1, .min_area = 0.5f, .max_area = 0.1f}(p.view(), random)),
                  ValueError);
  std::vector<float> grey(16);
  CHECK_THROWS_AS((ColourJitter{}({grey, 1, 4, 4}, random)), ShapeError);
}

namespace {

/// The largest difference of two arrays of one size; NaN counts as infinite.
float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  REQUIRE(a.size() == b.size());
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float d = std::abs(a[i] - b[i]);
    if (!(d <= largest)) largest = d >= 0 ? d : INFINITY;
  }
  return largest;
}

std::vector<float> floats(const io::NpyArray& array) {
  const auto values = array.values<float>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("flips and shifts are NumPy's, adjustments of colour torchvision's") {
  const auto expected = io::read_npz(std::string(KFER_TEST_DATA) + "/dataset/transforms.npz");
  REQUIRE(expected.front().first == "picture");
  const auto picture = floats(expected.front().second);
  int cases = 0;
  for (const auto& entry : expected) {
    const auto& name = entry.first;
    const auto& array = entry.second;
    CAPTURE(name);
    auto values = picture;
    const ImageView image{values, 3, 9, 8};
    const auto word = name.substr(0, name.find(' '));
    const auto rest = name.size() > word.size() ? name.substr(word.size() + 1) : std::string();
    if (word == "picture") continue;
    ++cases;
    if (word == "flip") {
      flip(image);
      CHECK(values == floats(array));
    } else if (word == "shift") {
      shift(image, std::stoi(rest), std::stoi(rest.substr(rest.find(' '))));
      CHECK(values == floats(array));
    } else {
      const float factor = std::stof(rest);
      ColourFactors factors;
      (word == "brightness" ? factors.brightness
       : word == "contrast" ? factors.contrast
                            : factors.saturation) = factor;
      adjust_colour(image, factors);
      // torchvision's weight of red is 0.2989, not 0.299, and its grey a ten-thousandth darker.
      CHECK(largest_difference(values, floats(array)) <= 2.5e-4f);
      if (factor == 1) CHECK(values == picture);
    }
  }
  CHECK(cases == 1 + 8 + 18);
}

TEST_CASE("strength zero is the identity, to the bit") {
  Picture p(7, 11);
  const Picture before = p;
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    CounterRandom random{seed};
    compose(RandomFlip{.probability = 0}, RandomCrop{.padding = 0}, ColourJitter{0, 0, 0},
            RandomErase{.probability = 0})(p.view(), random);
    CHECK(p.values == before.values);
  }
}

TEST_CASE("flips, shifts, factors and erasures come as often as they should") {
  constexpr int n = 20000;
  int flips = 0, erased = 0;
  std::vector<int> shifts(9 * 9);
  double factors = 0, squares = 0, area = 0;
  for (int i = 0; i < n; ++i) {
    CounterRandom random{7, static_cast<std::uint64_t>(i)};
    std::vector<float> values(3 * 9 * 9);
    const ImageView image{values, 3, 9, 9};
    values[0] = 1;  // a mark in the corner
    RandomFlip{.probability = 0.3f}(image, random);
    flips += values[8] == 1;
    std::ranges::fill(values, 0.f);
    values[4 * 9 + 4] = 1;  // in the middle: no shift loses it
    RandomCrop{.padding = 4}(image, random);
    const auto at = std::find(values.begin(), values.end(), 1.f) - values.begin();
    REQUIRE(at < 81);
    ++shifts[static_cast<std::size_t>(at)];
    std::ranges::fill(values, 0.5f);
    ColourJitter{.brightness = 0.4f, .contrast = 0, .saturation = 0}(image, random);
    factors += 2 * values[0], squares += 4 * values[0] * values[0];
    std::ranges::fill(values, 0.f);
    RandomErase{.probability = 0.25f, .min_area = 0.2f, .max_area = 0.4f, .fill = 1}(image, random);
    const auto covered = std::count(values.begin(), values.begin() + 81, 1.f);
    erased += covered > 0, area += static_cast<double>(covered) / 81;
  }
  // Five standard deviations each.
  CHECK(std::abs(flips - 0.3 * n) < 5 * std::sqrt(0.3 * 0.7 * n));
  CHECK(std::abs(erased - 0.25 * n) < 5 * std::sqrt(0.25 * 0.75 * n));
  for (const int count : shifts) CHECK(std::abs(count - n / 81.) < 5 * std::sqrt(n / 81.));
  const double mean = factors / n, variance = squares / n - mean * mean;
  CHECK(std::abs(mean - 1) < 5 * 0.4 / std::sqrt(3. * n));
  CHECK(std::abs(variance - 0.16 / 3) < 0.002);  // of a uniform number in [0.6, 1.4]
  CHECK(std::abs(area / erased - 0.3) < 0.02);   // clamped to the picture and to whole pixels
}
