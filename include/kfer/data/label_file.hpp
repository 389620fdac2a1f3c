// The label files of the K-drama set, read for inspection: what is wrong with a row is noted and the reading
// goes on. (KdramaDataset, which trains, refuses the file instead.)
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/data/label_sets.hpp"
#include "kfer/io/csv.hpp"

namespace kfer::data {

/// Something missing, damaged or contradictory in a data set.
struct Problem {
  std::string file;
  std::int64_t record = -1;  ///< number of the record, from 0; -1 if it concerns none
  std::int64_t line = -1;    ///< line of a text file, from 1; -1 if it concerns none
  std::string what;

  /// "FILE, record 3: what".
  std::string text() const {
    std::string out = file;
    if (record >= 0) out += kfer::text(", record ", record);
    if (line >= 0) out += kfer::text(", line ", line);
    return out + ": " + what;
  }
};

/// What a parser's message says after the file's name, which it begins with as a rule.
inline std::string without_name(std::string message, const std::string& path) {
  const auto name = text('\'', path, '\'');
  if (message.starts_with(name)) message.erase(0, message.find_first_not_of(",: ", name.size()));
  return message;
}

/// One image as a label file describes it.
struct LabelRow {
  std::string image_id, clip_id;
  LabelMask labels = 0;   ///< bit c is label c of the set
  std::int64_t line = 0;  ///< in the file, from 1
  bool sound = true;      ///< false: a cell is wrong; `labels` then says nothing
};

/// The rows of a label file of `set` in order. What is wrong is added to `problems`: a missing file, a table
/// that cannot be parsed, a header that is not the set's (no rows are returned for these), an empty id, an
/// image id that does not begin with its clip's, a cell other than 0 and 1, an image without a label, or with
/// several in a set of one label an image.
inline std::vector<LabelRow> read_label_file(const std::string& path, const LabelSet& set,
                                             std::vector<Problem>& problems) {
  const auto note = [&](std::int64_t line, std::string what) {
    problems.push_back({.file = path, .line = line, .what = std::move(what)});
  };
  io::CsvTable table;
  try {
    table = io::CsvTable::open(path);
    require<FormatError>(table.columns() == set.width() + 2, "'", path, "', line 1: ", table.columns(),
                         " columns, expected img_id, clip_id and the ", set.width(), " labels of ", set.name);
    for (std::size_t c = 0; c < table.columns(); ++c) {
      const std::string_view expected = c == 0 ? "img_id" : c == 1 ? "clip_id" : set.names[c - 2];
      require<FormatError>(table.header()[c] == expected, "'", path, "', line 1: column ", c + 1, " is '",
                           table.header()[c], "', expected '", expected, "'");
    }
  } catch (const Error& error) {
    note(-1, without_name(error.what(), path));
    return {};
  }

  std::vector<LabelRow> rows(table.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto& row = rows[i];
    row.image_id = table.cell(i, 0);
    row.clip_id = table.cell(i, 1);
    row.line = static_cast<std::int64_t>(table.line(i));
    const auto wrong = [&](std::string what) {
      row.sound = false;
      note(row.line, std::move(what));
    };
    if (row.image_id.empty() || row.clip_id.empty())
      wrong("an empty id");
    else if (!row.image_id.starts_with(row.clip_id + '_'))
      wrong(text("image '", row.image_id, "' is said to be of clip '", row.clip_id, "'"));
    bool readable = true;
    for (std::size_t c = 0; c < set.width(); ++c) {
      const auto cell = table.cell(i, c + 2);
      if (cell == "1") {
        row.labels |= LabelMask{1} << c;
      } else if (cell != "0") {
        readable = false;
        wrong(text(set.names[c], " is '", cell.substr(0, 40), "', expected 0 or 1"));
      }
    }
    const bool several = set.name != multi_label.name && std::popcount(row.labels) > 1;
    if (readable && (row.labels == 0 || several))
      wrong(row.labels == 0 ? "no label"
                            : text(std::popcount(row.labels), " labels (", label_text(set, row.labels),
                                   "), expected one"));
  }
  return rows;
}

}  // namespace kfer::data
