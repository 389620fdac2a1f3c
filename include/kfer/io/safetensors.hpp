// safetensors files: a JSON header that names tensors, then their bytes. Format:
// https://huggingface.co/docs/safetensors (uint64 header size | JSON header | data; little-endian).
//
// The format has no checksum, so files that kfer writes carry one that every other reader takes for free
// text: the header begins {"__metadata__": {"kfer.crc32c": "xxxxxxxx", "writer": "kfer", where x are the hex
// digits of the CRC-32C of the whole file with these eight digits as zeros. Either entry makes the reader
// demand the right digits in this place: a flipped bit can hide one of them but not both, and the one left
// gives it away. Files of other software, without either entry, load unchecked: of those, damage to the data
// and to names cannot be told from other data and names.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfer/core/shape.hpp"
#include "kfer/io/crc32c.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/json.hpp"

namespace kfer::io {

/// A tensor's bytes with its type and shape: row-major, little-endian, not necessarily aligned. Owned by the
/// file.
struct TensorView {
  std::string dtype;  ///< as the format writes it: "F32", "BF16", "I64", ...
  Shape shape;
  Bytes data;
};

using NamedTensor = std::pair<std::string, TensorView>;
/// Free text that travels with the tensors (`__metadata__`).
using Metadata = std::vector<std::pair<std::string, std::string>>;

/// Bytes of one element of a safetensors type, or 0 if there is no such type.
inline std::size_t safetensors_item_size(std::string_view dtype) {
  constexpr std::pair<std::string_view, std::size_t> sizes[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"F8_E8M0", 1},
      {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},     {"U32", 4},
      {"F32", 4},  {"I64", 8}, {"U64", 8}, {"F64", 8},     {"C64", 8}};
  for (const auto& [name, size] : sizes)
    if (name == dtype) return size;
  return 0;
}

/// The safetensors name of a C++ type; specialise it for further element types.
template <class T>
inline constexpr std::string_view safetensors_dtype = "";
template <>
inline constexpr std::string_view safetensors_dtype<float> = "F32";
template <>
inline constexpr std::string_view safetensors_dtype<double> = "F64";
template <>
inline constexpr std::string_view safetensors_dtype<std::int8_t> = "I8";
template <>
inline constexpr std::string_view safetensors_dtype<std::int16_t> = "I16";
template <>
inline constexpr std::string_view safetensors_dtype<std::int32_t> = "I32";
template <>
inline constexpr std::string_view safetensors_dtype<std::int64_t> = "I64";
template <>
inline constexpr std::string_view safetensors_dtype<std::uint8_t> = "U8";
template <>
inline constexpr std::string_view safetensors_dtype<std::uint16_t> = "U16";
template <>
inline constexpr std::string_view safetensors_dtype<std::uint32_t> = "U32";
template <>
inline constexpr std::string_view safetensors_dtype<std::uint64_t> = "U64";
template <>
inline constexpr std::string_view safetensors_dtype<bool> = "BOOL";

/// A view of `values` to be saved. Throws ShapeError unless their number fits `shape`.
template <class T>
TensorView tensor_view(std::span<const T> values, const Shape& shape) {
  static_assert(!safetensors_dtype<T>.empty(), "this element type has no name in safetensors");
  require<ShapeError>(static_cast<std::uint64_t>(shape.numel()) == values.size(), "a tensor of shape ", shape,
                      " has ", shape.numel(), " elements, got ", values.size());
  return {std::string(safetensors_dtype<T>), shape, std::as_bytes(values)};
}

namespace detail {

/// The elements of tensor `name` of `file`. Throws FormatError if they are of another type than T.
template <class T>
std::vector<T> elements(const TensorView& view, std::string_view file, std::string_view name) {
  static_assert(!std::is_same_v<T, bool>, "read BOOL through at(name).data");
  require<FormatError>(view.dtype == safetensors_dtype<T>, "'", file, "': tensor '", name, "' is ",
                       view.dtype, ", expected ", safetensors_dtype<T>);
  std::vector<T> out(view.data.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), view.data.data(), view.data.size());
  return out;
}

/// Where the checksum stands in a header, and the two entries of metadata that tell of it.
inline constexpr std::string_view checksum_key = "kfer.crc32c", writer_key = "writer", writer_kfer = "kfer";
inline constexpr std::string_view checksum_place = R"({"__metadata__": {"kfer.crc32c": ")";
inline constexpr std::string_view checksum_zeros = "00000000";

inline std::string checksum_digits(std::uint32_t crc) {
  std::string digits;
  for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[crc >> shift & 15];
  return digits;
}

/// The CRC-32C of the head of a file (size and header) whose checksum counts as zeros.
inline std::uint32_t checksum_of_head(Bytes head) {
  const auto at = sizeof(std::uint64_t) + checksum_place.size();
  const auto crc = crc32c(as_bytes(checksum_zeros), crc32c(head.first(at)));
  return crc32c(head.subspan(at + checksum_zeros.size()), crc);
}

}  // namespace detail

/// The tensors of one file, in memory; views stay valid while any copy of this object lives.
class Safetensors {
 public:
  static constexpr std::uint64_t max_header_bytes = 100'000'000;

  /// Reads and checks a whole file. Throws IoError; FormatError naming the file, the tensor and what is
  /// wrong.
  static Safetensors open(const std::string& path) {
    const File file(path);
    Safetensors out(path);
    out.load(file.size(), [&](std::uint64_t at, std::span<std::byte> piece) { file.read(at, piece); });
    return out;
  }

  /// Checks the content of a file held in memory, and copies it. `name` is what messages call it.
  static Safetensors parse(Bytes content, std::string name = "safetensors") {
    Safetensors out(std::move(name));
    out.load(content.size(), [&](std::uint64_t at, std::span<std::byte> piece) {
      std::ranges::copy(content.subspan(static_cast<std::size_t>(at), piece.size()), piece.begin());
    });
    return out;
  }

  /// What messages call this file: its path.
  const std::string& name() const { return name_; }
  /// All tensors, in the header's order.
  const std::vector<NamedTensor>& tensors() const { return tensors_; }
  /// All metadata, without the checksum's own.
  const Metadata& metadata() const { return metadata_; }
  /// Whether the file carries kfer's checksum, which then was right.
  bool has_checksum() const { return has_checksum_; }

  /// The tensor called `name`, or null.
  const TensorView* find(const std::string& name) const {
    const auto it = index_.find(name);
    return it == index_.end() ? nullptr : &tensors_[it->second].second;
  }
  bool contains(const std::string& name) const { return find(name) != nullptr; }
  /// The tensor called `name`. Throws FormatError if there is none.
  const TensorView& at(const std::string& name) const {
    const auto* view = find(name);
    require<FormatError>(view != nullptr, "'", name_, "': no tensor '", name, "'");
    return *view;
  }
  /// The value of a metadata key, if present.
  std::optional<std::string> metadata(std::string_view key) const {
    for (const auto& [name, value] : metadata_)
      if (name == key) return value;
    return std::nullopt;
  }

  /// The elements of tensor `name`. Throws FormatError if it is missing or of another type than T.
  template <class T>
  std::vector<T> values(const std::string& name) const {
    return detail::elements<T>(at(name), name_, name);
  }

 private:
  explicit Safetensors(std::string name) : name_(std::move(name)) {}

  /// `read(at, piece)` fills a piece of the file's `size` bytes.
  template <class Read>
  void load(std::uint64_t size, const Read& read) {
    require<FormatError>(size >= 8, "'", name_, "': ", size, " bytes are too few for a safetensors file");
    std::byte prefix[8];
    read(0, std::span(prefix));
    const auto head_bytes = 8 + header_size(prefix, size);  // before room for the rest is taken
    storage_.reset(new std::byte[static_cast<std::size_t>(size)]);
    const std::span content(storage_.get(), static_cast<std::size_t>(size));
    const auto head = content.first(head_bytes), data = content.subspan(head_bytes);
    std::ranges::copy(prefix, head.begin());
    read(8, head.subspan(8));
    read_header(as_text(head).substr(8), data);

    const auto stored = take_checksum(as_text(head).substr(8));
    std::uint32_t crc = stored ? detail::checksum_of_head(head) : 0;
    constexpr std::size_t piece_bytes = 1 << 18;  // summed while it is in the cache
    for (std::size_t at = 0; at < data.size(); at += piece_bytes) {
      const auto piece = data.subspan(at, std::min(piece_bytes, data.size() - at));
      read(head_bytes + at, piece);
      if (stored) crc = crc32c(piece, crc);
    }
    require<FormatError>(!stored || detail::checksum_digits(crc) == *stored, "'", name_,
                         "': damaged: its CRC-32C is ", detail::checksum_digits(crc), ", stored is ",
                         stored.value_or(""));
    has_checksum_ = stored.has_value();
  }

  std::size_t header_size(Bytes prefix, std::uint64_t file_size) const {
    const auto size = load_le<std::uint64_t>(prefix.data());
    require<FormatError>(size <= max_header_bytes, "'", name_, "': a header of ", size, " bytes, at most ",
                         max_header_bytes, " are allowed (is this a safetensors file?)");
    require<FormatError>(size <= file_size - 8, "'", name_, "': a header of ", size, " bytes, but ",
                         file_size - 8, " follow: truncated");
    return static_cast<std::size_t>(size);
  }

  void read_header(std::string_view header, Bytes data) {
    require<FormatError>(header.starts_with('{'), "'", name_, "': the header does not start with '{'");
    const auto json = parse_json(header, text("'", name_, "', header"), 8);
    for (const auto& [name, entry] : json.as_object()) {
      if (name == "__metadata__")
        read_metadata(entry);
      else
        tensors_.emplace_back(name, read_tensor(name, entry, data));
    }
    check_layout(data);
    for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].first, i);
  }

  /// The digits of the checksum, if the file is to have one; its metadata are taken away.
  std::optional<std::string> take_checksum(std::string_view header) {
    const auto digits = metadata(detail::checksum_key);
    if (!digits && metadata(detail::writer_key) != detail::writer_kfer) return std::nullopt;
    require<FormatError>(
        digits && digits->size() == detail::checksum_zeros.size() &&
            header.starts_with(detail::checksum_place) &&
            header.substr(detail::checksum_place.size()).starts_with(*digits),
        "'", name_, "': the checksum '", detail::checksum_key,
        "' is not where it should be: damaged, or rewritten by software that must leave the metadata '",
        detail::checksum_key, "' and '", detail::writer_key, "' out");
    std::erase_if(metadata_, [](const auto& entry) {
      return entry.first == detail::checksum_key || entry.first == detail::writer_key;
    });
    return digits;
  }

  void read_metadata(const Json& entry) {
    require<FormatError>(entry.is_object(), "'", name_, "': __metadata__ is not an object");
    for (const auto& [key, value] : entry.as_object()) {
      require<FormatError>(value.is_string(), "'", name_, "': metadata '", key, "' is not a string");
      metadata_.emplace_back(key, value.as_string());
    }
  }

  TensorView read_tensor(const std::string& name, const Json& entry, Bytes data) const {
    const auto check = [&](bool ok, const auto&... what) {
      require<FormatError>(ok, "'", name_, "', tensor '", name, "': ", what...);
    };
    const auto *dtype = entry.find("dtype"), *shape = entry.find("shape"),
               *offsets = entry.find("data_offsets");
    check(dtype && dtype->is_string(), "no dtype");
    check(shape && shape->is_array(), "no shape");
    check(offsets && offsets->is_array() && offsets->as_array().size() == 2, "no pair of data_offsets");
    check(entry.as_object().size() == 3, "members other than dtype, shape and data_offsets");

    TensorView view{dtype->as_string(), {}, {}};
    const auto item_size = safetensors_item_size(view.dtype);
    check(item_size > 0, "unknown dtype '", view.dtype, "'");
    const auto& extents = shape->as_array();
    check(extents.size() <= Shape::max_rank, "rank ", extents.size(), ", at most ", Shape::max_rank,
          " dimensions are supported");
    std::uint64_t bytes = item_size;
    bool fits = true;
    for (const auto& extent : extents) {
      check(extent.is_int() && extent.as_int() >= 0, "an extent that is no natural number");
      view.shape.push_back(extent.as_int());
      fits = fits && !__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent.as_int()), &bytes);
    }
    check(fits, "the size of shape ", view.shape, " does not fit 64 bits");

    for (const auto& offset : offsets->as_array())
      check(offset.is_int() && offset.as_int() >= 0, "a data offset that is no natural number");
    const auto begin = static_cast<std::uint64_t>(offsets->as_array()[0].as_int());
    const auto end = static_cast<std::uint64_t>(offsets->as_array()[1].as_int());
    check(begin <= end && end <= data.size(), "bytes ", begin, " to ", end, " are not within the ",
          data.size(), " bytes of data");
    check(end - begin == bytes, view.dtype, " of shape ", view.shape, " takes ", bytes, " bytes, got ",
          end - begin);
    view.data = data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(bytes));
    return view;
  }

  /// The tensors must tile the data: no overlap, no gap, nothing left over.
  void check_layout(Bytes data) const {
    std::vector<const NamedTensor*> order;
    for (const auto& tensor : tensors_) order.push_back(&tensor);
    std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
      const auto &x = a->second.data, &y = b->second.data;
      return std::pair(x.data(), x.size()) < std::pair(y.data(), y.size());
    });
    std::size_t next = 0;
    for (const auto* tensor : order) {
      const auto begin = static_cast<std::size_t>(tensor->second.data.data() - data.data());
      require<FormatError>(begin == next, "'", name_, "', tensor '", tensor->first,
                           "': its data begin at byte ", begin, ", the tensor before ends at ", next);
      next = begin + tensor->second.data.size();
    }
    require<FormatError>(next == data.size(), "'", name_, "': the tensors take ", next,
                         " bytes of data, got ", data.size());
  }

  std::string name_;
  std::shared_ptr<std::byte[]> storage_;
  std::vector<NamedTensor> tensors_;
  std::unordered_map<std::string, std::size_t> index_;
  Metadata metadata_;
  bool has_checksum_ = false;
};

/// The first bytes of a file that holds `tensors`: the size and the header with the checksum of all, padded
/// with spaces to a multiple of 8. Throws ValueError for a name used twice or reserved, ShapeError for data
/// that do not fit dtype and shape.
inline std::string safetensors_header(std::span<const NamedTensor> tensors, const Metadata& metadata = {}) {
  Json::Object header, pairs;
  pairs.emplace_back(std::string(detail::checksum_key), detail::checksum_zeros);
  pairs.emplace_back(std::string(detail::writer_key), detail::writer_kfer);
  std::unordered_set<std::string_view> names{detail::checksum_key, detail::writer_key};
  for (const auto& [key, value] : metadata) {
    require<ValueError>(names.insert(key).second, "metadata key '", key, "' is given twice or reserved");
    pairs.emplace_back(key, value);
  }
  header.emplace_back("__metadata__", std::move(pairs));
  names = {"__metadata__"};
  std::uint64_t offset = 0;
  for (const auto& [name, view] : tensors) {
    require<ValueError>(names.insert(name).second, "the tensor name '", name, "' is given twice or reserved");
    const auto item_size = safetensors_item_size(view.dtype);
    require<ValueError>(item_size > 0, "tensor '", name, "': unknown dtype '", view.dtype, "'");
    const auto numel = static_cast<std::uint64_t>(view.shape.numel());
    require<ShapeError>(view.data.size() % item_size == 0 && numel == view.data.size() / item_size,
                        "tensor '", name, "': ", view.dtype, " of shape ", view.shape, " has ", numel,
                        " elements, got ", view.data.size(), " bytes");
    const Json::Array shape(view.shape.begin(), view.shape.end());
    header.emplace_back(name, Json::Object{{"dtype", view.dtype},
                                           {"shape", shape},
                                           {"data_offsets", Json::Array{offset, offset + view.data.size()}}});
    offset += view.data.size();
  }
  std::string json = to_string(Json(std::move(header)));
  json.append((8 - json.size() % 8) % 8, ' ');
  require<ValueError>(json.size() <= Safetensors::max_header_bytes, "a safetensors header of ", json.size(),
                      " bytes, at most ", Safetensors::max_header_bytes, " are allowed");
  std::byte size[8];
  store_le(size, static_cast<std::uint64_t>(json.size()));
  std::string head = std::string(as_text(size)) + json;
  auto crc = detail::checksum_of_head(as_bytes(head));
  for (const auto& tensor : tensors) crc = crc32c(tensor.second.data, crc);
  const auto digits = detail::checksum_digits(crc);
  return head.replace(sizeof size + detail::checksum_place.size(), digits.size(), digits);
}

/// Saves `tensors` in the order given: the same input gives the same bytes. The file at `path` is replaced
/// entirely or not at all. Throws IoError and what `safetensors_header` throws.
inline void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                              const Metadata& metadata = {}) {
  const auto header = safetensors_header(tensors, metadata);
  atomic_write(path, [&](AtomicFile& file) {
    file.write(header);
    for (const auto& tensor : tensors) file.write(tensor.second.data);
  });
}

}  // namespace kfer::io
