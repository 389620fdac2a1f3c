// HDF5 files as h5py and Keras write them, read without libhdf5: bounded and checked, so that a damaged file
// is an error that says where, never a crash.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfer/io/file.hpp"
#include "kfer/io/safetensors.hpp"

namespace kfer::io {

/// The datasets and string attributes of one file, in memory; views stay valid while any copy of this object
/// lives. Paths have no slash at their ends: "conv1_conv/conv1_conv/kernel:0"; the root is "".
class Hdf5 {
 public:
  using Strings = std::vector<std::string>;

  /// Reads and checks a whole file. Throws IoError; FormatError naming the file, the object, the offset and
  /// what is wrong or not supported.
  static Hdf5 open(const std::string& path) { return parse(read_file(path), path); }

  /// Checks the content of a file held in memory, and copies it. `name` is what messages call it.
  static Hdf5 parse(Bytes content, std::string name = "hdf5");

  /// What messages call this file: its path.
  const std::string& name() const { return name_; }

  /// All datasets of numbers, by path, groups in the order of their names. Little-endian, row-major; dtype as
  /// in safetensors ("F16", "F32", "F64", "I8" ... "U64").
  const std::vector<NamedTensor>& datasets() const { return datasets_; }
  /// All groups, by path; the root, "", is the first.
  const std::vector<std::string>& groups() const { return groups_; }
  /// (path, what it is) of everything that is neither: datasets of strings or records, soft and external
  /// links.
  const std::vector<std::pair<std::string, std::string>>& others() const { return others_; }

  /// The dataset at `path`, or null.
  const TensorView* find(const std::string& path) const;
  /// The dataset at `path`. Throws FormatError if there is none.
  const TensorView& at(const std::string& path) const;
  bool has_group(const std::string& path) const;

  /// The strings of a string attribute of the object at `path` (one for a scalar), or null. An array that
  /// Keras split as <name>0, <name>1, ... (beyond 64 KB) is found whole under `name`.
  const Strings* find_attribute(const std::string& path, const std::string& name) const;
  /// The same. Throws FormatError if there is no such attribute, or it holds no strings.
  const Strings& attribute(const std::string& path, const std::string& name) const;

 private:
  std::string name_;
  std::vector<NamedTensor> datasets_;
  std::vector<std::string> groups_;
  std::vector<std::pair<std::string, std::string>> others_;
};

}  // namespace kfer::io
