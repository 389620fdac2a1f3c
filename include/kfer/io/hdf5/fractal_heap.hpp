// Fractal heaps: where groups keep their links and objects their attributes once there are many.
// Specification III.G.
#pragma once

#include <bit>
#include <map>
#include <tuple>
#include <vector>

#include "kfer/io/hdf5/btree_v2.hpp"

namespace kfer::io::hdf5 {

/// All blocks of one heap. Heaps whose blocks are filtered are not supported.
class FractalHeap {
 public:
  FractalHeap(Source& source, Address at) : source_(source), at_(at) {
    auto c = source.open(at, "fractal heap");
    c.signature("FRHP");
    c.version(0);
    id_size_ = c.u16();
    const auto filters = c.u16();
    c.check(filters == 0, "filtered heaps are not supported");
    checksums_ = c.u8() & 2;
    const auto largest_managed = c.u32();
    c.length();  // the next huge object's id
    huge_ = c.address();
    c.length();                              // free space
    c.address();                             // its manager
    for (int i = 0; i < 8; ++i) c.length();  // sums of sizes and numbers of objects
    width_ = c.u16();
    start_size_ = c.length();
    largest_direct_ = c.length();
    heap_bits_ = c.u16();
    c.u16();  // the root's first number of rows
    const auto root = c.address();
    const auto rows = c.u16();
    c.checksum();
    c.claim("fractal heap");
    const auto power = [](std::uint64_t n) { return std::has_single_bit(n); };
    c.check(power(width_) && power(start_size_) && power(largest_direct_) && heap_bits_ > 0 &&
                heap_bits_ <= 64 && start_size_ <= largest_direct_ && largest_direct_ <= 1u << 31 &&
                largest_managed > 0,
            "impossible sizes of blocks");
    offset_size_ = (heap_bits_ + 7) / 8;
    const auto log2 = [](std::uint64_t n) { return static_cast<std::size_t>(std::bit_width(n)) - 1; };
    length_size_ = std::min((log2(largest_direct_) + 7) / 8, log2(largest_managed) / 8 + 1);
    if (root == undefined) return;
    if (rows == 0)
      read_direct(root, 0, start_size_);
    else
      read_indirect(root, 0, rows, 0);
  }

  /// The object of the id at the cursor, which passes over it; and where it lies.
  Cursor object(Cursor& id, std::string_view what) {
    Cursor c(source_, id.bytes(id_size_), id.position() - id_size_, "heap id");
    const auto first = c.u8();
    c.check(first >> 6 == 0, "an id of unknown version");
    switch (first >> 4 & 3) {
      case 0: {
        const auto offset = c.number(offset_size_), size = c.number(length_size_);
        const auto next = blocks_.upper_bound(offset);
        c.check(next != blocks_.begin(), "no block holds offset ", offset);
        const auto& [begin, block] = *std::prev(next);
        c.check(offset - begin >= block.prefix && offset - begin < block.bytes.size() &&
                    size <= block.bytes.size() - (offset - begin),
                "an object of ", size, " bytes at ", offset, " is not within its block");
        return {source_,
                block.bytes.subspan(static_cast<std::size_t>(offset - begin), static_cast<std::size_t>(size)),
                block.at + (offset - begin), what};
      }
      case 1:
        return huge(c, what);
      case 2: {
        const auto size = (id_size_ <= 18 ? first & 15 : (first & 15) << 8 | c.u8()) + 1;
        const auto at = c.position();
        return {source_, c.bytes(size), at, what};
      }
      default:
        c.fail("an id of unknown kind");
    }
  }

 private:
  struct Block {
    Bytes bytes;
    Address at;
    std::size_t prefix;
  };

  std::size_t prefix() const { return 5 + source_.offset_size() + offset_size_; }

  void read_direct(Address at, std::uint64_t offset, std::uint64_t size) {
    const auto bytes = source_.take(at, size, "heap block");
    Cursor c(source_, bytes, at, "heap block");
    read_prefix(c, "FHDB", offset);
    if (checksums_) {  // of the block with zeros in the checksum's place
      std::vector<std::byte> copy(bytes.begin(), bytes.end());
      std::fill_n(copy.begin() + static_cast<std::ptrdiff_t>(c.used()), 4, std::byte{0});
      const auto got = c.u32();
      c.check(got == lookup3(copy), "the checksum is wrong: damaged");
    }
    blocks_.emplace(offset, Block{bytes, at, c.used()});
  }

  /// Blocks double in size from row to row, after the first two; small rows are direct blocks, the rest are
  /// indirect ones that begin again at the first row.
  void read_indirect(Address at, std::uint64_t offset, std::size_t rows, int depth) {
    auto c = source_.open(at, "heap's table");
    c.check(depth < 16 && rows <= 64, "a table of ", rows, " rows in level ", depth);
    read_prefix(c, "FHIB", offset);
    struct Child {
      Address at;
      std::uint64_t offset, size;
    };
    std::vector<Child> children;
    std::uint64_t size = start_size_;
    for (std::size_t row = 0; row < rows; ++row) {
      if (row > 1) c.check(!__builtin_mul_overflow(size, 2, &size), "too many rows");
      for (unsigned column = 0; column < width_; ++column) {
        const auto child = c.address();
        if (child != undefined) children.push_back({child, offset, size});
        c.check(!__builtin_add_overflow(offset, size, &offset), "too many rows");
      }
    }
    c.checksum();
    c.claim("heap's table");
    for (const auto& child : children) {
      if (child.size <= largest_direct_) {
        read_direct(child.at, child.offset, child.size);
      } else {
        const auto first_row = std::bit_width(start_size_ * width_);
        read_indirect(child.at, child.offset,
                      static_cast<std::size_t>(std::bit_width(child.size) - first_row + 1), depth + 1);
      }
    }
  }

  void read_prefix(Cursor& c, std::string_view signature, std::uint64_t offset) const {
    c.signature(signature);
    c.version(0);
    c.check(c.address() == at_, "a block of another heap");
    c.check(c.number(offset_size_) == offset, "a block of another offset");
  }

  /// An object too large for a block lies by itself; its id says where, or names a record of a B-tree that
  /// does.
  Cursor huge(Cursor& id, std::string_view what) {
    Address at = undefined;
    std::uint64_t size = 0;
    if (id.left() >= source_.offset_size() + source_.length_size()) {
      at = id.address();
      size = id.length();
    } else {
      const auto key = id.number(std::min(id.left(), source_.length_size()));
      if (huge_objects_.empty()) {
        const BTreeV2 tree(source_, huge_, 1);
        for (auto record : tree.records()) {
          const auto object_at = record.address();
          const auto object_size = record.length();
          huge_objects_.emplace(record.length(), std::pair(object_at, object_size));
        }
      }
      const auto found = huge_objects_.find(key);
      id.check(found != huge_objects_.end(), "no huge object ", key);
      std::tie(at, size) = found->second;
    }
    return {source_, source_.take(at, size, "huge heap object"), at, what};
  }

  Source& source_;
  Address at_, huge_ = undefined;
  bool checksums_ = false;
  unsigned width_ = 0;
  std::size_t id_size_ = 0, offset_size_ = 0, length_size_ = 0, heap_bits_ = 0;
  std::uint64_t start_size_ = 0, largest_direct_ = 0;
  std::map<std::uint64_t, Block> blocks_;
  std::map<std::uint64_t, std::pair<Address, std::uint64_t>> huge_objects_;
};

/// Calls `f(heap, record)` for each member of an object that keeps many: `info` is the body of the message
/// that names the heap and the tree of `tree_type` that sorts its ids by name, a creation index taking
/// `index_bytes`.
template <class F>
void for_each_by_name(Source& source, Cursor info, std::size_t index_bytes, unsigned tree_type, const F& f) {
  info.version(0);
  const auto flags = info.u8();
  info.check(flags < 4, "unknown flags ", flags);
  if (flags & 1) info.skip(index_bytes);  // the next one
  const auto heap_at = info.address(), names_at = info.address();
  if (heap_at == undefined) return;
  FractalHeap heap(source, heap_at);
  const BTreeV2 names(source, names_at, tree_type);
  for (const auto& record : names.records()) f(heap, record);
}

}  // namespace kfer::io::hdf5
