// The by-clip partition: whole clips, 8 : 1 : 1 in images and in every label, the same for everyone.
#include "kfer/data/clip_partition.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kfer/data/counter_random.hpp"
#include "kfer/data/synthetic_faces.hpp"

using namespace kfer;
using namespace kfer::data;

namespace {

using Counts = std::array<std::int64_t, 3>;

ClipContents clip(std::string id, std::int64_t images, std::vector<std::int64_t> labels) {
  return {std::move(id), images, std::move(labels)};
}

/// Images a split, and images of each label a split.
struct Shares {
  Counts images{}, clips{};
  std::vector<Counts> labels, label_clips;
};
Shares shares_of(const std::vector<ClipContents>& clips, const std::vector<Split>& home) {
  Shares out;
  REQUIRE(clips.size() == home.size());
  const auto width = clips.empty() ? 0 : clips[0].label_images.size();
  out.labels.resize(width);
  out.label_clips.resize(width);
  for (std::size_t i = 0; i < clips.size(); ++i) {
    const auto s = static_cast<std::size_t>(home[i]);
    out.images[s] += clips[i].images;
    ++out.clips[s];
    for (std::size_t c = 0; c < width; ++c) {
      out.labels[c][s] += clips[i].label_images[c];
      out.label_clips[c][s] += clips[i].label_images[c] > 0;
    }
  }
  return out;
}

std::vector<ClipContents> synthetic_clips(const LabelSet& set, std::int64_t images) {
  const SyntheticFaces faces({.images = images});
  std::map<std::string, ClipContents> clips;
  for (std::int64_t i = 0; i < faces.size(); ++i) {
    const auto labels = faces.labels(i);
    LabelMask mask = labels;
    if (set.name != multi_label.name) {
      if (std::popcount(labels) != 1) continue;
      bool member = false;
      for (const auto& row : set.counts) member |= convert_labels(row.labels, set, multi_label) == labels;
      if (!member) continue;
      mask = convert_labels(labels, multi_label, set);
    }
    auto& entry = clips[std::string(faces.clip_id(i))];
    entry.id = faces.clip_id(i);
    entry.label_images.resize(set.width());
    ++entry.images;
    for (std::size_t c = 0; c < set.width(); ++c) entry.label_images[c] += mask >> c & 1;
  }
  std::vector<ClipContents> out;
  for (auto& [id, contents] : clips) out.push_back(std::move(contents));
  return out;
}

/// Clips of random sizes with one or two of `width` labels, some rare.
std::vector<ClipContents> random_clips(std::size_t n, std::size_t width, std::uint64_t seed) {
  std::vector<ClipContents> out;
  CounterRandom random{seed};
  for (std::size_t i = 0; i < n; ++i) {
    const auto images = static_cast<std::int64_t>(1 + random.below(60));
    std::vector<std::int64_t> labels(width);
    for (int k = 0; k < 2; ++k) labels[std::min(random.below(width), random.below(width))] = images;
    out.push_back(clip(text("clip", i), images, std::move(labels)));
  }
  return out;
}

/// The chi-squared distance to 8 : 1 : 1 of images, clips and labels, and the labels that splits lack.
std::pair<int, double> distance(const std::vector<ClipContents>& clips, const std::vector<Split>& home) {
  const auto shares = shares_of(clips, home);
  auto quantities = shares.labels;
  quantities.push_back(shares.images);
  quantities.push_back(shares.clips);
  int lacking = 0;
  double sum = 0;
  for (const auto& found : quantities) {
    const double total = static_cast<double>(found[0] + found[1] + found[2]);
    if (total == 0) continue;
    for (std::size_t s = 0; s < 3; ++s) {
      const double wanted = total * (s == 0 ? 0.8 : 0.1);
      sum += std::pow(static_cast<double>(found[s]) - wanted, 2) / wanted;
      lacking += found[s] == 0;
    }
  }
  return {lacking, sum};
}

}  // namespace

TEST_CASE("equal clips of single labels are dealt exactly 8 : 1 : 1") {
  std::vector<ClipContents> clips;
  for (int i = 0; i < 20; ++i) clips.push_back(clip(text("a", i), 7, {i < 10 ? 7 : 0, i < 10 ? 0 : 7}));
  const auto shares = shares_of(clips, partition_clips(clips));
  CHECK(shares.images == Counts{112, 14, 14});
  for (const auto& label : shares.labels) CHECK(label == Counts{56, 7, 7});
}

TEST_CASE("one large clip of a label goes to train, its small ones to valid and test") {
  const std::vector<ClipContents> clips{clip("s1", 5, {5}), clip("large", 80, {80}), clip("s2", 5, {5}),
                                        clip("s3", 5, {5}), clip("s4", 5, {5})};
  const auto home = partition_clips(clips);
  CHECK(home[1] == Split::train);
  CHECK(shares_of(clips, home).images == Counts{80, 10, 10});
}

TEST_CASE("few clips: training comes first, then every split has one of each label") {
  CHECK(partition_clips({}).empty());
  const std::vector<ClipContents> one{clip("x", 9, {9})};
  CHECK(partition_clips(one) == std::vector<Split>{Split::train});
  const std::vector<ClipContents> two{clip("x", 9, {9}), clip("y", 3, {3})};
  CHECK(partition_clips(two)[0] == Split::train);
  CHECK(partition_clips(two)[1] != Split::train);
  const std::vector<ClipContents> three{clip("x", 3, {3}), clip("y", 50, {50}), clip("z", 4, {4})};
  const auto home = partition_clips(three);
  CHECK(home[1] == Split::train);
  CHECK(shares_of(three, home).clips == Counts{1, 1, 1});
}

TEST_CASE("at full scale, sizes, clips and labels of all three sets are 80 : 10 : 10") {
  for (const auto* set : label_sets) {
    CAPTURE(set->name);
    const auto clips = synthetic_clips(*set, 38817);
    const auto home = partition_clips(clips);
    const auto shares = shares_of(clips, home);
    std::int64_t images = 0, largest = 0;
    std::vector<std::int64_t> largest_of(set->width());
    for (const auto& each : clips) {
      images += each.images;
      largest = std::max(largest, each.images);
      for (std::size_t c = 0; c < set->width(); ++c)
        largest_of[c] = std::max(largest_of[c], each.label_images[c]);
    }
    for (std::size_t s = 0; s < 3; ++s) {
      const double wanted = (s == 0 ? 0.8 : 0.1) * static_cast<double>(images);
      CHECK(std::abs(static_cast<double>(shares.images[s]) - wanted) <= static_cast<double>(largest));
      const double clips_wanted = (s == 0 ? 0.8 : 0.1) * static_cast<double>(clips.size());
      CHECK(std::abs(static_cast<double>(shares.clips[s]) - clips_wanted) <= 0.05 * clips_wanted);
    }
    for (std::size_t c = 0; c < set->width(); ++c) {
      CAPTURE(set->names[c]);
      const auto& found = shares.labels[c];
      const double total = static_cast<double>(found[0] + found[1] + found[2]);
      const auto label_clips = shares.label_clips[c][0] + shares.label_clips[c][1] + shares.label_clips[c][2];
      if (label_clips == 0) continue;
      CHECK(found[0] > 0);
      for (std::size_t s = 0; s < 3; ++s) {
        // The bound for every label: its largest clip. For labels of 30 clips or more: 5 % or three images.
        const double wanted = (s == 0 ? 0.8 : 0.1) * total;
        const double off = std::abs(static_cast<double>(found[s]) - wanted);
        CHECK(off <= static_cast<double>(largest_of[c]));
        if (label_clips >= 30) CHECK(off <= std::max(0.05 * wanted, 3.0));
        if (label_clips >= 3) CHECK(found[s] > 0);
      }
    }
  }
}

TEST_CASE("the order of the clips does not matter") {
  const auto clips = random_clips(150, 8, 1);
  std::map<std::string, Split> expected;
  const auto home = partition_clips(clips);
  for (std::size_t i = 0; i < clips.size(); ++i) expected[clips[i].id] = home[i];
  CounterRandom random{7};
  for (int round = 0; round < 5; ++round) {
    auto shuffled = clips;
    for (std::size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[random.below(i)]);
    const auto again = partition_clips(shuffled);
    for (std::size_t i = 0; i < shuffled.size(); ++i) CHECK(again[i] == expected.at(shuffled[i].id));
  }
}

TEST_CASE("no single move of a clip brings the partition closer to 8 : 1 : 1") {
  for (const std::size_t n : {4, 11, 60, 200}) {
    CAPTURE(n);
    const auto clips = random_clips(n, 6, n);
    auto home = partition_clips(clips);
    const auto [lacking, sum] = distance(clips, home);
    for (auto& split : home)
      for (const auto other : splits) {
        const auto before = std::exchange(split, other);
        const auto [lacking_then, sum_then] = distance(clips, home);
        // The partition counts in parts of 1024.
        CHECK((lacking_then > lacking || (lacking_then == lacking && sum_then >= sum - 0.05)));
        split = before;
      }
  }
}

TEST_CASE("clips that cannot be are refused") {
  const auto refused = [](std::vector<ClipContents> clips) {
    try {
      partition_clips(clips);
    } catch (const ValueError&) {
      return true;
    }
    return false;
  };
  CHECK(refused({clip("x", 0, {0})}));
  CHECK(refused({clip("x", 3, {4})}));
  CHECK(refused({clip("x", 3, {-1})}));
  CHECK(refused({clip("x", 3, {3}), clip("y", 3, {3, 3})}));
  CHECK(refused({clip("x", 3, {3}), clip("x", 3, {3})}));
  CHECK(refused({clip("x", 3, {3}), clip("y", 1, {1}), clip("x", 2, {2})}));
  CHECK(refused({clip("x", 100'000'001, {1})}));
  CHECK_FALSE(refused({clip("x", 99'999'999, {99'999'999}), clip("y", 1, {1})}));
}
