// Where the chunks of a dataset lie: the B-tree of old files and the indexes of layout version 4.
// Specification III.A.1, IV.A.2.i and appendix C (VII).
#pragma once

#include <array>
#include <vector>

#include "kfer/io/hdf5/btree_v1.hpp"
#include "kfer/io/hdf5/btree_v2.hpp"
#include "kfer/io/hdf5/dataspace.hpp"
#include "kfer/io/hdf5/object_header.hpp"

namespace kfer::io::hdf5 {

/// One chunk as it is stored.
struct Chunk {
  std::array<std::uint64_t, Shape::max_rank> index{};  ///< which in each dimension, from 0
  Address at = undefined;
  std::uint64_t stored_bytes = 0;
  std::uint32_t filter_mask = 0;  ///< a bit for each filter that this chunk did not pass
};

/// How a dataset is cut into chunks.
struct ChunkGrid {
  const Dataspace* space = nullptr;
  std::vector<std::uint64_t> chunk = {};  ///< extents of one chunk, in elements
  std::size_t item_size = 0;
  bool filtered = false;

  std::size_t rank() const { return chunk.size(); }
  std::uint64_t along(std::size_t i) const { return ceiling(static_cast<std::uint64_t>(space->shape[i]), i); }
  std::uint64_t ceiling(std::uint64_t extent, std::size_t i) const {
    return extent / chunk[i] + (extent % chunk[i] != 0);
  }
  /// Number of chunks that cover the dataset. At most the number of its elements, so it fits.
  std::uint64_t count() const {
    std::uint64_t out = 1;
    for (std::size_t i = 0; i < rank(); ++i) out *= along(i);
    return out;
  }
  /// Bytes of one chunk before filters. Checked when the grid is read.
  std::uint64_t bytes() const {
    std::uint64_t out = item_size;
    for (const auto extent : chunk) out *= extent;
    return out;
  }
};

namespace detail {

/// Chunks in a B-tree of version 1: every key tells the chunk behind it.
inline void read_chunk_tree(Source& source, Address at, const ChunkGrid& grid, unsigned level, bool exact,
                            std::vector<Chunk>& out) {
  auto [c, own_level, entries] = open_tree_node(source, at, "chunks' B-tree", 1, level, exact);
  std::vector<Chunk> chunks;
  for (unsigned i = 0; i <= entries; ++i) {
    Chunk chunk{.stored_bytes = c.u32(), .filter_mask = c.u32()};
    for (std::size_t k = 0; k < grid.rank(); ++k) {
      const auto offset = c.number(8);
      c.check(i == entries || offset % grid.chunk[k] == 0, "a chunk at ", offset, ", expected a multiple of ",
              grid.chunk[k]);
      chunk.index[k] = offset / grid.chunk[k];
    }
    c.check(c.number(8) == 0 || i == entries, "a chunk that begins within an element");
    if (i == entries) break;  // the last key bounds the one before
    chunk.at = c.address();
    chunks.push_back(chunk);
  }
  c.claim("chunks' B-tree");
  if (own_level == 0)
    out.insert(out.end(), chunks.begin(), chunks.end());
  else
    for (const auto& chunk : chunks) read_chunk_tree(source, chunk.at, grid, own_level - 1, true, out);
}

/// A chunk's entry in the indexes of version 4: its address and, if filters applied, size and mask.
inline Chunk read_entry(Cursor& c, const ChunkGrid& grid, std::size_t size_bytes) {
  Chunk chunk{.at = c.address(), .stored_bytes = grid.bytes()};
  if (grid.filtered) {
    chunk.stored_bytes = c.number(size_bytes);
    chunk.filter_mask = c.u32();
  }
  return chunk;
}

/// The place of chunk number `i`, counted in row-major order over the largest extent of the dataset.
inline void place(Chunk& chunk, const ChunkGrid& grid, std::uint64_t i) {
  for (auto k = grid.rank(); k-- > 0;) {
    const auto along = grid.ceiling(grid.space->limits[k], k);
    chunk.index[k] = i % along;
    i /= along;
  }
}

/// Number of chunks of the largest extent that the dataset may have. Throws if it is without limit.
inline std::uint64_t most_chunks(const Cursor& c, const ChunkGrid& grid) {
  std::uint64_t out = 1;
  for (std::size_t k = 0; k < grid.rank(); ++k)
    c.check(grid.space->limits[k] != undefined &&
                !__builtin_mul_overflow(out, grid.ceiling(grid.space->limits[k], k), &out),
            "an index for a fixed number of chunks, but the extent is without limit");
  return out;
}

/// Entries of all chunks in one array, in pages if there are many.
inline void read_fixed_array(Source& source, Address at, const ChunkGrid& grid, std::vector<Chunk>& out) {
  auto header = source.open(at, "chunks' fixed array");
  header.signature("FAHD");
  header.version(0);
  const auto client = header.u8();
  header.check(client == (grid.filtered ? 1u : 0u), "entries of another kind (", client, ")");
  const std::size_t entry_size = header.u8(), page_bits = header.u8();
  const auto count = header.length();
  const auto block_at = header.address();
  header.checksum();
  header.claim("chunks' fixed array");
  const auto fixed = source.offset_size() + (grid.filtered ? 4 : 0);
  header.check(entry_size >= fixed && entry_size - fixed <= 8 && page_bits < 32, "entries of ", entry_size,
               " bytes, pages of 2^", page_bits);
  const auto expected = most_chunks(header, grid);
  header.check(count == expected, count, " entries, expected ", expected);
  if (block_at == undefined) return;

  auto c = source.open(block_at, "chunks' fixed array");
  c.signature("FADB");
  c.version(0);
  c.check(c.u8() == client, "entries of another kind");
  c.check(c.address() == at, "a block of another array");
  c.check(count <= c.left() / entry_size, count, " entries of ", entry_size, " bytes, ", c.left(),
          " bytes are left");
  const auto read = [&](Cursor& from, std::uint64_t first, std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
      auto chunk = read_entry(from, grid, entry_size - fixed);
      if (chunk.at == undefined) continue;
      place(chunk, grid, first + i);
      out.push_back(chunk);
    }
  };
  const std::uint64_t page = std::uint64_t{1} << page_bits;
  if (count <= page) {
    read(c, 0, count);
    c.checksum();
    c.claim("chunks' fixed array");
    return;
  }
  const auto pages = count / page + (count % page != 0);
  const auto written = c.bytes((pages + 7) / 8);  // a bit for each page, the first the highest of its byte
  c.checksum();
  c.claim("chunks' fixed array");
  auto page_at = c.position();
  for (std::uint64_t i = 0; i < pages; ++i) {
    const auto n = std::min(page, count - i * page);
    if (std::to_integer<unsigned>(written[i / 8]) >> (7 - i % 8) & 1) {
      Cursor p(source, source.take(page_at, n * entry_size + 4, "chunks' fixed array"), page_at,
               "chunks' fixed array");
      read(p, i * page, n);
      p.checksum();
    }
    page_at += page * entry_size + 4;
  }
}

inline void read_chunk_tree_v2(Source& source, Address at, const ChunkGrid& grid, std::vector<Chunk>& out) {
  const BTreeV2 tree(source, at, grid.filtered ? 11 : 10);
  const auto fixed = source.offset_size() + (grid.filtered ? 4 : 0) + 8 * grid.rank();
  source.check(tree.record_size() >= fixed && tree.record_size() - fixed <= 8, at,
               "chunks' B-tree: records of ", tree.record_size(), " bytes");
  for (auto record : tree.records()) {
    auto chunk = read_entry(record, grid, tree.record_size() - fixed);
    for (std::size_t k = 0; k < grid.rank(); ++k) chunk.index[k] = record.number(8);
    out.push_back(chunk);
  }
}

}  // namespace detail

}  // namespace kfer::io::hdf5
