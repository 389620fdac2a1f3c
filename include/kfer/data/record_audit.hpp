// Every record of a K-drama TFRecord file checked, on all threads: framing and checksums, the example, its
// labels against the label file, and the image.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/core/parallel.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/data/label_file.hpp"
#include "kfer/io/crc32.hpp"
#include "kfer/io/crc32c.hpp"
#include "kfer/io/image.hpp"
#include "kfer/io/tf_example.hpp"
#include "kfer/io/tfrecord.hpp"

namespace kfer::data {

/// What the records of one file turned out to be.
struct RecordAudit {
  std::int64_t records = 0;      ///< in the file, damaged ones included where they have a number
  std::int64_t damaged = 0;      ///< of these, or of those that an index names past the file's end
  std::int64_t image_bytes = 0;  ///< of the encoded images
  std::map<std::string, std::int64_t> kinds;  ///< images by "JPEG 64 x 64"
  /// For each record a checksum of its encoded image, 0 where there is none: equal images have equal ones.
  std::vector<std::uint64_t> fingerprints;
};

namespace detail {

inline bool is_there(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

/// What one record turned out to be.
struct RecordFinding {
  std::vector<std::string> wrong;
  std::string kind;
  std::int64_t image_bytes = 0;
  std::uint64_t fingerprint = 0;
};

/// Calls `check`; what it throws is noted.
template <class Check>
bool noted(RecordFinding& finding, const Check& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    finding.wrong.emplace_back(error.what());
    return false;
  }
}

/// `row` is null where the label file has none.
inline RecordFinding audit_record(const io::TfRecordReader& records, std::size_t i, const LabelSet& set,
                                  const LabelRow* row) {
  RecordFinding finding;
  std::vector<std::byte> record;
  io::TfExample example;
  if (!noted(finding, [&] { record = records.read(i); })) return finding;
  if (!noted(finding, [&] { example = io::TfExample::parse(record); })) return finding;

  noted(finding, [&] {
    const auto labels = example.int64_list("label");
    require<FormatError>(labels.size() == set.width(), "the record has ", labels.size(), " labels, expected ",
                         set.width(), " for ", set.name);
    for (std::size_t c = 0; c < labels.size(); ++c) {
      require<FormatError>(labels[c] == 0 || labels[c] == 1, "the record says ", set.names[c], " = ",
                           labels[c], ", expected 0 or 1");
      if (row == nullptr || !row->sound) continue;
      const auto expected = static_cast<std::int64_t>(row->labels >> c & 1);
      require<FormatError>(labels[c] == expected, "the record says ", set.names[c], " = ", labels[c],
                           ", line ", row->line, " of the label file (", row->image_id, ") says ", expected);
    }
  });
  noted(finding, [&] {
    const auto encoded = example.bytes("image_raw");
    finding.image_bytes = static_cast<std::int64_t>(encoded.size());
    finding.fingerprint = std::uint64_t{io::crc32c(encoded)} << 32 | io::crc32(encoded);
    const auto image = io::decode_image(encoded);
    const bool png = io::as_text(encoded).starts_with(io::png_magic);
    finding.kind = text(png ? "PNG " : "JPEG ", image.width, " x ", image.height);
    require<FormatError>(image.height == kdrama_image_size && image.width == kdrama_image_size,
                         "image: expected ", kdrama_image_size, " x ", kdrama_image_size, " pixels, got ",
                         image.width, " x ", image.height);
    const auto states = [&](std::string_view name, std::int64_t expected) {
      const auto stated = example.int64(name);
      require<FormatError>(stated == expected, "the record states a ", name, " of ", stated,
                           ", the image's is ", expected);
    };
    states("height", image.height);
    states("width", image.width);
    states("depth", image.channels);
  });
  return finding;
}

/// Compares an index with the records found by following their lengths. Returns whether it can be used: it
/// agrees as far as the file could be followed.
inline bool audit_index(const KdramaFiles& files, const io::TfRecordReader& scanned,
                        std::vector<Problem>& problems) {
  const auto note = [&](std::int64_t line, std::string what) {
    problems.push_back({.file = files.index, .line = line, .what = std::move(what)});
    return false;
  };
  if (!is_there(files.index)) return note(-1, "missing");
  std::vector<io::TfRecordSpan> spans;
  try {
    spans = io::parse_tfrecord_index(io::read_text(files.index), files.index);
  } catch (const Error& error) {
    return note(-1, without_name(error.what(), files.index));
  }
  const auto& found = scanned.spans();
  const auto common = std::min(spans.size(), found.size());
  const auto [differs, ignored] = std::mismatch(spans.begin(), spans.begin() + common, found.begin());
  const auto k = static_cast<std::size_t>(differs - spans.begin());
  if (k < common)
    return note(static_cast<std::int64_t>(k + 1),
                text("says offset ", spans[k].offset, ", size ", spans[k].size, "; record ", k,
                     " of the file has offset ", found[k].offset, ", size ", found[k].size));
  const bool whole_file = scanned.skipped() == 0;
  if (spans.size() < found.size() || (whole_file && spans.size() != found.size()))
    return note(-1, text("names ", spans.size(), " records, the file holds ", found.size()));
  return true;
}

}  // namespace detail

/// Checks the records of a split against `rows`, those of its label file (empty: nothing is compared). What
/// is wrong is added to `problems`; nothing is thrown for what the files hold.
inline RecordAudit audit_records(const KdramaFiles& files, const LabelSet& set,
                                 std::span<const LabelRow> rows, std::vector<Problem>& problems) {
  RecordAudit out;
  const auto note = [&](std::int64_t record, std::string what) {
    what = without_name(std::move(what), files.records);
    const auto number = text("record ", record, ' ');
    if (what.starts_with(number)) what.erase(0, number.size());
    problems.push_back({.file = files.records, .record = record, .what = std::move(what)});
  };
  std::optional<io::TfRecordReader> reader;
  try {
    require<IoError>(detail::is_there(files.records), "missing");
    reader.emplace(files.records, io::TfRecordOptions{.on_corrupt = io::OnCorrupt::skip});
  } catch (const Error& error) {
    note(-1, error.what());
    if (!detail::is_there(files.index)) problems.push_back({.file = files.index, .what = "missing"});
    return out;
  }

  // Where a record's length is damaged, only an index tells where the next begins.
  const bool indexed = detail::audit_index(files, *reader, problems) && reader->skipped() > 0;
  auto unreadable = reader->problems();
  auto readable = reader->size();
  if (indexed) try {
      io::TfRecordReader by_index(files.records,
                                  {.index_path = files.index, .on_corrupt = io::OnCorrupt::skip});
      const auto end = io::File(files.records).size();
      readable = static_cast<std::size_t>(
          std::ranges::count_if(by_index.spans(), [&](const auto& span) { return span.offset < end; }));
      unreadable.clear();
      if (readable < by_index.size()) {
        note(static_cast<std::int64_t>(readable),
             text("the file ends at byte ", end, ": of the ", by_index.size(),
                  " records that its index names, ", by_index.size() - readable, " are missing"));
        out.damaged += static_cast<std::int64_t>(by_index.size() - readable);
      }
      reader.emplace(std::move(by_index));
    } catch (const Error& error) {
      problems.push_back({.file = files.index, .what = without_name(error.what(), files.index)});
    }

  std::vector<detail::RecordFinding> findings(readable);
  parallel_for(static_cast<std::int64_t>(readable), [&](std::int64_t i) {
    const auto k = static_cast<std::size_t>(i);
    findings[k] = detail::audit_record(*reader, k, set, k < rows.size() ? &rows[k] : nullptr);
  });
  out.records = static_cast<std::int64_t>(readable);
  for (std::size_t i = 0; i < readable; ++i) {
    auto& finding = findings[i];
    out.damaged += !finding.wrong.empty();
    out.image_bytes += finding.image_bytes;
    out.fingerprints.push_back(finding.fingerprint);
    if (!finding.kind.empty()) ++out.kinds[finding.kind];
    for (auto& what : finding.wrong) note(static_cast<std::int64_t>(i), std::move(what));
  }
  for (auto& what : unreadable) {
    ++out.damaged;
    note(static_cast<std::int64_t>(readable), text(what, "; nothing after it can be read"));
  }
  if (!rows.empty() && readable != rows.size())
    note(-1, text(readable, " records can be reached, the label file has ", rows.size(), " rows"));
  return out;
}

}  // namespace kfer::data
