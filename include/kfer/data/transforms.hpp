// Augmentation: small functions on one image of floats, off unless asked for. Each draws from the
// CounterRandom it is given, so an image's augmentation depends on (seed, epoch, row) alone. They compose in
// the order they are written:
//
//   loader_options.transform = compose(RandomFlip{}, RandomCrop{.padding = 4}, RandomErase{.probability =
//   0.25f});
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/data/counter_random.hpp"

namespace kfer::data {

/// One image as channels x height x width floats in [0, 1], in somebody's batch.
struct ImageView {
  std::span<float> values;
  int channels, height, width;

  std::span<float> row(int c, int y) const {
    return values.subspan(static_cast<std::size_t>((c * height + y) * width),
                          static_cast<std::size_t>(width));
  }
};

/// Mirrors left and right.
struct RandomFlip {
  float probability = 0.5f;

  void operator()(ImageView image, CounterRandom& random) const {
    if (!random.chance(probability)) return;
    for (int c = 0; c < image.channels; ++c)
      for (int y = 0; y < image.height; ++y) std::ranges::reverse(image.row(c, y));
  }
};

/// Shifts by up to `padding` pixels each way, as cropping from an image padded with its edge pixels does.
struct RandomCrop {
  int padding = 4;

  void operator()(ImageView image, CounterRandom& random) const {
    require(padding >= 0, "RandomCrop: padding must not be negative, got ", padding);
    const auto range = static_cast<std::uint64_t>(2 * padding + 1);
    const int dy = static_cast<int>(random.below(range)) - padding,
              dx = static_cast<int>(random.below(range)) - padding;
    if (dx == 0 && dy == 0) return;
    const std::vector<float> from(image.values.begin(), image.values.end());
    for (int c = 0; c < image.channels; ++c)
      for (int y = 0; y < image.height; ++y) {
        const int sy = std::clamp(y + dy, 0, image.height - 1);
        const float* source = from.data() + static_cast<std::size_t>((c * image.height + sy) * image.width);
        const auto out = image.row(c, y);
        for (int x = 0; x < image.width; ++x)
          out[static_cast<std::size_t>(x)] = source[std::clamp(x + dx, 0, image.width - 1)];
      }
  }
};

/// Scales brightness, contrast (about the image's mean) and saturation (about each pixel's grey) by factors
/// drawn from [1 - s, 1 + s], and clamps to [0, 1]. Expects RGB.
struct ColourJitter {
  float brightness = 0.2f, contrast = 0.2f, saturation = 0.2f;

  void operator()(ImageView image, CounterRandom& random) const {
    require<ShapeError>(image.channels == 3, "ColourJitter works on 3 channels, got ", image.channels);
    const float b = factor(brightness, random), c = factor(contrast, random), s = factor(saturation, random);
    const std::size_t n = image.values.size() / 3;
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += grey(image, n, i);
    const float mean = static_cast<float>(sum / static_cast<double>(n));
    for (std::size_t i = 0; i < n; ++i) {
      const float g = grey(image, n, i);
      for (std::size_t k = 0; k < 3; ++k) {
        float& v = image.values[k * n + i];
        v = std::clamp(b * (mean + c * (g + s * (v - g) - mean)), 0.f, 1.f);
      }
    }
  }

 private:
  static float factor(float strength, CounterRandom& random) {
    require(strength >= 0 && strength <= 1, "ColourJitter: strengths lie in [0, 1], got ", strength);
    return random.uniform(1 - strength, 1 + strength);
  }
  static float grey(const ImageView& image, std::size_t n, std::size_t i) {
    return 0.299f * image.values[i] + 0.587f * image.values[n + i] + 0.114f * image.values[2 * n + i];
  }
};

/// Overwrites a rectangle of a random part of the area by grey (Zhong et al., "Random Erasing", AAAI 2020).
struct RandomErase {
  float probability = 0.5f, min_area = 0.02f, max_area = 0.2f, fill = 0.5f;

  void operator()(ImageView image, CounterRandom& random) const {
    require(0 < min_area && min_area <= max_area && max_area <= 1,
            "RandomErase: areas must be 0 < min <= max <= 1, got ", min_area, " and ", max_area);
    if (!random.chance(probability)) return;
    const float area = random.uniform(min_area, max_area) * static_cast<float>(image.height * image.width);
    const float aspect = std::exp(random.uniform(-1.2f, 1.2f));  // 0.3 to 3.3
    const auto extent = [](float v, int limit) { return std::clamp(static_cast<int>(v + 0.5f), 1, limit); };
    const int h = extent(std::sqrt(area * aspect), image.height),
              w = extent(std::sqrt(area / aspect), image.width);
    const int y0 = static_cast<int>(random.below(static_cast<std::uint64_t>(image.height - h + 1)));
    const int x0 = static_cast<int>(random.below(static_cast<std::uint64_t>(image.width - w + 1)));
    for (int c = 0; c < image.channels; ++c)
      for (int y = y0; y < y0 + h; ++y)
        std::ranges::fill(image.row(c, y).subspan(static_cast<std::size_t>(x0), static_cast<std::size_t>(w)),
                          fill);
  }
};

/// One transform that applies all, first to last.
template <class... Transforms>
auto compose(Transforms... transforms) {
  return [=](ImageView image, CounterRandom& random) { (transforms(image, random), ...); };
}

}  // namespace kfer::data
