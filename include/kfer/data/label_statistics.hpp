// What the labels of a split data set look like: how often each label and label set occurs, and the clips.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "kfer/data/clip_partition.hpp"
#include "kfer/data/label_file.hpp"

namespace kfer::data {

/// Images in {train, valid, test}.
using SplitCounts = std::array<std::int64_t, 3>;

inline std::int64_t total(const SplitCounts& counts) {
  return counts[0] + counts[1] + counts[2];
}

/// One clip.
struct ClipStatistics {
  SplitCounts images{};
  std::set<LabelMask> label_sets;  ///< one, if all of its images are labelled alike

  int splits() const {
    return static_cast<int>(std::ranges::count_if(images, [](auto n) { return n > 0; }));
  }
};

struct LabelStatistics {
  SplitCounts images{};
  std::vector<SplitCounts> labels;              ///< images that carry label c
  std::map<LabelMask, SplitCounts> label_sets;  ///< images that carry exactly these labels
  std::map<int, SplitCounts> labels_an_image;   ///< images with so many labels
  std::map<std::string, SplitCounts> dramas;    ///< by the first two characters of the image ids
  std::map<std::string, ClipStatistics> clips;

  /// Images of each clip, ascending.
  std::vector<std::int64_t> clip_sizes() const {
    std::vector<std::int64_t> sizes;
    for (const auto& [id, clip] : clips) sizes.push_back(total(clip.images));
    std::ranges::sort(sizes);
    return sizes;
  }
};

/// Counts the sound rows of the three splits.
inline LabelStatistics label_statistics(const LabelSet& set,
                                        const std::array<std::vector<LabelRow>, 3>& rows) {
  LabelStatistics out;
  out.labels.resize(set.width());
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto& row : rows[s]) {
      if (!row.sound) continue;
      ++out.images[s];
      for (std::size_t c = 0; c < set.width(); ++c) out.labels[c][s] += row.labels >> c & 1;
      ++out.label_sets[row.labels][s];
      ++out.labels_an_image[std::popcount(row.labels)][s];
      ++out.dramas[row.image_id.substr(0, 2)][s];
      auto& clip = out.clips[row.clip_id];
      ++clip.images[s];
      clip.label_sets.insert(row.labels);
    }
  return out;
}

/// Images of `set` with exactly these labels in the published splits; zeros if there are none.
inline SplitCounts published_counts(const LabelSet& set, LabelMask labels) {
  for (const auto& row : set.counts)
    if (row.labels == labels) return {row.images[0], row.images[1], row.images[2]};
  return {};
}

/// The clips of the rows as `partition_clips` wants them, sorted by id.
inline std::vector<ClipContents> clip_contents(const LabelSet& set,
                                               const std::array<std::vector<LabelRow>, 3>& rows) {
  std::map<std::string, ClipContents> clips;
  for (const auto& split : rows)
    for (const auto& row : split) {
      if (!row.sound) continue;
      auto& clip = clips[row.clip_id];
      clip.id = row.clip_id;
      clip.label_images.resize(set.width());
      ++clip.images;
      for (std::size_t c = 0; c < set.width(); ++c) clip.label_images[c] += row.labels >> c & 1;
    }
  std::vector<ClipContents> out;
  for (auto& [id, clip] : clips) out.push_back(std::move(clip));
  return out;
}

}  // namespace kfer::data
