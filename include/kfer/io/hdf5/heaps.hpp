// Local heaps, which hold the names of old-format groups, and global heaps, which hold strings of variable
// length. Specification III.D and III.E.
#pragma once

#include <unordered_map>

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

class LocalHeap {
 public:
  LocalHeap(Source& source, Address at) : source_(source) {
    auto c = source.open(at, "local heap");
    c.signature("HEAP");
    c.version(0);
    c.skip(3);
    const auto size = c.length();
    c.length();  // the list of free blocks
    data_at_ = c.address();
    c.claim("local heap");
    data_ = source.take(data_at_, size, "local heap's data");
  }

  /// The string at `offset`.
  std::string_view string(std::uint64_t offset) const {
    source_.check(offset < data_.size(), data_at_, "local heap: a name at ", offset, " of ", data_.size(),
                  " bytes");
    const auto rest = as_text(data_.subspan(static_cast<std::size_t>(offset)));
    const auto end = rest.find('\0');
    source_.check(end != std::string_view::npos, data_at_ + offset, "local heap: a name without end");
    return rest.substr(0, end);
  }

 private:
  Source& source_;
  Address data_at_ = 0;
  Bytes data_;
};

/// The collections of a file's global heap, each read when it is first asked for.
class GlobalHeap {
 public:
  explicit GlobalHeap(Source& source) : source_(source) {}

  /// Object `index` of the collection at `at`.
  Bytes object(Address at, std::uint32_t index) {
    auto it = collections_.find(at);
    if (it == collections_.end()) it = collections_.emplace(at, read(at)).first;
    const auto found = it->second.find(index);
    source_.check(found != it->second.end(), at, "global heap: no object ", index);
    return found->second;
  }

 private:
  using Collection = std::unordered_map<std::uint32_t, Bytes>;

  Collection read(Address at) {
    auto prefix = source_.open(at, "global heap");
    prefix.signature("GCOL");
    prefix.version(1);
    prefix.skip(3);
    const auto size = prefix.length();
    Cursor c(source_, source_.take(at, size, "global heap"), at, "global heap");
    c.skip(prefix.used());
    Collection out;
    const auto object_prefix = 8 + source_.length_size();
    while (c.left() >= object_prefix) {
      const auto index = c.u16();
      c.skip(6);  // number of references, reserved
      const auto bytes = c.length();
      if (index == 0) break;  // free space, up to the end
      c.check(out.emplace(index, c.bytes(bytes)).second, "a second object ", index);
      c.skip(std::min<std::uint64_t>((8 - bytes % 8) % 8, c.left()));
    }
    return out;
  }

  Source& source_;
  std::unordered_map<Address, Collection> collections_;
};

}  // namespace kfer::io::hdf5
