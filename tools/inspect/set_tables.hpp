// What an inspection found, as tables.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kfer/data/kdrama_inspection.hpp"
#include "table.hpp"

namespace inspect {

using kfer::data::KdramaInspection;
using kfer::data::SplitCounts;
using kfer::data::splits;
using kfer::data::total;

/// Of 100, to one decimal.
inline double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0. : std::round(1000. * static_cast<double>(part) / static_cast<double>(whole)) / 10.;
}

inline Table image_table(const KdramaInspection& found) {
  Table table{"images", "images", {"split", "published", "here", "difference"}, {}};
  const auto add = [&](Json split, std::int64_t published, std::int64_t here) {
    table.rows.push_back({std::move(split), published, here, here - published});
  };
  std::int64_t rows = 0;
  for (std::size_t s = 0; s < splits.size(); ++s) {
    const auto here = static_cast<std::int64_t>(found.published.rows[s].size());
    add(name_of(splits[s]), found.set->images(splits[s]), here);
    rows += here;
  }
  add("all", found.set->images(), rows);
  return table;
}

/// Columns of a row of counts against the published ones.
inline std::vector<Json> compared(Json name, const SplitCounts& published, const SplitCounts& here) {
  return {std::move(name), total(published), total(here), total(here) - total(published),
          here[0],         here[1],          here[2],     published[0],
          published[1],    published[2]};
}
inline const std::vector<std::string>& compared_columns() {
  static const std::vector<std::string> names{"published",     "here", "difference",      "train",
                                              "valid",         "test", "published_train", "published_valid",
                                              "published_test"};
  return names;
}

inline Table label_table(const KdramaInspection& found) {
  const auto& set = *found.set;
  Table table{"labels", "images that carry a label", {"label"}, {}, 7};
  table.columns.insert(table.columns.end(), compared_columns().begin(), compared_columns().end());
  for (std::size_t c = 0; c < set.width(); ++c) {
    SplitCounts published{};
    for (const auto& row : set.counts)
      for (std::size_t s = 0; s < splits.size(); ++s)
        published[s] += (row.labels >> c & 1) * static_cast<std::int64_t>(row.images[s]);
    table.rows.push_back(compared(set.names[c], published, found.published.statistics.labels[c]));
  }
  return table;
}

/// The most frequent label sets here first, then those that are only published.
inline std::vector<std::pair<kfer::data::LabelMask, SplitCounts>> by_frequency(
    const KdramaInspection& found) {
  auto counts = found.published.statistics.label_sets;
  for (const auto& row : found.set->counts) counts.try_emplace(row.labels);
  std::vector<std::pair<kfer::data::LabelMask, SplitCounts>> out(counts.begin(), counts.end());
  std::ranges::stable_sort(out, [&](const auto& a, const auto& b) {
    const auto here_a = total(a.second), here_b = total(b.second);
    return here_a != here_b
               ? here_a > here_b
               : total(published_counts(*found.set, a.first)) > total(published_counts(*found.set, b.first));
  });
  return out;
}

inline Table label_set_table(const KdramaInspection& found) {
  const bool says_more = found.set->name == kfer::data::multi_label.name;  // than label_table
  Table table{"label_sets", says_more ? "images that carry exactly these labels" : "", {"labels"}, {}, 7};
  table.columns.insert(table.columns.end(), compared_columns().begin(), compared_columns().end());
  for (const auto& [labels, here] : by_frequency(found))
    table.rows.push_back(
        compared(label_text(*found.set, labels), published_counts(*found.set, labels), here));
  return table;
}

template <class Key>
Table counts_table(std::string name, std::string title, std::string column,
                   const std::map<Key, SplitCounts>& counts) {
  Table table{std::move(name), std::move(title), {std::move(column), "here", "train", "valid", "test"}, {}};
  for (const auto& [key, here] : counts) table.rows.push_back({key, total(here), here[0], here[1], here[2]});
  return table;
}

inline Table clip_summary_table(const KdramaInspection& found) {
  Table table{"clip_summary",
              "clips",
              {"clips", "smallest", "median", "largest", "several_label_sets", "on_several_splits"},
              {}};
  const auto& clips = found.published.statistics.clips;
  const auto sizes = found.published.statistics.clip_sizes();
  if (sizes.empty()) return table;
  const auto count = static_cast<std::int64_t>(sizes.size());
  const double median = static_cast<double>(sizes[(sizes.size() - 1) / 2] + sizes[sizes.size() / 2]) / 2;
  table.rows.push_back(
      {count, sizes.front(), median, sizes.back(),
       std::ranges::count_if(clips, [](const auto& clip) { return clip.second.label_sets.size() > 1; }),
       std::ranges::count_if(clips, [](const auto& clip) { return clip.second.splits() > 1; })});
  return table;
}

/// How many clips have 1, 2 to 3, 4 to 7, ... images.
inline Table clip_size_table(const KdramaInspection& found) {
  Table table{"clip_sizes", "images a clip", {"from", "to", "clips", "images"}, {}};
  const auto sizes = found.published.statistics.clip_sizes();
  for (std::int64_t from = 1; !sizes.empty() && from <= sizes.back(); from *= 2) {
    std::int64_t clips = 0, images = 0;
    for (const auto size : sizes)
      if (size >= from && size < 2 * from) ++clips, images += size;
    table.rows.push_back({from, 2 * from - 1, clips, images});
  }
  return table;
}

inline Table leakage_table(const KdramaInspection& found) {
  Table table{"leakage",
              "images whose clip has images in train",
              {"partition", "split", "images", "seen", "percent"},
              {}};
  const auto add = [&](const char* partition, const char* split, const kfer::data::Leakage& leak) {
    table.rows.push_back({partition, split, leak.images, leak.seen, percent(leak.seen, leak.images)});
  };
  add("published", "valid", found.published.valid);
  add("published", "test", found.published.test);
  add("by-clip", "valid", found.by_clip.valid);
  add("by-clip", "test", found.by_clip.test);
  return table;
}

/// The by-clip partition: images, clips and labels, and what part of each is in which split.
inline Table by_clip_table(const KdramaInspection& found) {
  Table table{"by_clip",
              "the by-clip partition",
              {"of", "here", "train", "valid", "test", "train_percent", "valid_percent", "test_percent"},
              {}};
  const auto add = [&](Json of, const SplitCounts& n) {
    const auto all = total(n);
    table.rows.push_back(
        {std::move(of), all, n[0], n[1], n[2], percent(n[0], all), percent(n[1], all), percent(n[2], all)});
  };
  SplitCounts clips{};
  for (const auto split : found.clip_splits) ++clips[static_cast<std::size_t>(split)];
  add("images", found.by_clip.statistics.images);
  add("clips", clips);
  for (std::size_t c = 0; c < found.set->width(); ++c)
    add(found.set->names[c], found.by_clip.statistics.labels[c]);
  return table;
}

/// Each clip: too long for people.
inline Table clip_table(const KdramaInspection& found) {
  Table table{"clips", "", {"clip_id", "images", "train", "valid", "test", "by_clip", "labels"}, {}};
  for (std::size_t i = 0; i < found.clips.size(); ++i) {
    const auto& clip = found.published.statistics.clips.at(found.clips[i].id);
    std::string labels;
    for (const auto mask : clip.label_sets)
      (labels += labels.empty() ? "" : "; ") += label_text(*found.set, mask);
    table.rows.push_back({printable(found.clips[i].id), total(clip.images), clip.images[0], clip.images[1],
                          clip.images[2], name_of(found.clip_splits[i]), labels});
  }
  return table;
}

inline Table record_table(const KdramaInspection& found) {
  Table table{"records", "records", {"split", "records", "damaged", "rows", "images", "bytes_an_image"}, {}};
  for (std::size_t s = 0; s < splits.size(); ++s) {
    const auto& audit = found.records[s];
    std::int64_t images = 0;
    for (const auto& [kind, n] : audit.kinds) images += n;
    table.rows.push_back({name_of(splits[s]), audit.records, audit.damaged,
                          static_cast<std::int64_t>(found.published.rows[s].size()), images,
                          images == 0 ? 0 : audit.image_bytes / images});
  }
  return table;
}

inline Table image_kind_table(const KdramaInspection& found) {
  Table table{"image_kinds", "images by codec and size", {"kind", "here", "train", "valid", "test"}, {}};
  std::map<std::string, SplitCounts> kinds;
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto& [kind, n] : found.records[s].kinds) kinds[kind][s] += n;
  for (const auto& [kind, n] : kinds) table.rows.push_back({kind, total(n), n[0], n[1], n[2]});
  return table;
}

inline Table twin_table(const KdramaInspection& found) {
  return {"identical_images",
          "images that are byte for byte an earlier one",
          {"here", "in_test_and_train"},
          {{found.twins, found.test_twins}}};
}

inline Table problem_table(const KdramaInspection& found) {
  Table table{"problems", "", {"file", "record", "line", "problem"}, {}};
  const auto number = [](std::int64_t n) { return n < 0 ? Json() : Json(n); };
  for (const auto& problem : found.problems)
    table.rows.push_back(
        {printable(problem.file), number(problem.record), number(problem.line), printable(problem.what)});
  return table;
}

/// All of them, in the order in which people read them.
inline std::vector<Table> set_tables(const KdramaInspection& found) {
  const auto& statistics = found.published.statistics;
  std::map<std::string, SplitCounts> dramas;
  for (const auto& [id, n] : statistics.dramas) dramas[printable(id)] = n;
  std::vector<Table> tables{
      image_table(found),
      label_table(found),
      label_set_table(found),
      counts_table("labels_an_image", "images by number of labels", "labels", statistics.labels_an_image),
      counts_table("dramas", "images by drama", "drama", dramas),
      clip_summary_table(found),
      clip_size_table(found),
      leakage_table(found),
      by_clip_table(found),
      clip_table(found)};
  if (found.has_records) {
    tables.push_back(record_table(found));
    tables.push_back(image_kind_table(found));
    tables.push_back(twin_table(found));
  }
  tables.push_back(problem_table(found));
  return tables;
}

}  // namespace inspect
