// The K-drama facial emotion set (Cho et al., BigComp 2022), read from its published files; and its synthetic
// stand-in, written in the same layout by kdrama_writer.hpp.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/core/parallel.hpp"
#include "kfer/data/clip_partition.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/data/leakage.hpp"
#include "kfer/io/csv.hpp"
#include "kfer/io/image.hpp"
#include "kfer/io/tf_example.hpp"
#include "kfer/io/tfrecord.hpp"

namespace kfer::data {

using io::OnCorrupt;

/// How images come to train, valid and test.
enum class Partition {
  published,  ///< by image, as published: most test images have a neighbour of their clip in train
  by_clip,    ///< whole clips, 80 : 10 : 10 by images and labels, the same for everyone (partition_clips)
};

struct KdramaOptions {
  Partition partition = Partition::published;
  /// With `skip`, opening reads and decodes every record once and leaves the bad ones out of the data set, so
  /// that what follows never meets them; with `fail`, the first bad record throws when it is loaded.
  OnCorrupt on_corrupt = OnCorrupt::fail;
  std::int64_t limit = 0;  ///< keep only the first so many rows; 0: all
  int image_size = kdrama_image_size;
};

/// One split of one of the three sets. Labels and ids are held in memory, images are decoded on demand;
/// loading is thread-safe.
class KdramaDataset {
 public:
  /// Opens and checks the files under `data_path`. Throws IoError naming the expected path of a missing file;
  /// FormatError for a CSV whose header, ids or 0/1 cells are not those of `set`, for an index or record file
  /// that is damaged, and for a number of records that is not the number of rows.
  KdramaDataset(const std::string& data_path, const LabelSet& set, Split split, KdramaOptions options = {})
      : set_(&set), split_(split), options_(options) {
    require(options.image_size > 0 && options.image_size <= 4096, "image_size must be 1 to 4096, got ",
            options.image_size);
    require(options.limit >= 0, "limit must not be negative, got ", options.limit);
    if (options.partition == Partition::published)
      add_file(data_path, split);
    else
      add_by_clip(data_path);
    if (options.limit > 0)
      keep_rows([&](std::size_t i) { return static_cast<std::int64_t>(i) < options.limit; });
    if (options.on_corrupt == OnCorrupt::skip) drop_bad_rows();
    require<FormatError>(!rows_.empty(), "the ", name_of(split), " split of ", set.name, " under '",
                         data_path, "' holds no image");
  }

  std::int64_t size() const { return static_cast<std::int64_t>(rows_.size()); }
  const LabelSet& set() const { return *set_; }
  Split split() const { return split_; }
  int image_height() const { return options_.image_size; }
  int image_width() const { return options_.image_size; }
  std::int64_t classes() const { return static_cast<std::int64_t>(set_->width()); }
  std::span<const std::string_view> label_names() const { return set_->names; }

  /// The labels of row `i`, 0 or 1 in the set's order. Throws ValueError if there is no row `i`, as all
  /// below.
  std::span<const float> labels(std::int64_t i) const {
    check_row(i);
    return {labels_.data() + static_cast<std::size_t>(i) * set_->width(), set_->width()};
  }
  /// All labels, size() x classes().
  std::span<const float> labels() const { return labels_; }
  /// The same as bits: bit c is label c.
  LabelMask label_mask(std::int64_t i) const {
    LabelMask mask = 0;
    const auto row = labels(i);
    for (std::size_t c = 0; c < row.size(); ++c) mask |= static_cast<LabelMask>(row[c] == 1.f) << c;
    return mask;
  }
  const std::string& image_id(std::int64_t i) const { return row(i).image_id; }
  const std::string& clip_id(std::int64_t i) const { return clips_[row(i).clip]; }

  /// Bad records that OnCorrupt::skip left out, and what was wrong with the first hundred.
  std::int64_t skipped() const { return skipped_; }
  std::span<const std::string> problems() const { return problems_; }

  /// Decodes the image of row `i` into `hwc`, height x width x RGB bytes. Throws FormatError naming file,
  /// record and problem: a checksum, a message or an image that is broken, an image of another size, labels
  /// of another width than the set's or other than the CSV row says. ShapeError if `hwc` has another size.
  void load(std::int64_t i, std::span<std::uint8_t> hwc) const {
    const auto side = static_cast<std::size_t>(options_.image_size);
    require<ShapeError>(hwc.size() == side * side * 3, "an image of ", side, " x ", side,
                        " RGB pixels takes ", side * side * 3, " bytes, got room for ", hwc.size());
    const Row& r = row(i);
    const Source& source = sources_[r.source];
    thread_local std::vector<std::byte> record;
    require<FormatError>(source.records.try_read(r.record, record), "'", source.records.path(), "', record ",
                         r.record, ": bad since the data set was opened");
    try {
      const auto example = io::TfExample::parse(record);
      check_labels(example.int64_list("label"), labels(i), source, r);
      io::decode_image_into(example.bytes("image_raw"), {options_.image_size, options_.image_size}, hwc);
    } catch (const FormatError& error) {
      const std::string_view what = error.what();
      if (what.starts_with('\'')) throw;  // names file and record already
      throw FormatError(
          text('\'', source.records.path(), "', record ", r.record, " (", r.image_id, "): ", what));
    }
  }

 private:
  struct Source {
    io::TfRecordReader records;
    std::string labels_path;
  };
  struct Row {
    std::uint32_t source, record, clip;
    std::string image_id;
  };

  static bool exists(const std::string& path) {
    struct stat info;
    return ::stat(path.c_str(), &info) == 0;
  }
  void require_file(const std::string& path) const {
    require<IoError>(exists(path), "no file '", path, "': the data path must hold tfrecords/", set_->name,
                     '_', name_of(split_), ".tfrecords and label/label_", set_->name, '_', name_of(split_),
                     ".csv, as published");
  }

  void check_row(std::int64_t i) const {
    require(i >= 0 && i < size(), "the ", name_of(split_), " split of ", set_->name, " has ", size(),
            " rows, row ", i, " was asked for");
  }
  const Row& row(std::int64_t i) const {
    check_row(i);
    return rows_[static_cast<std::size_t>(i)];
  }

  void check_labels(std::span<const std::int64_t> found, std::span<const float> expected,
                    const Source& source, const Row& r) const {
    require<FormatError>(found.size() == expected.size(), "the record has ", found.size(),
                         " labels, expected ", expected.size(), " for ", set_->name);
    for (std::size_t c = 0; c < found.size(); ++c)
      require<FormatError>(found[c] == static_cast<std::int64_t>(expected[c]), "the record says ",
                           set_->names[c], " = ", found[c], ", but row ", r.record, " of '",
                           source.labels_path, "' says ", static_cast<int>(expected[c]));
  }

  void check_header(const io::CsvTable& table) const {
    const auto& header = table.header();
    require<FormatError>(header.size() == set_->width() + 2, "'", table.name(), "': ", header.size(),
                         " columns, expected img_id, clip_id and the ", set_->width(), " labels of ",
                         set_->name);
    for (std::size_t c = 0; c < header.size(); ++c) {
      const std::string_view expected = c == 0 ? "img_id" : c == 1 ? "clip_id" : set_->names[c - 2];
      require<FormatError>(header[c] == expected, "'", table.name(), "': column ", c + 1, " is '", header[c],
                           "', expected '", expected, "'");
    }
  }

  /// Appends the rows of one published file; `split_` may be another when splits are pooled.
  void add_file(const std::string& data_path, Split split) {
    const auto files = kdrama_files(data_path, *set_, split);
    require_file(files.records);
    require_file(files.labels);
    const auto table = io::CsvTable::open(files.labels);
    check_header(table);
    const auto index = exists(files.index) ? files.index : std::string();
    sources_.push_back(
        {io::TfRecordReader(files.records, {.index_path = index, .on_corrupt = options_.on_corrupt}),
         files.labels});
    const std::size_t records = sources_.back().records.size(), rows = table.size();
    const bool cut = records < rows && options_.on_corrupt == OnCorrupt::skip;
    require<FormatError>(records == rows || cut, "'", files.records, "' holds ", records, " records, but '",
                         files.labels, "' has ", rows, " rows");
    const auto source = static_cast<std::uint32_t>(sources_.size() - 1);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::string clip(table.cell(i, 1));
      require<FormatError>(!table.cell(i, 0).empty() && !clip.empty(), "'", files.labels, "', line ",
                           table.line(i), ": an empty id");
      const auto [entry, added] = clip_numbers_.try_emplace(clip, static_cast<std::uint32_t>(clips_.size()));
      if (added) clips_.push_back(clip);
      rows_.push_back({source, static_cast<std::uint32_t>(i), entry->second, std::string(table.cell(i, 0))});
      for (std::size_t c = 0; c < set_->width(); ++c) {
        const auto value = table.as_int(i, c + 2);
        require<FormatError>(value == 0 || value == 1, "'", files.labels, "', line ", table.line(i), ": ",
                             set_->names[c], " is ", value, ", expected 0 or 1");
        labels_.push_back(static_cast<float>(value));
      }
    }
  }

  /// Pools the three published splits and keeps the clips that `partition_clips` gives to `split_`.
  void add_by_clip(const std::string& data_path) {
    for (const Split each : splits) add_file(data_path, each);
    std::vector<ClipContents> clips(clips_.size());
    for (std::size_t c = 0; c < clips.size(); ++c)
      clips[c] = {clips_[c], 0, std::vector<std::int64_t>(set_->width())};
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      auto& clip = clips[rows_[i].clip];
      ++clip.images;
      for (std::size_t c = 0; c < set_->width(); ++c)
        clip.label_images[c] += labels_[i * set_->width() + c] == 1.f;
    }
    const auto home = partition_clips(clips);
    keep_rows([&](std::size_t i) { return home[rows_[i].clip] == split_; });
  }

  template <class Keep>
  void keep_rows(const Keep& keep) {
    const std::size_t width = set_->width();
    std::size_t kept = 0;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (!keep(i)) continue;
      if (kept != i) {
        rows_[kept] = std::move(rows_[i]);
        std::copy_n(labels_.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                    labels_.begin() + static_cast<std::ptrdiff_t>(kept * width));
      }
      ++kept;
    }
    rows_.resize(kept);
    labels_.resize(kept * width);
  }

  void drop_bad_rows() {
    std::vector<std::string> bad(rows_.size());
    const auto bytes =
        static_cast<std::size_t>(options_.image_size) * static_cast<std::size_t>(options_.image_size) * 3;
    parallel_ranges(size(), 1, [&](int, std::int64_t begin, std::int64_t end) {
      std::vector<std::uint8_t> image(bytes);
      for (std::int64_t i = begin; i < end; ++i) try {
          const auto& r = rows_[static_cast<std::size_t>(i)];
          const auto& records = sources_[r.source].records;
          if (r.record >= records.size())
            throw FormatError(text('\'', records.path(), "', record ", r.record, ": not in the file"));
          load(i, image);
        } catch (const Error& error) {
          bad[static_cast<std::size_t>(i)] = error.what();
        }
    });
    for (const auto& problem : bad) {
      if (problem.empty()) continue;
      ++skipped_;
      if (problems_.size() < 100) problems_.push_back(problem);
    }
    keep_rows([&](std::size_t i) { return bad[i].empty(); });
  }

  const LabelSet* set_;
  Split split_;
  KdramaOptions options_;
  std::vector<Source> sources_;
  std::vector<Row> rows_;
  std::vector<float> labels_;
  std::vector<std::string> clips_;
  std::map<std::string, std::uint32_t> clip_numbers_;
  std::int64_t skipped_ = 0;
  std::vector<std::string> problems_;
};

/// Part of the images of `test` that have a neighbour of their clip in `train`: 0 for the by-clip partition,
/// 0.99 for the published ones, whose figures therefore speak of faces that the model has seen.
inline double clip_overlap(const KdramaDataset& train, const KdramaDataset& test) {
  const auto clips = [](const KdramaDataset& data) {
    std::vector<std::string_view> ids;
    for (std::int64_t i = 0; i < data.size(); ++i) ids.push_back(data.clip_id(i));
    return ids;
  };
  return leakage(clips(train), clips(test)).share();
}

}  // namespace kfer::data
