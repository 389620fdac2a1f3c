// All that can be said about one set of the K-drama data without training on it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kfer/data/clip_partition.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/data/label_file.hpp"
#include "kfer/data/label_statistics.hpp"
#include "kfer/data/leakage.hpp"
#include "kfer/data/record_audit.hpp"

namespace kfer::data {

/// One way of splitting a set: the rows of {train, valid, test}, their statistics, and how many images of
/// valid and test have a neighbour of their clip in train.
struct SplitInspection {
  std::array<std::vector<LabelRow>, 3> rows;
  LabelStatistics statistics;
  Leakage valid, test;
};

struct KdramaInspection {
  const LabelSet* set = nullptr;
  SplitInspection published;  ///< rows in file order, unsound ones included
  SplitInspection by_clip;    ///< the sound rows, as Partition::by_clip deals them
  std::vector<ClipContents> clips;
  std::vector<Split> clip_splits;  ///< where by_clip puts clips[i]

  bool has_records = false;            ///< whether what follows was asked for
  std::array<RecordAudit, 3> records;  ///< of {train, valid, test}
  std::int64_t twins = 0;              ///< images whose encoded bytes another image before them has
  std::int64_t test_twins = 0;         ///< images of test whose encoded bytes an image of train has

  std::vector<Problem> problems;  ///< file by file: split by split labels then records, then the file of all
};

/// Whether any file of `set` lies under `data_path`.
inline bool has_kdrama_set(const std::string& data_path, const LabelSet& set, bool with_records) {
  bool found = detail::is_there(kdrama_label_file(data_path, set));
  for (const auto split : splits) {
    const auto files = kdrama_files(data_path, set, split);
    found |= detail::is_there(files.labels) || (with_records && detail::is_there(files.records));
  }
  return found;
}

namespace detail {

inline SplitInspection inspect_split(const LabelSet& set, std::array<std::vector<LabelRow>, 3> rows) {
  SplitInspection out{.rows = std::move(rows), .statistics = {}, .valid = {}, .test = {}};
  out.statistics = label_statistics(set, out.rows);
  std::array<std::vector<std::string_view>, 3> clips;
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto& row : out.rows[s])
      if (row.sound) clips[s].push_back(row.clip_id);
  out.valid = leakage(clips[0], clips[1]);
  out.test = leakage(clips[0], clips[2]);
  return out;
}

/// Notes ids that occur twice in the splits, and rows of the file of all that differ from theirs.
inline void compare_label_files(const std::string& data_path, const LabelSet& set,
                                const std::array<std::vector<LabelRow>, 3>& rows,
                                std::vector<Problem>& problems) {
  std::unordered_map<std::string_view, const LabelRow*> by_id;
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto& row : rows[s])
      if (!by_id.try_emplace(row.image_id, &row).second)
        problems.push_back({.file = kdrama_files(data_path, set, splits[s]).labels,
                            .line = row.line,
                            .what = text("image '", row.image_id, "' occurs a second time")});

  const auto path = kdrama_label_file(data_path, set);
  const auto before = problems.size();
  const auto all = read_label_file(path, set, problems);
  if (all.empty() && problems.size() > before) return;
  const bool whole = std::ranges::none_of(rows, [](const auto& split) { return split.empty(); });
  std::unordered_map<std::string_view, const LabelRow*> seen;
  for (const auto& row : all) {
    const auto note = [&](std::string what) {
      problems.push_back({.file = path, .line = row.line, .what = std::move(what)});
    };
    if (!seen.try_emplace(row.image_id, &row).second)
      note(text("image '", row.image_id, "' occurs a second time"));
    const auto twin = by_id.find(row.image_id);
    if (twin == by_id.end() && whole)
      note(text("image '", row.image_id, "' is in no split"));
    else if (twin != by_id.end() && row.sound && twin->second->sound && row.labels != twin->second->labels)
      note(text("image '", row.image_id, "' is ", label_text(set, row.labels), ", in its split ",
                label_text(set, twin->second->labels)));
  }
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto& row : rows[s])
      if (!seen.contains(row.image_id))
        problems.push_back({.file = kdrama_files(data_path, set, splits[s]).labels,
                            .line = row.line,
                            .what = text("image '", row.image_id, "' is not in ", path)});
}

inline void count_twins(KdramaInspection& out) {
  std::unordered_map<std::uint64_t, Split> seen;  // train comes first
  for (std::size_t s = 0; s < splits.size(); ++s)
    for (const auto fingerprint : out.records[s].fingerprints) {
      if (fingerprint == 0) continue;
      const auto [first, added] = seen.try_emplace(fingerprint, splits[s]);
      if (added) continue;
      ++out.twins;
      out.test_twins += splits[s] == Split::test && first->second == Split::train;
    }
}

}  // namespace detail

/// Inspects the files of `set` under `data_path`; `with_records` reads and decodes every image, on all
/// threads. What is wrong with the files is in `problems`, not thrown.
inline KdramaInspection inspect_kdrama(const std::string& data_path, const LabelSet& set, bool with_records) {
  KdramaInspection out;
  out.set = &set;
  out.has_records = with_records;
  std::array<std::vector<LabelRow>, 3> rows;
  for (std::size_t s = 0; s < splits.size(); ++s) {
    const auto files = kdrama_files(data_path, set, splits[s]);
    rows[s] = read_label_file(files.labels, set, out.problems);
    if (with_records) out.records[s] = audit_records(files, set, rows[s], out.problems);
  }
  detail::compare_label_files(data_path, set, rows, out.problems);
  detail::count_twins(out);

  out.clips = clip_contents(set, rows);
  out.clip_splits = partition_clips(out.clips);
  std::unordered_map<std::string_view, std::size_t> home;
  for (std::size_t i = 0; i < out.clips.size(); ++i)
    home[out.clips[i].id] = static_cast<std::size_t>(out.clip_splits[i]);
  std::array<std::vector<LabelRow>, 3> dealt;
  for (const auto& split : rows)
    for (const auto& row : split)
      if (row.sound) dealt[home.at(row.clip_id)].push_back(row);
  out.published = detail::inspect_split(set, std::move(rows));
  out.by_clip = detail::inspect_split(set, std::move(dealt));
  return out;
}

}  // namespace kfer::data
