// NumPy's files: .npy arrays (format versions 1 to 3) and .npz archives of them (zip; stored or deflated
// entries). https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kfer/core/shape.hpp"
#include "kfer/io/crc32.hpp"
#include "kfer/io/file.hpp"
#include "kfer/io/inflate.hpp"

namespace kfer::io {

/// NumPy's name of an element type ("<f4"); empty: not supported.
template <class T>
inline constexpr std::string_view npy_dtype = "";
template <>
inline constexpr std::string_view npy_dtype<float> = "<f4";
template <>
inline constexpr std::string_view npy_dtype<double> = "<f8";
template <>
inline constexpr std::string_view npy_dtype<std::int32_t> = "<i4";
template <>
inline constexpr std::string_view npy_dtype<std::int64_t> = "<i8";
template <>
inline constexpr std::string_view npy_dtype<std::uint8_t> = "|u1";

/// Bytes of an element of a supported type, or 0.
inline std::size_t npy_item_size(std::string_view dtype) {
  if (dtype == npy_dtype<float> || dtype == npy_dtype<std::int32_t>) return 4;
  if (dtype == npy_dtype<double> || dtype == npy_dtype<std::int64_t>) return 8;
  return dtype == npy_dtype<std::uint8_t> ? 1 : 0;
}

/// An array in C order. float, double, int32, int64 and uint8 are supported.
struct NpyArray {
  std::string dtype;  ///< "<f4", "<f8", "<i4", "<i8" or "|u1"
  Shape shape;
  std::vector<std::byte> data;

  /// The elements. Throws FormatError if they are of another type than T.
  template <class T>
  std::vector<T> values() const {
    require<FormatError>(dtype == npy_dtype<T>, "npy: the array is ", dtype, ", expected ", npy_dtype<T>);
    std::vector<T> out(data.size() / sizeof(T));
    if (!out.empty()) std::memcpy(out.data(), data.data(), data.size());
    return out;
  }
};

/// An array of `values`. Throws ShapeError unless their number fits `shape`.
template <class T>
NpyArray npy_array(std::span<const T> values, const Shape& shape) {
  static_assert(!npy_dtype<T>.empty(), "this element type is not supported in npy files");
  require<ShapeError>(static_cast<std::uint64_t>(shape.numel()) == values.size(), "an array of shape ", shape,
                      " has ", shape.numel(), " elements, got ", values.size());
  const auto bytes = std::as_bytes(values);
  return {std::string(npy_dtype<T>), shape, {bytes.begin(), bytes.end()}};
}

using NamedArray = std::pair<std::string, NpyArray>;

namespace detail {

inline constexpr std::string_view npy_magic = "\x93NUMPY";

/// The header's Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
class NpyHeaderParser {
 public:
  NpyHeaderParser(std::string_view header, std::string_view name) : rest_(header), name_(name) {}

  std::pair<std::string, Shape> parse() {
    bool has_descr = false, has_order = false, has_shape = false;
    std::string dtype;
    Shape shape;
    expect('{');
    while (!take('}')) {
      const auto key = parse_string();
      expect(':');
      if (key == "descr" && !has_descr) {
        has_descr = true;
        skip_space();
        check(!rest_.starts_with('['), "a structured dtype is not supported: ", rest_.substr(0, 60));
        dtype = parse_string();
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        check(!take_word("True"), "Fortran order is not supported: save the array in C order");
        check(take_word("False"), "fortran_order is neither True nor False");
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        shape = parse_shape();
      } else {
        check(false, "an unexpected key '", key, "' in the header");
      }
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    check(rest_.empty(), "text after the header's dictionary");
    check(has_descr && has_order && has_shape, "the header lacks descr, fortran_order or shape");
    check(npy_item_size(dtype) > 0, "dtype '", dtype,
          "' is not supported (float32, float64, int32, int64 and uint8 are, "
          "little-endian)");
    return {std::move(dtype), shape};
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    require<FormatError>(ok, "'", name_, "': npy: ", parts...);
  }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool take(char c) {
    skip_space();
    if (!rest_.starts_with(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) { check(take(c), "expected '", c, "' in the header, got '", rest_.substr(0, 20), "'"); }
  bool take_word(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::string parse_string() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_[0];
    check(quote == '\'' || quote == '"', "expected a string in the header, got '", rest_.substr(0, 20), "'");
    const auto end = rest_.find(quote, 1);
    check(end != std::string_view::npos, "a string without end in the header");
    std::string out(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return out;
  }
  Shape parse_shape() {
    Shape shape;
    expect('(');
    while (!take(')')) {
      skip_space();
      std::int64_t extent = 0;
      const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      check(error == std::errc{} && extent >= 0, "an extent that is no natural number");
      check(shape.rank() < Shape::max_rank, "more than ", Shape::max_rank, " dimensions");
      shape.push_back(extent);
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      take_word("L");
      if (!take(',')) {
        expect(')');
        break;
      }
    }
    return shape;
  }

  std::string_view rest_, name_;
};

}  // namespace detail

/// Parses the content of an .npy file. Throws FormatError naming `name` and what is wrong or not supported.
inline NpyArray parse_npy(Bytes content, std::string_view name = "npy") {
  const auto check = [&](bool ok, const auto&... parts) {
    require<FormatError>(ok, "'", name, "': npy: ", parts...);
  };
  check(content.size() >= 10 && as_text(content).starts_with(detail::npy_magic), "not an npy file");
  const auto version = std::to_integer<int>(content[6]);
  check(version >= 1 && version <= 3 && content[7] == std::byte{0}, "format version ", version, ".",
        std::to_integer<int>(content[7]), " is not supported");
  const std::size_t prefix = version == 1 ? 10 : 12;
  check(content.size() >= prefix, "truncated");
  const std::size_t length =
      version == 1 ? load_le<std::uint16_t>(content.data() + 8) : load_le<std::uint32_t>(content.data() + 8);
  check(length <= content.size() - prefix, "truncated header");
  auto [dtype, shape] = detail::NpyHeaderParser(as_text(content.subspan(prefix, length)), name).parse();

  std::uint64_t bytes = npy_item_size(dtype);
  for (const auto extent : shape)
    check(!__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(extent), &bytes), "the size of shape ",
          shape, " does not fit 64 bits");
  const auto data = content.subspan(prefix + length);
  check(bytes == data.size(), dtype, " of shape ", shape, " takes ", bytes, " bytes, got ", data.size());
  return {std::move(dtype), shape, {data.begin(), data.end()}};
}

/// The content of an .npy file (format version 1).
inline std::vector<std::byte> encode_npy(const NpyArray& array) {
  const auto item_size = npy_item_size(array.dtype);
  require<ValueError>(item_size > 0, "npy: dtype '", array.dtype, "' is not supported");
  require<ShapeError>(static_cast<std::uint64_t>(array.shape.numel()) * item_size == array.data.size(),
                      "an array of shape ", array.shape, " and type ", array.dtype, " does not take ",
                      array.data.size(), " bytes");
  std::string header = text("{'descr': '", array.dtype, "', 'fortran_order': False, 'shape': (");
  for (const auto extent : array.shape) header += text(extent, array.shape.rank() == 1 ? "," : ", ");
  if (array.shape.rank() > 1) header.resize(header.size() - 2);
  header += "), }";
  header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ') += '\n';

  std::vector<std::byte> out;
  append(out, as_bytes(detail::npy_magic));
  append(out, as_bytes(std::string_view("\x01\x00", 2)));
  append_le(out, static_cast<std::uint16_t>(header.size()));
  append(out, as_bytes(header));
  append(out, array.data);
  return out;
}

inline NpyArray read_npy(const std::string& path) {
  return parse_npy(read_file(path), path);
}
inline void write_npy(const std::string& path, const NpyArray& array) {
  atomic_write(path, as_text(encode_npy(array)));
}

/// Parses the content of an .npz archive: its arrays in order, by their names without ".npy".
/// `max_array_bytes` bounds each, before memory is taken. Throws FormatError naming `name`, the entry and
/// what is wrong or not supported.
inline std::vector<NamedArray> parse_npz(Bytes content, std::string_view name = "npz",
                                         std::uint64_t max_array_bytes = std::uint64_t{1} << 32) {
  const auto check = [&](bool ok, const auto&... parts) {
    require<FormatError>(ok, "'", name, "': zip: ", parts...);
  };
  const auto u16 = [&](std::size_t at) -> std::size_t { return load_le<std::uint16_t>(content.data() + at); };
  const auto u32 = [&](std::size_t at) -> std::uint64_t {
    return load_le<std::uint32_t>(content.data() + at);
  };

  // The end record: 22 bytes and a comment that reaches the end of the file.
  constexpr std::size_t end_bytes = 22, central_bytes = 46, local_bytes = 30;
  check(content.size() >= end_bytes, "too short");
  std::size_t end = content.size() - end_bytes;
  const auto is_end = [&] {
    return u32(end) == 0x06054b50 && u16(end + 20) == content.size() - end - end_bytes;
  };
  const std::size_t lowest = end - std::min<std::size_t>(end, 0xffff);
  while (!is_end() && end > lowest) --end;
  check(is_end(), "no end record: truncated, or not an npz file");
  const std::size_t entries = u16(end + 10);
  const std::uint64_t directory = u32(end + 16);
  check(u16(end + 4) == 0 && u16(end + 8) == entries, "an archive in several parts is not supported");
  check(entries != 0xffff && directory != 0xffffffff, "an archive of more than 4 GiB is not supported");
  check(directory <= end && u32(end + 12) == end - directory,
        "the directory does not lie before the end record");

  std::vector<NamedArray> arrays;
  std::unordered_set<std::string> names;
  std::size_t at = static_cast<std::size_t>(directory);
  for (std::size_t i = 0; i < entries; ++i) {
    check(end - at >= central_bytes && u32(at) == 0x02014b50, "a damaged directory entry");
    const auto flags = u16(at + 8), method = u16(at + 10), name_bytes = u16(at + 28);
    const auto crc = u32(at + 16), packed = u32(at + 20), size = u32(at + 24), local = u32(at + 42);
    const std::size_t entry_bytes = central_bytes + name_bytes + u16(at + 30) + u16(at + 32);
    check(entry_bytes <= end - at, "a damaged directory entry");
    std::string entry(as_text(content.subspan(at + central_bytes, name_bytes)));
    at += entry_bytes;

    check(!(flags & 1), "entry '", entry, "' is encrypted");
    check(method == 0 || method == 8, "entry '", entry, "': compression method ", method,
          " is not supported");
    check(packed != 0xffffffff && size != 0xffffffff, "entry '", entry,
          "': more than 4 GiB are not supported");
    check(size <= max_array_bytes, "entry '", entry, "': ", size, " bytes, at most ", max_array_bytes,
          " are allowed");
    check(local <= directory && directory - local >= local_bytes && u32(local) == 0x04034b50, "entry '",
          entry, "': no local header");
    const std::uint64_t start = local + local_bytes + u16(local + 26) + u16(local + 28);
    check(start <= directory && packed <= directory - start, "entry '", entry,
          "': its data reach past the directory");
    check(u16(local + 26) == name_bytes && as_text(content.subspan(local + local_bytes, name_bytes)) == entry,
          "entry '", entry, "' has another name in its local header");
    const auto raw = content.subspan(static_cast<std::size_t>(start), static_cast<std::size_t>(packed));

    std::vector<std::byte> inflated;
    Bytes bytes = raw;
    if (method == 8) {
      // No deflate stream expands more than 1032 times: what claims to is not given memory.
      check(size <= (packed + 1) * 1032, "entry '", entry, "': ", packed, " bytes cannot hold ", size);
      inflated.resize(static_cast<std::size_t>(size));
      inflate(raw, inflated);
      bytes = inflated;
    } else {
      check(size == packed, "entry '", entry, "': stored, but its two sizes differ");
    }
    check(crc32(bytes) == crc, "entry '", entry, "': its CRC is wrong");
    const auto qualified = text(name, "', '", entry);
    if (entry.ends_with(".npy")) entry.resize(entry.size() - 4);
    check(names.insert(entry).second, "two entries '", entry, "'");
    arrays.emplace_back(std::move(entry), parse_npy(bytes, qualified));
  }
  check(at == end, "text after the directory");
  return arrays;
}

inline std::vector<NamedArray> read_npz(const std::string& path) {
  return parse_npz(read_file(path), path);
}

/// Saves arrays as an .npz archive of stored entries (as numpy.savez does); the file is replaced entirely or
/// not at all. Throws ValueError for a name used twice or more than an archive without zip64 can hold.
inline void write_npz(const std::string& path, std::span<const NamedArray> arrays) {
  require<ValueError>(arrays.size() < 0xffff, "npz: ", arrays.size(), " arrays are too many");
  std::unordered_set<std::string_view> names;
  for (const auto& [name, array] : arrays) {
    require<ValueError>(names.insert(name).second, "npz: the name '", name, "' is given twice");
    require<ValueError>(name.size() < 0xfff0, "npz: a name of ", name.size(), " bytes");
  }
  atomic_write(path, [&](AtomicFile& file) {
    std::vector<std::byte> directory;
    const auto limited = [&](std::uint64_t n) {
      require<ValueError>(n < 0xffffffff, "npz: '", path, "' would take more than 4 GiB");
      return static_cast<std::uint32_t>(n);
    };
    for (const auto& [name, array] : arrays) {
      const auto content = encode_npy(array);
      const auto entry = name + ".npy";
      const auto offset = limited(file.size()), size = limited(content.size());
      // Version 2.0, UTF-8 names, stored, 1980-01-01 00:00 (no clock: the same arrays give the same bytes).
      std::vector<std::byte> common;
      for (const std::uint16_t field : {20, 0x800, 0, 0, 0x21}) append_le(common, field);
      for (const std::uint32_t field : {crc32(content), size, size}) append_le(common, field);
      append_le(common, static_cast<std::uint16_t>(entry.size()));
      append_le(common, std::uint16_t{0});

      std::vector<std::byte> local;
      append_le(local, std::uint32_t{0x04034b50});
      append(local, common);
      append(local, as_bytes(entry));
      file.write(local);
      file.write(content);

      append_le(directory, std::uint32_t{0x02014b50});
      append_le(directory, std::uint16_t{20});
      append(directory, common);
      for (const std::uint16_t field : {0, 0, 0}) append_le(directory, field);
      for (const std::uint32_t field : {std::uint32_t{0}, offset}) append_le(directory, field);
      append(directory, as_bytes(entry));
    }
    const auto start = limited(file.size());
    file.write(directory);
    std::vector<std::byte> end;
    append_le(end, std::uint32_t{0x06054b50});
    const auto count = static_cast<std::uint16_t>(arrays.size());
    for (const std::uint16_t field : {std::uint16_t{0}, std::uint16_t{0}, count, count})
      append_le(end, field);
    append_le(end, limited(directory.size()));
    append_le(end, start);
    append_le(end, std::uint16_t{0});
    file.write(end);
  });
}

}  // namespace kfer::io
