// HDF5 files as h5py and Keras write them, read without libhdf5: bounded and checked, so that a damaged file
// is an error that says where, never a crash. Format: HDF5 File Format Specification version 3.0, The HDF
// Group; its section numbers are named in hdf5/*.hpp, a file a structure.
//
// Read: superblocks 0 to 3; old and new object headers and groups; contiguous, compact and chunked datasets
// of IEEE floats and integers of either byte order; deflate, shuffle, Fletcher-32; attributes of strings. All
// else is a FormatError that names it, or, where it stands beside what is read, listed by `others`.
//
// What damage is found: new structures (libver="latest") and Fletcher-32 chunks carry checksums, deflated
// chunks Adler-32: any flipped bit there is found. Old structures, plain elements and strings of variable
// length carry none. In them whatever does not fit the rest is found (signatures, versions, sizes, counts,
// names out of order, bytes that two structures claim), but not a changed letter of a name or string, a
// changed element, its byte order, or a count of a group's members that became smaller: who knows what must
// be there has to check that it is.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfer/io/file.hpp"
#include "kfer/io/hdf5/attributes.hpp"
#include "kfer/io/hdf5/dataset.hpp"
#include "kfer/io/hdf5/links.hpp"
#include "kfer/io/hdf5/superblock.hpp"
#include "kfer/io/safetensors.hpp"

namespace kfer::io {

/// The datasets and string attributes of one file, in memory; views stay valid while any copy of this object
/// lives. Paths have no slash at their ends: "conv1_conv/conv1_conv/kernel:0"; the root is "".
class Hdf5 {
 public:
  using Strings = std::vector<std::string>;
  static constexpr int max_depth = 64;  ///< of groups within groups
  static constexpr std::size_t max_path_bytes = 4096;

  /// Reads and checks a whole file. Throws IoError; FormatError naming the file, the object, the offset and
  /// what is wrong or not supported.
  static Hdf5 open(const std::string& path) { return Hdf5(read_file(path), path); }

  /// Checks the content of a file held in memory, and copies it. `name` is what messages call it.
  static Hdf5 parse(Bytes content, std::string name = "hdf5") {
    return Hdf5({content.begin(), content.end()}, std::move(name));
  }

  /// What messages call this file: its path.
  const std::string& name() const { return name_; }

  /// All datasets of numbers, by path, the members of a group in the order of their names. Little-endian,
  /// row-major; dtype as in safetensors ("F16", "F32", "F64", "I8" ... "U64").
  const std::vector<NamedTensor>& datasets() const { return datasets_; }
  /// All groups, by path; the root, "", is the first.
  const std::vector<std::string>& groups() const { return groups_; }
  /// (path, what it is) of everything that is neither: datasets of strings or records, types, soft and
  /// external links.
  const std::vector<std::pair<std::string, std::string>>& others() const { return others_; }

  /// The dataset at `path`, or null.
  const TensorView* find(const std::string& path) const {
    const auto it = index_.find(path);
    return it == index_.end() ? nullptr : &datasets_[it->second].second;
  }
  bool contains(const std::string& path) const { return find(path) != nullptr; }
  /// The dataset at `path`. Throws FormatError if there is none.
  const TensorView& at(const std::string& path) const {
    if (const auto* view = find(path)) return *view;
    for (const auto& [other, what] : others_)
      require<FormatError>(other != path, "'", name_, "': '", path, "' is ", what, ", expected numbers");
    throw FormatError(text("'", name_, "': no dataset '", path, "'"));
  }
  bool has_group(const std::string& path) const {
    return std::find(groups_.begin(), groups_.end(), path) != groups_.end();
  }

  /// The strings of a string attribute of the object at `path` (one for a scalar), or null. An array that
  /// Keras split as <name>0, <name>1, ... (beyond 64 KB) is found whole under `name`.
  const Strings* find_attribute(const std::string& path, const std::string& name) const {
    const auto* found = attribute_at(path, name);
    return found != nullptr && found->other.empty() ? &found->strings : nullptr;
  }
  /// The same. Throws FormatError if there is no such attribute, or it holds no strings.
  const Strings& attribute(const std::string& path, const std::string& name) const {
    const auto* found = attribute_at(path, name);
    require<FormatError>(found != nullptr, "'", name_, "', object '/", path, "': no attribute '", name, "'");
    require<FormatError>(found->other.empty(), "'", name_, "', object '/", path, "': attribute '", name,
                         "' is of ", found->other, ", expected strings");
    return found->strings;
  }

 private:
  /// What the views point into.
  struct Storage {
    std::vector<std::byte> file;
    std::vector<std::vector<std::byte>> decoded;
  };

  Hdf5(std::vector<std::byte> content, std::string name)
      : name_(std::move(name)), storage_(std::make_shared<Storage>()) {
    storage_->file = std::move(content);
    hdf5::Source source(storage_->file, name_);
    const auto root = hdf5::read_superblock(source);
    hdf5::AttributeReader attributes(source);
    read_object(source, attributes, root, "", 0);
    require<FormatError>(has_group(""), "'", name_, "': the root is no group");
    for (std::size_t i = 0; i < datasets_.size(); ++i) index_.emplace(datasets_[i].first, i);
  }

  void read_object(hdf5::Source& source, hdf5::AttributeReader& attributes, hdf5::Address at,
                   const std::string& path, int depth) {
    source.set_object(path);
    const hdf5::ObjectHeader header(source, at);
    auto own = attributes.read(header);
    join_split(own);
    if (!own.empty()) attributes_.emplace(path, std::move(own));
    if (hdf5::is_dataset(header)) {
      read_dataset(source, header, path);
      return;
    }
    if (!hdf5::is_group(header)) {
      source.check(header.has(hdf5::MessageType::datatype), at, "neither a group nor a dataset");
      others_.emplace_back(path, "a type");
      return;
    }
    source.check(depth < max_depth, at, "groups within groups, more than ", max_depth, " deep");
    groups_.push_back(path);
    for (const auto& link : hdf5::read_links(source, header)) {
      auto member = path.empty() ? link.name : path + '/' + link.name;
      source.check(member.size() <= max_path_bytes, at, "a path of ", member.size(), " bytes, at most ",
                   max_path_bytes, " are allowed");
      if (link.kind.empty())
        read_object(source, attributes, link.object, member, depth + 1);
      else
        others_.emplace_back(std::move(member), link.kind);
      source.set_object(path);
    }
  }

  void read_dataset(hdf5::Source& source, const hdf5::ObjectHeader& header, const std::string& path) {
    auto dataset = hdf5::DatasetReader(source, header).read();
    if (!dataset.other.empty()) {
      others_.emplace_back(path, std::move(dataset.other));
      return;
    }
    if (!dataset.decoded.empty()) {
      storage_->decoded.push_back(std::move(dataset.decoded));  // moving a vector moves no element
      dataset.in_file = storage_->decoded.back();
    }
    datasets_.emplace_back(path, TensorView{std::move(dataset.dtype), dataset.shape, dataset.in_file});
  }

  /// Keras splits an attribute that is too long for an object header.
  static void join_split(hdf5::Attributes& attributes) {
    std::vector<std::pair<std::string, hdf5::Attribute>> joined;
    for (const auto& [name, first] : attributes) {
      if (name.size() < 2 || name.back() != '0' || !first.other.empty()) continue;
      const auto base = name.substr(0, name.size() - 1);
      if (attributes.contains(base) || (base.back() >= '0' && base.back() <= '9')) continue;
      hdf5::Attribute whole;
      for (int i = 0;; ++i) {
        const auto part = attributes.find(text(base, i));
        if (part == attributes.end() || !part->second.other.empty()) break;
        whole.strings.insert(whole.strings.end(), part->second.strings.begin(), part->second.strings.end());
      }
      joined.emplace_back(base, std::move(whole));
    }
    for (auto& [name, attribute] : joined) attributes.emplace(name, std::move(attribute));
  }

  const hdf5::Attribute* attribute_at(const std::string& path, const std::string& name) const {
    const auto object = attributes_.find(path);
    if (object == attributes_.end()) return nullptr;
    const auto it = object->second.find(name);
    return it == object->second.end() ? nullptr : &it->second;
  }

  std::string name_;
  std::shared_ptr<Storage> storage_;
  std::vector<NamedTensor> datasets_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::string> groups_;
  std::vector<std::pair<std::string, std::string>> others_;
  std::unordered_map<std::string, hdf5::Attributes> attributes_;
};

}  // namespace kfer::io
