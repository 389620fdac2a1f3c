// Writes a synthetic set in exactly the published layout of the K-drama set, so that everything that reads
// the one reads the other. The files say what they are: a README beside them calls the images synthetic.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/data/synthetic_faces.hpp"
#include "kfer/io/csv.hpp"
#include "kfer/io/image_write.hpp"
#include "kfer/io/tf_example.hpp"
#include "kfer/io/tfrecord.hpp"

namespace kfer::data {

enum class Codec { png, jpeg };

struct SyntheticKdramaOptions {
  std::int64_t images =
      4000;  ///< of the multi-label set, its three splits together (published: 38,817); the one-label
             ///< sets hold those of them with one label, about 51 % (22_emo) and 33 % (6_basic_emo)
  std::uint64_t seed = 46;
  std::vector<std::string> sets{"6_basic_emo", "22_emo", "multi-label"};  ///< which to write
  /// jpeg: ~3 KB an image at this quality, like the published records, whose ids end in .jpg. png: what was
  /// drawn, bit for bit, ~12 KB, and slower to decode.
  Codec codec = Codec::jpeg;
  int jpeg_quality = 92;
};

namespace detail {

/// The images of each split of `set`, in record order: shuffled, as published.
inline std::array<std::vector<std::int64_t>, 3> kdrama_splits(const SyntheticFaces& faces,
                                                              const LabelSet& set) {
  std::array<std::vector<std::int64_t>, 3> out;
  const std::uint64_t seed = faces.options().seed, stream = 5000 + set.width();
  if (set.name == multi_label.name) {
    for (std::int64_t i = 0; i < faces.size(); ++i)
      out[static_cast<std::size_t>(faces.split(i))].push_back(i);
  } else {
    // Label by label in the published proportions: these two sets were split with stratification.
    for (std::size_t row = 0; row < set.counts.size(); ++row) {
      const auto labels = convert_labels(set.counts[row].labels, set, multi_label);
      std::vector<std::size_t> members;
      for (std::int64_t i = 0; i < faces.size(); ++i)
        if (faces.labels(i) == labels) members.push_back(static_cast<std::size_t>(i));
      const auto& published = set.counts[row].images;
      const auto counts =
          synthetic::apportion(static_cast<std::int64_t>(members.size()),
                               std::array<std::int64_t, 3>{published[0], published[1], published[2]});
      synthetic::deal(members, counts, seed, stream * 1000 + row, [&](std::size_t i, Split split) {
        out[static_cast<std::size_t>(split)].push_back(static_cast<std::int64_t>(i));
      });
    }
  }
  for (auto& split : out)
    std::sort(split.begin(), split.end(), [&](auto a, auto b) {
      const auto ha = hash_keys({seed, stream, static_cast<std::uint64_t>(a)});
      const auto hb = hash_keys({seed, stream, static_cast<std::uint64_t>(b)});
      return ha != hb ? ha < hb : a < b;
    });
  return out;
}

inline std::vector<std::byte> encode_kdrama_record(const SyntheticFaces& faces, const LabelSet& set,
                                                   std::int64_t i, const SyntheticKdramaOptions& options) {
  const int side = faces.options().size;
  std::vector<std::uint8_t> pixels(faces.image_bytes());
  faces.draw(i, pixels);
  const io::PixelView image{.height = side, .width = side, .channels = 3, .pixels = pixels};
  const auto encoded =
      options.codec == Codec::png ? io::encode_png(image) : io::encode_jpeg(image, options.jpeg_quality);
  const auto labels = convert_labels(faces.labels(i), multi_label, set);
  io::TfExample example;
  example.set_int64("height", side);
  example.set_int64("width", side);
  example.set_int64("depth", 3);
  std::vector<std::int64_t> bits;
  for (std::size_t c = 0; c < set.width(); ++c) bits.push_back(labels >> c & 1);
  example.set("label", std::move(bits));
  example.set_bytes("image_raw", encoded);
  return example.encode();
}

inline void write_kdrama_labels(const std::string& path, const SyntheticFaces& faces, const LabelSet& set,
                                std::span<const std::int64_t> images) {
  io::atomic_write(path, [&](io::AtomicFile& file) {
    std::vector<std::string> cells{"img_id", "clip_id"};
    cells.insert(cells.end(), set.names.begin(), set.names.end());
    file.write(io::csv_row(cells));
    for (const auto i : images) {
      const auto labels = convert_labels(faces.labels(i), multi_label, set);
      cells[0] = faces.image_id(i);
      cells[1] = faces.clip_id(i);
      for (std::size_t c = 0; c < set.width(); ++c) cells[c + 2].assign(1, labels >> c & 1 ? '1' : '0');
      file.write(io::csv_row(cells));
    }
  });
}

/// Draws and encodes on all threads, chunk by chunk, and writes in order: the file does not depend on the
/// threads.
inline void write_kdrama_records(const KdramaFiles& files, const SyntheticFaces& faces, const LabelSet& set,
                                 std::span<const std::int64_t> images,
                                 const SyntheticKdramaOptions& options) {
  io::TfRecordWriter writer(files.records, files.index);
  constexpr std::size_t chunk = 512;
  for (std::size_t begin = 0; begin < images.size(); begin += chunk) {
    const auto part = images.subspan(begin, std::min(chunk, images.size() - begin));
    std::vector<std::vector<std::byte>> records(part.size());
    std::exception_ptr error;
    std::mutex mutex;
    parallel_for(static_cast<std::int64_t>(part.size()), [&](std::int64_t k) {
      const auto i = static_cast<std::size_t>(k);
      try {
        records[i] = encode_kdrama_record(faces, set, part[i], options);
      } catch (...) {  // an exception must not leave the parallel region
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
    for (const auto& record : records) writer.write(record);
  }
  writer.close();
}

}  // namespace detail

/// Draws synthetic faces and writes them under `data_path` (made if needed) in the published layout. Two
/// calls with equal options write equal bytes, at any thread count. Throws ValueError for an unknown set, no
/// set, or a number of images that leaves a split empty; IoError if the disk refuses, or files of any set are
/// there that are not synthetic.
inline void write_synthetic_kdrama(const std::string& data_path, const SyntheticKdramaOptions& options = {}) {
  require(!options.sets.empty(), "write_synthetic_kdrama: no set was asked for");
  require(options.jpeg_quality >= 1 && options.jpeg_quality <= 100, "jpeg_quality must be 1 to 100, got ",
          options.jpeg_quality);
  const SyntheticFaces faces({.images = options.images, .seed = options.seed, .size = kdrama_image_size});
  std::vector<std::pair<const LabelSet*, std::array<std::vector<std::int64_t>, 3>>> plans;
  for (const auto& name : options.sets) {
    const auto& set = label_set(name);
    plans.emplace_back(&set, detail::kdrama_splits(faces, set));
    for (const auto split : splits)
      require(!plans.back().second[static_cast<std::size_t>(split)].empty(),
              "write_synthetic_kdrama: ", options.images, " images leave the ", name_of(split), " split of ",
              name, " empty; ask for more");
  }
  if (!is_synthetic_kdrama(data_path))
    // Of all sets, not only those to be written: the README.txt that comes speaks for all of them.
    for (const auto* set : label_sets)
      for (const auto split : splits) {
        const auto files = kdrama_files(data_path, *set, split);
        for (const auto& file :
             {files.records, files.index, files.labels, kdrama_label_file(data_path, *set)})
          require<IoError>(!std::filesystem::exists(file), "'", file,
                           "' is there, and no README.txt calls it synthetic: it is not overwritten");
      }
  std::error_code code;
  for (const char* folder : {"/tfrecords", "/label"}) {
    std::filesystem::create_directories(data_path + folder, code);
    require<IoError>(!code, "cannot create '", data_path, folder, "': ", code.message());
  }
  io::atomic_write(
      data_path + "/README.txt",
      text(
          synthetic_readme, ' ', version, " (seed ", options.seed, ", ", options.images,
          " images): no photograph, no person.\nLayout and label statistics follow the K-drama set of Cho et "
          "al., BigComp 2022.\n"));
  for (const auto& [set, parts] : plans) {
    std::vector<std::int64_t> all;
    for (const auto split : splits) {
      const auto& images = parts[static_cast<std::size_t>(split)];
      const auto files = kdrama_files(data_path, *set, split);
      detail::write_kdrama_records(files, faces, *set, images, options);
      detail::write_kdrama_labels(files.labels, faces, *set, images);
      all.insert(all.end(), images.begin(), images.end());
    }
    std::sort(all.begin(), all.end());  // clip by clip
    detail::write_kdrama_labels(kdrama_label_file(data_path, *set), faces, *set, all);
  }
}

}  // namespace kfer::data
