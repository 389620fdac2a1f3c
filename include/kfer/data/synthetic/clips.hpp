// Which images a synthetic set holds: how many of each label set, cut into clips, dealt to train, valid and
// test. The published set is the pattern: the same label sets in the same proportions, the same kind of
// clips, and the same way of splitting, image by image, so that most test images have a neighbour of their
// clip in train.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kfer/data/counter_random.hpp"
#include "kfer/data/label_sets.hpp"

namespace kfer::data::synthetic {

/// Divides `total` in the proportions of `weights` by the method of largest remainders: parts sum to `total`,
/// and each is its exact share rounded down or up. Ties go to the earlier part. Weights are not negative; all
/// zero gives zeros.
inline std::vector<std::int64_t> apportion(std::int64_t total, std::span<const std::int64_t> weights) {
  const std::int64_t sum = std::accumulate(weights.begin(), weights.end(), std::int64_t{0});
  std::vector<std::int64_t> parts(weights.size());
  if (sum <= 0) return parts;
  std::vector<std::int64_t> remainders(weights.size());
  std::int64_t left = total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    parts[i] = total * weights[i] / sum;
    remainders[i] = total * weights[i] % sum;
    left -= parts[i];
  }
  std::vector<std::size_t> order(weights.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return remainders[a] > remainders[b]; });
  for (std::int64_t i = 0; i < left; ++i) ++parts[order[static_cast<std::size_t>(i)]];
  return parts;
}

/// One shot of one person, who shows one label set in all of it.
struct Clip {
  LabelMask labels;  ///< in the order of `multi_label`
  std::int32_t drama, number;
  std::int32_t images;
};

/// One picture: a frame of a clip, and where it goes.
struct Image {
  std::int32_t clip, frame;
  Split split;  ///< in the multi-label set; the one-label sets are split by themselves
};

struct Plan {
  std::vector<Clip> clips;
  std::vector<Image> images;  ///< clip by clip, frame by frame
};

inline constexpr std::array<int, 5> dramas{3, 6, 12, 16, 22};
inline constexpr std::int32_t longest_clip = 137;

/// Images in a clip, 1 to 137: log-normal with median 8, as wide as the published mean (11.9) asks.
inline std::int32_t sample_clip_length(CounterRandom& random) {
  const float length = 8.f * std::exp(0.89f * random.normal());
  return std::clamp(static_cast<std::int32_t>(length + 0.5f), 1, longest_clip);
}

/// Deals the items `members` (indices into `images`) to the splits, `counts[s]` to each, in an order drawn
/// from `keys`.
template <class Assign>
void deal(std::vector<std::size_t> members, std::span<const std::int64_t> counts, std::uint64_t seed,
          std::uint64_t stream, const Assign& assign) {
  std::sort(members.begin(), members.end(), [&](auto a, auto b) {
    const auto ha = hash_keys({seed, stream, a}), hb = hash_keys({seed, stream, b});
    return ha != hb ? ha < hb : a < b;
  });
  std::size_t i = 0;
  for (std::size_t s = 0; s < counts.size(); ++s)
    for (std::int64_t k = 0; k < counts[s] && i < members.size(); ++k) assign(members[i++], splits[s]);
}

/// Plans a set of `images` pictures. Throws ValueError unless 0 < images <= 10^7.
inline Plan make_plan(std::int64_t images, std::uint64_t seed) {
  require(images > 0 && images <= 10'000'000, "a synthetic set has 1 to 10,000,000 images, asked for ",
          images);
  const auto& published = multi_label.counts;
  const std::array<std::int64_t, 3> split_weights{
      multi_label.images(Split::train), multi_label.images(Split::valid), multi_label.images(Split::test)};
  const auto totals = apportion(images, split_weights);
  std::array<std::vector<std::int64_t>, 3> counts;  // by split, then label set
  for (std::size_t s = 0; s < 3; ++s) {
    std::vector<std::int64_t> weights;
    for (const auto& row : published) weights.push_back(row.images[s]);
    counts[s] = apportion(totals[s], weights);
  }

  Plan plan;
  std::array<std::int32_t, dramas.size()> numbers{};
  for (std::size_t row = 0; row < published.size(); ++row) {
    const std::array<std::int64_t, 3> parts{counts[0][row], counts[1][row], counts[2][row]};
    std::int64_t left = parts[0] + parts[1] + parts[2];
    std::vector<std::size_t> members;
    CounterRandom random{seed, 1, row};
    while (left > 0) {
      const auto length = static_cast<std::int32_t>(std::min<std::int64_t>(left, sample_clip_length(random)));
      const auto drama = static_cast<std::size_t>(random.below(dramas.size()));
      const auto clip = static_cast<std::int32_t>(plan.clips.size());
      plan.clips.push_back(
          {published[row].labels, static_cast<std::int32_t>(drama), ++numbers[drama], length});
      for (std::int32_t frame = 0; frame < length; ++frame) {
        members.push_back(plan.images.size());
        plan.images.push_back({clip, frame, Split::train});
      }
      left -= length;
    }
    deal(members, parts, seed, 2 + row, [&](std::size_t i, Split split) { plan.images[i].split = split; });
  }
  return plan;
}

/// "06_0000031", in the published style: drama, clip.
inline std::string clip_name(const Clip& clip) {
  const auto digits = [](int value, std::size_t width) {
    std::string s = std::to_string(value);
    return s.size() < width ? std::string(width - s.size(), '0') + s : s;
  };
  return digits(dramas[static_cast<std::size_t>(clip.drama)], 2) + "_" + digits(clip.number, 7);
}

/// "06_0000031_00033.jpg": the clip, and its frame from 1. Published ids end in .jpg whatever the record's
/// codec.
inline std::string image_name(const Clip& clip, std::int32_t frame) {
  std::string s = std::to_string(frame + 1);
  return clip_name(clip) + "_" + std::string(s.size() < 5 ? 5 - s.size() : 0, '0') + s + ".jpg";
}

}  // namespace kfer::data::synthetic
