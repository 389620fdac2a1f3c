// TensorFlow checkpoints (tensor bundles), without TensorFlow: X.index, an SSTable from names to the types,
// shapes and places of tensors, and the data in X.data-00000-of-0000N. Formats: tensor_bundle.proto and
// tensor_bundle.h of TensorFlow.
#pragma once

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfer/io/protobuf.hpp"
#include "kfer/io/safetensors.hpp"
#include "kfer/io/sstable.hpp"

namespace kfer::io {

namespace detail {

/// safetensors' name of a number of TensorFlow's enumeration of types (types.proto); empty: no numbers, or
/// not supported.
inline std::string_view tf_dtype(std::uint64_t type) {
  constexpr std::pair<std::uint64_t, std::string_view> names[] = {
      {1, "F32"}, {2, "F64"},   {3, "I32"},   {4, "U8"},   {5, "I16"},  {6, "I8"},   {8, "C64"},
      {9, "I64"}, {10, "BOOL"}, {14, "BF16"}, {17, "U16"}, {19, "F16"}, {22, "U32"}, {23, "U64"}};
  for (const auto& [number, name] : names)
    if (number == type) return name;
  return {};
}
inline constexpr std::uint64_t tf_string = 7;

inline bool is_directory(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

}  // namespace detail

/// The X of X.index that `path` means: X itself, X.index, or the directory whose text file `checkpoint` names
/// X. Throws IoError, FormatError where that file names nothing.
inline std::string tf_checkpoint_prefix(const std::string& path) {
  constexpr std::string_view suffix = ".index";
  if (detail::is_directory(path)) {
    const auto list = path + "/checkpoint";
    const auto content = read_text(list, 1 << 20);
    constexpr std::string_view key = "model_checkpoint_path: \"";
    const auto at = content.starts_with(key) ? 0 : content.find('\n' + std::string(key));
    require<FormatError>(at != std::string::npos, "'", list, "': no line model_checkpoint_path: \"...\"");
    const auto begin = content.find('"', at) + 1, end = content.find_first_of("\"\\\n", begin);
    require<FormatError>(end != std::string::npos && content[end] == '"' && end > begin, "'", list,
                         "': model_checkpoint_path is no plain string in quotes");
    const auto named = content.substr(begin, end - begin);
    return named[0] == '/' ? named : path + '/' + named;
  }
  return path.ends_with(suffix) ? path.substr(0, path.size() - suffix.size()) : path;
}

/// The tensors of one checkpoint, in memory; views stay valid while any copy of this object lives.
class TfCheckpoint {
 public:
  static constexpr std::uint64_t max_index_bytes = std::uint64_t{1} << 28;

  /// Reads and checks a whole checkpoint, every CRC included. `path` is its prefix X, X.index, or the
  /// directory with its file `checkpoint`. Throws IoError; FormatError naming the file, the tensor and what
  /// is wrong or not supported.
  static TfCheckpoint open(const std::string& path) {
    const auto prefix = tf_checkpoint_prefix(path);
    TfCheckpoint out(prefix + ".index");
    out.read(read_file(out.name_, max_index_bytes), [&](std::uint64_t shard, std::uint64_t shards) {
      std::string number[2] = {text(shard), text(shards)};
      for (auto& n : number) n.insert(0, n.size() < 5 ? 5 - n.size() : 0, '0');
      const auto file = text(prefix, ".data-", number[0], "-of-", number[1]);
      out.storage_->push_back(read_file(file));
      return std::pair(Bytes(out.storage_->back()), file);
    });
    return out;
  }

  /// Checks a checkpoint held in memory, and copies its data. `name` is what messages call it.
  static TfCheckpoint parse(Bytes index, std::span<const Bytes> shards, std::string name = "checkpoint") {
    TfCheckpoint out(std::move(name));
    out.read(index, [&](std::uint64_t shard, std::uint64_t count) {
      require<FormatError>(count == shards.size(), "'", out.name_, "': a checkpoint of ", count,
                           " shards, got ", shards.size());
      const auto data = shards[static_cast<std::size_t>(shard)];
      out.storage_->emplace_back(data.begin(), data.end());
      return std::pair(Bytes(out.storage_->back()), text("shard ", shard));
    });
    return out;
  }

  /// What messages call this checkpoint: the path of its index.
  const std::string& name() const { return name_; }
  /// All tensors of numbers, by name.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// Names of the tensors of strings (Keras' object graph and the like): verified, see `strings(name)`.
  const std::vector<std::string>& strings() const { return string_names_; }

  /// The tensor called `name`, or null.
  const TensorView* find(std::string_view name) const {
    const auto it = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                     [](const NamedTensor& a, std::string_view b) { return a.first < b; });
    return it == tensors_.end() || it->first != name ? nullptr : &it->second;
  }
  bool contains(std::string_view name) const { return find(name) != nullptr; }
  /// The tensor called `name`. Throws FormatError if there is none.
  const TensorView& at(std::string_view name) const {
    const auto* view = find(name);
    require<FormatError>(view != nullptr, "'", name_, "': no tensor '", name, "'");
    return *view;
  }

  /// The elements of tensor `name`. Throws FormatError if it is missing or of another type than T.
  template <class T>
  std::vector<T> values(std::string_view name) const {
    return detail::elements<T>(at(name), name_, name);
  }
  /// The elements of a tensor of strings. Throws FormatError if there is none of that name.
  std::vector<std::string_view> strings(std::string_view name) const {
    const auto it = std::lower_bound(string_names_.begin(), string_names_.end(), name);
    require<FormatError>(it != string_names_.end() && *it == name, "'", name_, "': no tensor of strings '",
                         name, "'");
    std::vector<std::string_view> out;
    const auto& entry = string_entries_[static_cast<std::size_t>(it - string_names_.begin())];
    Bytes lengths = entry.lengths, content = entry.content;
    while (const auto length = take_varint(lengths)) {
      out.push_back(as_text(content.first(static_cast<std::size_t>(*length))));
      content = content.subspan(static_cast<std::size_t>(*length));
    }
    return out;
  }

 private:
  struct Entry {
    std::string name;
    std::uint64_t type = 0, shard = 0, offset = 0, size = 0;
    std::uint32_t crc = 0;
    Shape shape;
  };
  struct StringEntry {
    Bytes lengths, content;
  };

  explicit TfCheckpoint(std::string name)
      : name_(std::move(name)), storage_(std::make_shared<std::deque<std::vector<std::byte>>>()) {}

  template <class... What>
  void check(bool ok, const What&... what) const {
    require<FormatError>(ok, "'", name_, "': ", what...);
  }

  /// `load(shard, shards)` gives a shard's bytes, which stay, and what messages call it.
  template <class Load>
  void read(Bytes index, const Load& load) {
    std::uint64_t shards = 0;
    std::vector<Entry> entries;
    std::uint64_t name_bytes = 0;
    for_each_sstable_entry(index, name_, [&](std::string_view key, Bytes value) {
      if (key.empty()) return static_cast<void>(shards = read_header(value));
      check(shards > 0, "no header before the first tensor");
      // Keys share their beginnings in the file: long ones, again and again, would fill the memory.
      check((name_bytes += key.size()) <= 64 * (index.size() + 1024), "names longer than an index of ",
            index.size(), " bytes can mean");
      entries.push_back(read_entry(key, value));
      check(entries.back().shard < shards, "tensor '", key, "': in shard ", entries.back().shard, " of ",
            shards);
    });
    check(shards > 0, "no header: not a TensorFlow checkpoint");

    std::map<std::uint64_t, std::vector<const Entry*>> by_shard;
    for (const auto& entry : entries) by_shard[entry.shard].push_back(&entry);
    std::unordered_map<const Entry*, Bytes> data;
    for (auto& [shard, members] : by_shard) {
      const auto [bytes, file] = load(shard, shards);
      std::sort(members.begin(), members.end(), [](const Entry* a, const Entry* b) {
        return std::pair(a->offset, a->size) < std::pair(b->offset, b->size);
      });
      std::uint64_t end = 0;
      for (const auto* entry : members) {
        check(entry->offset >= end, "tensor '", entry->name, "': its data overlap those of another");
        check(entry->offset <= bytes.size() && entry->size <= bytes.size() - entry->offset, "tensor '",
              entry->name, "': ", entry->size, " bytes at byte ", entry->offset, " are not within the ",
              bytes.size(), " bytes of '", file, "': truncated");
        end = entry->offset + entry->size;
        data[entry] =
            bytes.subspan(static_cast<std::size_t>(entry->offset), static_cast<std::size_t>(entry->size));
      }
    }
    for (auto& entry : entries) add(entry, data.at(&entry));
  }

  /// BundleHeaderProto: num_shards = 1, endianness = 2, version = 3.
  std::uint64_t read_header(Bytes value) const {
    const auto what = text("'", name_, "': header");
    ProtoReader reader(value, what);
    std::uint64_t shards = 0, big_endian = 0, oldest_reader = 0;
    while (reader.next()) {
      if (reader.field() == 1) {
        shards = reader.varint();
      } else if (reader.field() == 2) {
        big_endian = reader.varint();
      } else if (reader.field() == 3) {  // VersionDef: producer = 1, min_consumer = 2
        ProtoReader version(reader.bytes(), what);
        while (version.next())
          if (version.field() == 2)
            oldest_reader = version.varint();
          else
            version.skip();
      } else {
        reader.skip();
      }
    }
    check(shards >= 1 && shards < 100'000, shards, " shards");
    check(big_endian == 0, "a checkpoint of a big-endian machine is not supported");
    check(oldest_reader <= 1, "a checkpoint for readers of version ", oldest_reader, ", this one reads 1");
    return shards;
  }

  /// BundleEntryProto: dtype = 1, shape = 2, shard_id = 3, offset = 4, size = 5, crc32c = 6, slices = 7.
  Entry read_entry(std::string_view key, Bytes value) const {
    Entry entry;
    entry.name = key;
    const auto what = text("'", name_, "', tensor '", key, "'");
    const auto check = [&](bool ok, const auto&... parts) { require<FormatError>(ok, what, ": ", parts...); };
    ProtoReader reader(value, what);
    while (reader.next()) switch (reader.field()) {
        case 1:
          entry.type = reader.varint();
          break;
        case 2: {  // TensorShapeProto: dim = 2 (size = 1, name = 2), unknown_rank = 3
          ProtoReader shape(reader.bytes(), what);
          while (shape.next()) {
            check(shape.field() != 3 || shape.varint() == 0, "of unknown rank");
            if (shape.field() == 3) continue;
            if (shape.field() != 2) {
              shape.skip();
              continue;
            }
            ProtoReader dim(shape.bytes(), what);
            std::uint64_t extent = 0;
            while (dim.next())
              if (dim.field() == 1)
                extent = dim.varint();
              else
                dim.skip();
            check(extent <= std::uint64_t{1} << 62, "an extent that is no natural number");
            check(entry.shape.rank() < Shape::max_rank, "more than ", Shape::max_rank, " dimensions");
            entry.shape.push_back(static_cast<std::int64_t>(extent));
          }
          break;
        }
        case 3:
          entry.shard = reader.varint();
          break;
        case 4:
          entry.offset = reader.varint();
          break;
        case 5:
          entry.size = reader.varint();
          break;
        case 6:
          entry.crc = reader.fixed<std::uint32_t>();
          break;
        case 7:
          check(false, "a variable saved in slices is not supported");
          break;
        default:
          reader.skip();
      }
    if (entry.type == detail::tf_string) return entry;
    const auto dtype = detail::tf_dtype(entry.type);
    check(!dtype.empty(), "elements of TensorFlow's type ", entry.type, " are not supported");
    std::uint64_t bytes = safetensors_item_size(dtype);
    for (const auto extent : entry.shape)
      check(!__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes), "the size of shape ",
            entry.shape, " does not fit 64 bits");
    check(bytes == entry.size, dtype, " of shape ", entry.shape, " takes ", bytes, " bytes, got ",
          entry.size);
    return entry;
  }

  void add(Entry& entry, Bytes data) {
    if (entry.type == detail::tf_string) {
      string_entries_.push_back(read_strings(entry, data));
      string_names_.push_back(std::move(entry.name));
      return;
    }
    check(masked_crc32c(data) == entry.crc, "tensor '", entry.name, "': its CRC is wrong");
    tensors_.emplace_back(std::move(entry.name),
                          TensorView{std::string(detail::tf_dtype(entry.type)), entry.shape, data});
  }

  /// The lengths as varints, the masked CRC of the lengths as fixed integers, the strings. The entry's CRC
  /// goes over the fixed integers, that CRC and the strings.
  StringEntry read_strings(const Entry& entry, Bytes data) const {
    Bytes rest = data;
    std::uint32_t crc = 0;
    std::uint64_t total = 0;
    const auto numel = static_cast<std::uint64_t>(entry.shape.numel());
    check(numel <= data.size(), "tensor '", entry.name, "': ", data.size(), " bytes cannot hold ", numel,
          " strings");
    for (std::uint64_t i = 0; i < numel; ++i) {
      const auto length = take_varint(rest);
      check(length && *length <= data.size(), "tensor '", entry.name, "': a damaged length of a string");
      total += *length;
      std::byte fixed[8];
      store_le(fixed, *length);
      crc = crc32c(Bytes(fixed, *length <= 0xffffffff ? 4 : 8), crc);
    }
    const auto lengths = data.first(data.size() - rest.size());
    check(rest.size() >= 4 && rest.size() - 4 == total, "tensor '", entry.name, "': strings of ", total,
          " bytes and a CRC do not take ", rest.size());
    check(load_le<std::uint32_t>(rest.data()) == mask_crc(crc), "tensor '", entry.name,
          "': the CRC of its lengths is wrong");
    check(mask_crc(crc32c(rest, crc)) == entry.crc, "tensor '", entry.name, "': its CRC is wrong");
    return {lengths, rest.subspan(4)};
  }

  std::string name_;
  std::shared_ptr<std::deque<std::vector<std::byte>>> storage_;  // a shard each; elements stay where they are
  std::vector<NamedTensor> tensors_;
  std::vector<std::string> string_names_;
  std::vector<StringEntry> string_entries_;
};

}  // namespace kfer::io
