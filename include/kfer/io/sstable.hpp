// SSTables: sorted pairs of key and value in checked blocks, LevelDB's table format
// (https://github.com/google/leveldb/blob/main/doc/table_format.md). TensorFlow's checkpoints keep their
// index in one.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "kfer/io/crc32c.hpp"
#include "kfer/io/snappy.hpp"

namespace kfer::io {

inline constexpr std::uint64_t sstable_magic = 0xdb4775248b80fb57;
/// The magic number's place: the last bytes of the file.
inline bool is_sstable(Bytes content) {
  return content.size() >= 8 && load_le<std::uint64_t>(content.data() + content.size() - 8) == sstable_magic;
}

namespace detail {

/// Reads one table; every block's CRC-32C is verified.
class SstableReader {
 public:
  SstableReader(Bytes content, std::string_view name) : content_(content), name_(name) {}

  template <class Visit>
  void read(const Visit& visit) {
    check(content_.size() >= footer_bytes, content_.size(), " bytes are too few");
    check(is_sstable(content_), "no magic number at its end: truncated, or another kind of file");
    Bytes footer = content_.last(footer_bytes).first(footer_bytes - 8);
    const Handle meta = handle(footer), index = handle(footer);
    for (const auto byte : footer) check(byte == std::byte{0}, "a damaged footer");
    block(meta, [&](std::string_view, Bytes) {});  // filters and statistics: verified, not needed
    Handle before{};
    std::string key;
    bool first = true;
    block(index, [&](std::string_view last_key, Bytes value) {
      const Handle next = handle(value);
      check(value.empty(), "a damaged index");
      // In order and apart, as they were written: no block is read twice.
      check(next.offset >= before.offset + before.size, "its blocks overlap");
      before = next;
      block(next, [&](std::string_view entry_key, Bytes entry) {
        check(first || entry_key > key, "its keys are not in order");
        check(entry_key <= last_key, "a key past the one that the index gives for its block");
        first = false;
        key = entry_key;
        visit(std::string_view(key), entry);
      });
    });
  }

 private:
  static constexpr std::size_t footer_bytes = 48, trailer_bytes = 5;
  struct Handle {
    std::uint64_t offset = 0, size = 0;
  };

  template <class... What>
  void check(bool ok, const What&... what) const {
    require<FormatError>(ok, "'", name_, "': SSTable: ", what...);
  }
  std::uint64_t number(Bytes& rest) const {
    const auto value = take_varint(rest);
    check(value.has_value(), "a number without end");
    return *value;
  }
  Handle handle(Bytes& rest) const {
    const auto offset = number(rest), size = number(rest);
    const std::uint64_t room = content_.size() - footer_bytes;
    check(offset <= room && size <= room - offset && room - offset - size >= trailer_bytes, "a block of ",
          size, " bytes at byte ", offset, " does not fit the ", content_.size(), " bytes of the file");
    return {offset, size};
  }

  /// Calls `entry(key, value)` for what the block holds: entries that share the beginning of their keys with
  /// the one before, then the places of those that do not (needed for seeking only) and their number.
  template <class Entry>
  void block(const Handle& at, const Entry& entry) {
    const auto stored = content_.subspan(static_cast<std::size_t>(at.offset),
                                         static_cast<std::size_t>(at.size) + trailer_bytes);
    const auto crc = load_le<std::uint32_t>(stored.data() + at.size + 1);
    check(masked_crc32c(stored.first(stored.size() - 4)) == crc, "the CRC of the block at byte ", at.offset,
          " is wrong");
    Bytes rest = stored.first(static_cast<std::size_t>(at.size));
    const auto compression = std::to_integer<int>(stored[static_cast<std::size_t>(at.size)]);
    std::vector<std::byte> inflated;
    if (compression == 1) {
      inflated = snappy_decompress(rest, text("'", name_, "': SSTable: block at byte ", at.offset));
      rest = inflated;
    }
    check(compression <= 1, "the block at byte ", at.offset, " is compressed by method ", compression,
          ", which is not supported (0, none, and 1, snappy, are)");
    check(rest.size() >= 4, "a block without its number of restarts");
    const std::uint64_t restarts = load_le<std::uint32_t>(rest.data() + rest.size() - 4);
    check(restarts <= (rest.size() - 4) / 4, "a block of ", rest.size(), " bytes with ", restarts,
          " restarts");
    rest = rest.first(rest.size() - 4 - static_cast<std::size_t>(restarts) * 4);
    std::string key;
    while (!rest.empty()) {
      const auto shared = number(rest), fresh = number(rest), size = number(rest);
      check(shared <= key.size(), "a key that shares ", shared, " bytes with one of ", key.size());
      check(fresh <= rest.size() && size <= rest.size() - fresh, "an entry reaches past its block");
      key.resize(static_cast<std::size_t>(shared));
      key += as_text(rest.first(static_cast<std::size_t>(fresh)));
      entry(std::string_view(key),
            rest.subspan(static_cast<std::size_t>(fresh), static_cast<std::size_t>(size)));
      rest = rest.subspan(static_cast<std::size_t>(fresh + size));
    }
  }

  Bytes content_;
  std::string_view name_;
};

}  // namespace detail

/// Calls `visit(std::string_view key, Bytes value)` for every pair of the table, in the order of the keys;
/// both are gone when it returns. Throws FormatError naming `name` and what is wrong or not supported,
/// possibly after some pairs.
template <class Visit>
void for_each_sstable_entry(Bytes content, std::string_view name, const Visit& visit) {
  detail::SstableReader(content, name).read(visit);
}

}  // namespace kfer::io
