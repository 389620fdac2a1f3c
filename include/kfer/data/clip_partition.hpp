// Which clip belongs to train, valid or test, when whole clips are dealt: 80 : 10 : 10 of the images, of the
// clips and of the images of every label.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/data/label_sets.hpp"

namespace kfer::data {

/// What a clip holds.
struct ClipContents {
  std::string id;
  std::int64_t images = 0;
  std::vector<std::int64_t> label_images;  ///< for each label, the images that carry it
};

/// Tenths of train, valid and test in the by-clip partition.
inline constexpr std::array<std::int64_t, 3> by_clip_tenths{8, 1, 1};

namespace detail {

/// How far three splits are from 8 : 1 : 1 in each of several quantities (images, clips, the images of a
/// label): the chi-squared statistic, the sum of (found - wanted)^2 / wanted. In whole numbers, so that it is
/// the same on every machine.
class PartitionCost {
 public:
  explicit PartitionCost(std::vector<std::int64_t> totals) : totals_(std::move(totals)) {
    for (auto& split : found_) split.assign(totals_.size(), 0);
  }

  /// From now on a quantity that a split lacks costs more than any other difference.
  void demand_presence() {
    absence_ = std::accumulate(totals_.begin(), totals_.end(), std::int64_t{1}) * 10 * unit;
  }
  /// What the cost rises by if `amounts` are added to `split` (sign 1) or taken from it (-1).
  std::int64_t change(std::size_t split, std::span<const std::int64_t> amounts, int sign) const {
    std::int64_t sum = 0;
    for (std::size_t q = 0; q < amounts.size(); ++q)
      if (amounts[q] != 0)
        sum += cost(split, q, found_[split][q] + sign * amounts[q]) - cost(split, q, found_[split][q]);
    return sum;
  }
  void add(std::size_t split, std::span<const std::int64_t> amounts, int sign) {
    for (std::size_t q = 0; q < amounts.size(); ++q) found_[split][q] += sign * amounts[q];
  }

 private:
  static constexpr std::int64_t unit = 1024;  // parts of 1 that the statistic is counted in

  std::int64_t cost(std::size_t split, std::size_t q, std::int64_t found) const {
    const auto wanted = by_clip_tenths[split] * totals_[q];  // in tenths
    const auto square = (10 * found - wanted) * (10 * found - wanted), divisor = 10 * wanted;
    return square / divisor * unit + square % divisor * unit / divisor + (found == 0 ? absence_ : 0);
  }

  std::vector<std::int64_t> totals_;
  std::array<std::vector<std::int64_t>, 3> found_;
  std::int64_t absence_ = 0;
};

}  // namespace detail

/// Deals clips to splits, the same for everyone: the answer depends on the clips alone, not on their order,
/// the machine or a seed. Entry i is the split of clip i.
///
/// Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011) over clips instead of images:
/// the rarest label first, its largest clips first, each to the split that it brings closest to 8 : 1 : 1;
/// then, while one helps, the move of a clip that helps most. Closeness is that of images, clips and the
/// images of each label together; first of all no split should lack a label, which three clips of it usually
/// suffice for.
///
/// Throws ValueError for clips without images, an id twice, labels of different width, a label on more images
/// than the clip has, or more than a hundred million images.
inline std::vector<Split> partition_clips(std::span<const ClipContents> clips) {
  const std::size_t labels = clips.empty() ? 0 : clips[0].label_images.size();

  // What is balanced: images, clips, then the images of each label.
  std::vector<std::vector<std::int64_t>> amounts;
  std::vector<std::int64_t> totals(2 + labels);
  std::vector<std::pair<std::uint64_t, std::size_t>> hashes;
  for (const auto& clip : clips) {
    require(clip.images > 0, "clip '", clip.id, "' has ", clip.images, " images");
    require(clip.label_images.size() == labels, "clip '", clip.id, "' has ", clip.label_images.size(),
            " labels, the first clip ", labels);
    std::vector<std::int64_t> row{clip.images, 1};
    for (const auto n : clip.label_images) {
      require(n >= 0 && n <= clip.images, "clip '", clip.id, "': ", n, " of ", clip.images,
              " images carry a label");
      row.push_back(n);
    }
    for (std::size_t q = 0; q < row.size(); ++q) totals[q] += row[q];
    require(totals[0] <= 100'000'000, "more than a hundred million images to partition");
    amounts.push_back(std::move(row));
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
    for (const char letter : clip.id) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
    hashes.emplace_back(hash, hashes.size());
  }
  // The order that settles every tie: large clips first, equal ones by a hash, so that no drama comes first.
  std::vector<std::size_t> order(clips.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    if (clips[a].images != clips[b].images) return clips[a].images > clips[b].images;
    if (hashes[a].first != hashes[b].first) return hashes[a].first < hashes[b].first;
    return clips[a].id < clips[b].id;
  });
  for (std::size_t i = 1; i < order.size(); ++i)
    require(clips[order[i - 1]].id != clips[order[i]].id, "clip '", clips[order[i]].id, "' is there twice");

  detail::PartitionCost cost(totals);
  std::vector<std::size_t> home(clips.size(), splits.size());
  auto left = totals;  // not dealt yet
  const auto deal = [&](std::size_t i) {
    std::size_t best = 0;
    for (std::size_t s = 1; s < splits.size(); ++s)
      if (cost.change(s, amounts[i], 1) < cost.change(best, amounts[i], 1)) best = s;
    home[i] = best;
    cost.add(best, amounts[i], 1);
    for (std::size_t q = 0; q < left.size(); ++q) left[q] -= amounts[i][q];
  };
  for (;;) {
    std::size_t rarest = 0;  // a label; 0 if none is left
    for (std::size_t q = 2; q < left.size(); ++q)
      if (left[q] > 0 && (rarest == 0 || left[q] < left[rarest])) rarest = q;
    for (const auto i : order)
      if (home[i] == splits.size() && (rarest == 0 || amounts[i][rarest] > 0)) deal(i);
    if (rarest == 0) break;
  }

  cost.demand_presence();
  for (;;) {
    std::int64_t best = 0;
    std::size_t mover = 0, to = 0;
    for (const auto i : order) {
      const auto leaving = cost.change(home[i], amounts[i], -1);
      for (std::size_t s = 0; s < splits.size(); ++s) {
        if (s == home[i]) continue;
        const auto change = leaving + cost.change(s, amounts[i], 1);
        if (change < best) best = change, mover = i, to = s;
      }
    }
    if (best == 0) break;
    cost.add(home[mover], amounts[mover], -1);
    cost.add(to, amounts[mover], 1);
    home[mover] = to;
  }

  std::vector<Split> out;
  for (const auto s : home) out.push_back(splits[s]);
  return out;
}

}  // namespace kfer::data
