// B-trees of version 2: the records of dense links, attributes, huge heap objects and chunks. Specification
// III.A.2.
#pragma once

#include <bit>
#include <vector>

#include "kfer/io/hdf5/source.hpp"

namespace kfer::io::hdf5 {

/// Bytes that the format takes to write numbers up to `limit`.
inline std::size_t bytes_for(std::uint64_t limit) {
  return (static_cast<std::size_t>(std::bit_width(limit)) + 7) / 8;
}

class BTreeV2 {
 public:
  BTreeV2(Source& source, Address at, unsigned type) : source_(source), type_(type) {
    auto c = source.open(at, "B-tree");
    c.signature("BTHD");
    c.version(0);
    const auto got = c.u8();
    c.check(got == type, "records of type ", got, ", expected ", type);
    node_size_ = c.u32();
    record_size_ = c.u16();
    const auto depth = c.u16();
    c.skip(2);  // when nodes are split and merged
    const auto root = c.address();
    const auto root_records = c.u16();
    const auto total = c.length();
    c.checksum();
    c.claim("B-tree");
    c.check(depth <= 16 && record_size_ > 0 && node_size_ > overhead + record_size_, "a depth of ", depth,
            ", nodes of ", node_size_, ", records of ", record_size_, " bytes");
    // How many records a node of each level can hold, itself and with all below it.
    std::vector<std::uint64_t> most{(node_size_ - overhead) / record_size_}, below = most;
    for (std::size_t level = 1; level <= depth; ++level) {
      const auto pointer =
          source.offset_size() + bytes_for(most.back()) + (level > 1 ? bytes_for(below.back()) : 0);
      c.check(node_size_ > overhead + pointer, "nodes of ", node_size_, " bytes hold nothing");
      most.push_back((node_size_ - overhead - pointer) / (record_size_ + pointer));
      std::uint64_t sum = 0;
      c.check(!__builtin_mul_overflow(most.back() + 1, below.back(), &sum) &&
                  !__builtin_add_overflow(sum, most.back(), &sum),
              "more records than 64 bits can count");
      below.push_back(sum);
    }
    most_ = std::move(most);
    below_ = std::move(below);
    if (root != undefined) read(root, depth, root_records);
    c.check(records_.size() == total, records_.size(), " records, expected ", total);
  }

  /// All records, in order.
  const std::vector<Cursor>& records() const { return records_; }
  std::size_t record_size() const { return record_size_; }

 private:
  static constexpr std::size_t overhead = 10;  // signature, version, type, checksum

  void read(Address at, std::size_t level, std::uint64_t count) {
    Cursor c(source_, source_.take(at, node_size_, "B-tree node"), at, "B-tree node");
    c.signature(level > 0 ? "BTIN" : "BTLF");
    c.version(0);
    c.check(c.u8() == type_, "a node of another type");
    c.check(count <= most_[level], count, " records, ", most_[level], " have room");
    std::vector<Cursor> own;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto record_at = c.position();
      own.emplace_back(source_, c.bytes(record_size_), record_at, "B-tree record");
    }
    struct Child {
      Address at;
      std::uint64_t count;
    };
    std::vector<Child> children;
    for (std::uint64_t i = 0; level > 0 && i <= count; ++i) {
      const auto child = c.address();
      children.push_back({child, c.number(bytes_for(most_[level - 1]))});
      if (level > 1) c.number(bytes_for(below_[level - 1]));
    }
    c.checksum();
    for (std::size_t i = 0; i <= own.size(); ++i) {
      if (level > 0) read(children[i].at, level - 1, children[i].count);
      if (i < own.size()) records_.push_back(own[i]);
    }
  }

  Source& source_;
  unsigned type_;
  std::size_t node_size_ = 0, record_size_ = 0;
  std::vector<std::uint64_t> most_, below_;
  std::vector<Cursor> records_;
};

}  // namespace kfer::io::hdf5
