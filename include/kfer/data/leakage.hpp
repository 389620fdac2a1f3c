// How much of an evaluation split a model has as good as seen: images whose clip has images in the training
// split. Frames of one clip show the same face, light and expression, so such a split measures memory as much
// as skill.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace kfer::data {

/// Of `images` images, `seen` belong to a clip of the training split.
struct Leakage {
  std::int64_t images = 0, seen = 0;

  /// From 0 to 1; 0 if there are no images.
  double share() const { return images == 0 ? 0. : static_cast<double>(seen) / static_cast<double>(images); }
  double percent() const { return 100. * share(); }
  friend bool operator==(const Leakage&, const Leakage&) = default;
};

/// Both are clip ids, one an image.
inline Leakage leakage(std::span<const std::string_view> train_clips,
                       std::span<const std::string_view> other_clips) {
  const std::unordered_set<std::string_view> known(train_clips.begin(), train_clips.end());
  Leakage out;
  for (const auto clip : other_clips) {
    ++out.images;
    out.seen += known.contains(clip);
  }
  return out;
}

}  // namespace kfer::data
