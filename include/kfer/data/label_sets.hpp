// The three label sets of the K-drama data (Cho et al., BigComp 2022): names in published order, and how many
// images each combination of labels has in each published split.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kfer/core/error.hpp"
#include "kfer/data/kdrama_tables.hpp"

namespace kfer::data {

/// A set of labels as bits: bit i stands for label i of the order at hand.
using LabelMask = std::uint32_t;

enum class Split { train, valid, test };
inline constexpr std::array<Split, 3> splits{Split::train, Split::valid, Split::test};

/// "train" | "valid" | "test", as in the published file names.
constexpr std::string_view name_of(Split split) {
  constexpr std::array<std::string_view, 3> names{"train", "valid", "test"};
  return names[static_cast<std::size_t>(split)];
}

/// One of the three published sets.
struct LabelSet {
  std::string_view name;                    ///< as in file names
  std::span<const std::string_view> names;  ///< labels in published order
  std::span<const LabelSetCount> counts;    ///< occurring combinations, most frequent first (multi-label)

  std::size_t width() const { return names.size(); }

  /// Images in a published split.
  std::int64_t images(Split split) const {
    std::int64_t n = 0;
    for (const auto& count : counts) n += count.images[static_cast<std::size_t>(split)];
    return n;
  }
  std::int64_t images() const { return images(Split::train) + images(Split::valid) + images(Split::test); }

  /// Index of a label. Throws ValueError for an unknown name.
  std::size_t index_of(std::string_view label) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      if (names[i] == label) return i;
    throw ValueError(text("label set ", name, " has no label '", label, "'"));
  }
};

/// 24 labels, several an image; 38,817 images.
inline constexpr LabelSet multi_label{"multi-label", kdrama_tables::multi_label_names,
                                      kdrama_tables::multi_label_counts};
/// The one-label images: 22 labels (no image is labelled 'bored' or 'neutral' alone); 19,800 images.
inline constexpr LabelSet emo22{"22_emo", kdrama_tables::emo22_names, kdrama_tables::emo22_counts};
/// The one-label images of the six basic emotions; 12,813 images.
inline constexpr LabelSet basic6{"6_basic_emo", kdrama_tables::basic6_names, kdrama_tables::basic6_counts};

inline constexpr std::array<const LabelSet*, 3> label_sets{&basic6, &emo22, &multi_label};

/// The set of that name. Throws ValueError naming the three.
inline const LabelSet& label_set(std::string_view name) {
  for (const auto* set : label_sets)
    if (set->name == name) return *set;
  throw ValueError(text("unknown label set '", name, "': expected 6_basic_emo, 22_emo or multi-label"));
}

/// "sad|upset"; "none" for the empty set.
inline std::string label_text(const LabelSet& set, LabelMask labels) {
  std::string out;
  for (std::size_t i = 0; i < set.width(); ++i)
    if (labels >> i & 1) (out += out.empty() ? "" : "|") += set.names[i];
  return out.empty() ? "none" : out;
}

/// The same labels in the order of another set. Throws ValueError if `to` lacks one of them.
inline LabelMask convert_labels(LabelMask labels, const LabelSet& from, const LabelSet& to) {
  LabelMask out = 0;
  for (std::size_t i = 0; i < from.width(); ++i)
    if (labels >> i & 1) out |= LabelMask{1} << to.index_of(from.names[i]);
  return out;
}

}  // namespace kfer::data
