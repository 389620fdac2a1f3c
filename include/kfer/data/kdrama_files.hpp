// Where the files of the K-drama set lie under its data path, in the published layout:
//
//   tfrecords/{set}_{split}.tfrecords   tf.train.Example records: height, width, depth, label, image_raw
//   tfrecords/{set}_{split}.idx         DALI's index, "offset size" a record
//   label/label_{set}.csv               img_id,clip_id,<labels...> of all images
//   label/label_{set}_{split}.csv       the same for one split, row i describing record i
#pragma once

#include <string>
#include <string_view>

#include "kfer/data/label_sets.hpp"
#include "kfer/io/file.hpp"

namespace kfer::data {

/// Pixels a side of every published image.
inline constexpr int kdrama_image_size = 64;

struct KdramaFiles {
  std::string records, index, labels;
};

inline KdramaFiles kdrama_files(const std::string& data_path, const LabelSet& set, Split split) {
  const std::string name = text(set.name, '_', name_of(split));
  return {text(data_path, "/tfrecords/", name, ".tfrecords"), text(data_path, "/tfrecords/", name, ".idx"),
          text(data_path, "/label/label_", name, ".csv")};
}

/// The label file of all splits together.
inline std::string kdrama_label_file(const std::string& data_path, const LabelSet& set) {
  return text(data_path, "/label/label_", set.name, ".csv");
}

/// How the README.txt that is written beside synthetic files begins.
inline constexpr std::string_view synthetic_readme = "Synthetic faces, drawn by kfer";

/// Whether the files say of themselves, in the first words of README.txt beside them, that they are
/// synthetic. Throws IoError if it is there and cannot be read.
inline bool is_synthetic_kdrama(const std::string& data_path) {
  const std::string path = data_path + "/README.txt";
  if (::access(path.c_str(), F_OK) != 0) return false;
  return io::read_text(path).starts_with(synthetic_readme);
}

}  // namespace kfer::data
