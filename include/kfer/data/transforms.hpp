// Augmentation: small functions on one image of floats, off unless asked for. Each is a deterministic change
// (`flip`, `shift`, `adjust_colour`, `erase`) and a transform that draws its strength from the CounterRandom
// it is given, so that an image's augmentation depends on (seed, epoch, row) alone. Transforms compose in the
// order they are written:
//
//   loader_options.transform = compose(RandomFlip{}, RandomCrop{.padding = 4}, RandomErase{});
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

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
inline void flip(ImageView image) {
  for (int c = 0; c < image.channels; ++c)
    for (int y = 0; y < image.height; ++y) std::ranges::reverse(image.row(c, y));
}

/// Moves the picture up by `dy` and to the left by `dx` pixels; what comes into view repeats the edge:
/// out[y][x] = in[clamp(y + dy)][clamp(x + dx)].
inline void shift(ImageView image, int dy, int dx) {
  const int h = image.height, w = image.width;
  if ((dy == 0 && dx == 0) || h == 0 || w == 0) return;
  dy = std::clamp(dy, 1 - h, h - 1);
  dx = std::clamp(dx, 1 - w, w - 1);
  const auto kept = static_cast<std::size_t>(w - std::abs(dx)),
             moved = static_cast<std::size_t>(std::abs(dx));
  for (int c = 0; c < image.channels; ++c)
    for (int i = 0; i < h; ++i) {
      const int y = dy >= 0 ? i : h - 1 - i;  // in place: no row is read after it was written
      float* const to = image.row(c, y).data();
      const float* const from = image.row(c, std::clamp(y + dy, 0, h - 1)).data();
      const float edge = dx >= 0 ? from[w - 1] : from[0];
      std::memmove(dx >= 0 ? to : to + moved, dx >= 0 ? from + moved : from, kept * sizeof(float));
      std::fill_n(dx >= 0 ? to + kept : to, moved, edge);
    }
}

/// Factors; 1 leaves the picture as it is.
struct ColourFactors {
  float brightness = 1, contrast = 1, saturation = 1;
};

/// Blends each pixel with its grey (saturation), then with the image's mean grey (contrast), then scales
/// (brightness), and clamps once to [0, 1]. Grey is ITU-R BT.601's 0.299 R + 0.587 G + 0.114 B. Alone, each
/// is torchvision's adjustment of that name (v2.functional.adjust_brightness and so on). Throws ShapeError
/// unless the image is RGB.
inline void adjust_colour(ImageView image, ColourFactors factors) {
  require<ShapeError>(image.channels == 3, "colour can be adjusted of 3 channels, got ", image.channels);
  constexpr std::size_t lanes = 16;  // whatever the machine's registers: the sum has one order
  const std::size_t n = image.values.size() / 3;
  float *const r = image.values.data(), *const g = r + n, *const b = g + n;
  const auto grey = [](auto red, auto green, auto blue) {
    return 0.299f * red + 0.587f * green + 0.114f * blue;
  };
  const auto [brightness, contrast, saturation] = factors;
  float offset = 0;
  if (contrast != 1) {
    float sums[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= n; i += lanes)
      for (std::size_t k = 0; k < lanes; ++k) sums[k] += grey(r[i + k], g[i + k], b[i + k]);
    double sum = 0;
    for (const float lane : sums) sum += lane;
    for (; i < n; ++i) sum += grey(r[i], g[i], b[i]);
    offset = brightness * (1 - contrast) * static_cast<float>(sum / static_cast<double>(n));
  }
  // b (mean + c (grey + s (v - grey) - mean)), multiplied out: exactly v where all factors are 1.
  const float own = brightness * contrast * saturation, greys = brightness * contrast * (1 - saturation);
  for (std::size_t i = 0; i < n; ++i) {
    const float base = greys * grey(r[i], g[i], b[i]) + offset;
    r[i] = std::min(std::max(own * r[i] + base, 0.f), 1.f);
    g[i] = std::min(std::max(own * g[i] + base, 0.f), 1.f);
    b[i] = std::min(std::max(own * b[i] + base, 0.f), 1.f);
  }
}

struct Rectangle {
  int top = 0, left = 0, height = 0, width = 0;
};

/// Overwrites a rectangle, which must lie inside, in all channels.
inline void erase(ImageView image, Rectangle area, float fill) {
  for (int c = 0; c < image.channels; ++c)
    for (int y = area.top; y < area.top + area.height; ++y)
      std::fill_n(image.row(c, y).data() + area.left, area.width, fill);
}

/// Mirrors left and right, or not.
struct RandomFlip {
  float probability = 0.5f;

  void operator()(ImageView image, CounterRandom& random) const {
    if (random.chance(probability)) flip(image);
  }
};

/// Shifts by up to `padding` pixels each way, as cropping from an image padded with its edge pixels does.
struct RandomCrop {
  int padding = 4;

  void operator()(ImageView image, CounterRandom& random) const {
    require(padding >= 0 && padding < 1 << 20, "RandomCrop: padding must not be negative, got ", padding);
    const auto range = static_cast<std::uint64_t>(2 * padding + 1);
    const int dy = static_cast<int>(random.below(range)) - padding,
              dx = static_cast<int>(random.below(range)) - padding;
    shift(image, dy, dx);
  }
};

/// Scales brightness, contrast and saturation by factors drawn from [1 - strength, 1 + strength].
struct ColourJitter {
  float brightness = 0.2f, contrast = 0.2f, saturation = 0.2f;

  void operator()(ImageView image, CounterRandom& random) const {
    const float b = factor(brightness, random), c = factor(contrast, random), s = factor(saturation, random);
    adjust_colour(image, {.brightness = b, .contrast = c, .saturation = s});
  }

 private:
  static float factor(float strength, CounterRandom& random) {
    require(strength >= 0 && strength <= 1, "ColourJitter: strengths lie in [0, 1], got ", strength);
    return random.uniform(1 - strength, 1 + strength);
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
    const auto place = [&](int room) {
      return static_cast<int>(random.below(static_cast<std::uint64_t>(room + 1)));
    };
    const int top = place(image.height - h), left = place(image.width - w);
    erase(image, {.top = top, .left = left, .height = h, .width = w}, fill);
  }
};

/// One transform that applies all, first to last.
template <class... Transforms>
auto compose(Transforms... transforms) {
  return [=](ImageView image, CounterRandom& random) { (transforms(image, random), ...); };
}

}  // namespace kfer::data
