// The elements of a dataset: contiguous, compact or in chunks. Specification IV.A.2.i, The Data Layout
// Message.
#pragma once

#include <algorithm>
#include <cstring>

#include "kfer/io/hdf5/chunk_index.hpp"
#include "kfer/io/hdf5/datatype.hpp"
#include "kfer/io/hdf5/filters.hpp"

namespace kfer::io::hdf5 {

/// A dataset of numbers, little-endian and row-major.
struct Dataset {
  std::string dtype;
  Shape shape;
  Bytes in_file;                   ///< where the elements lie as they are; else empty
  std::vector<std::byte> decoded;  ///< else
  std::string other;               ///< what it holds, if that is not numbers; the rest is then empty
};

inline bool is_dataset(const ObjectHeader& header) {
  return header.has(MessageType::layout);
}

class DatasetReader {
 public:
  DatasetReader(Source& source, const ObjectHeader& header) : source_(source), header_(header) {}

  Dataset read() {
    const auto& type_message = header_.at(MessageType::datatype, "datatype");
    const auto& space_message = header_.at(MessageType::dataspace, "dataspace");
    if (type_message.shared() || space_message.shared())
      return other("data whose type is an object of its own");
    type_ = read_datatype(type_message.cursor(source_, "datatype message"));
    space_ = read_dataspace(space_message.cursor(source_, "dataspace message"));
    if (type_.kind != Datatype::Kind::number) return other(type_.name);
    if (space_.null) return other("no data");
    check(!__builtin_mul_overflow(space_.count(), type_.size, &bytes_), "the size of shape ", space_.shape,
          " does not fit 64 bits");
    check(!header_.has(MessageType::external_files), "data in other files are not supported");

    out_.dtype = type_.name;
    out_.shape = space_.shape;
    read_layout();
    if (type_.big_endian && type_.size > 1) swap_bytes();
    return std::move(out_);
  }

 private:
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    source_.check(ok, header_.at(), "dataset: ", parts...);
  }
  static Dataset other(std::string what) {
    Dataset out;
    out.other = "a dataset of " + std::move(what);
    return out;
  }

  void read_layout() {
    const auto& message = header_.at(MessageType::layout, "layout");
    check(!message.shared(), "a shared layout is not supported");
    auto c = message.cursor(source_, "layout message");
    const auto version = c.u8();
    c.check(version == 3 || version == 4, "version ", version, " is not supported (3 and 4 are)");
    const auto layout = c.u8();
    c.check(layout == 2 || !header_.has(MessageType::filters), "filters, but the data are not in chunks");
    switch (layout) {
      case 0: {
        const auto size = c.u16();
        check(size == bytes_, size, " bytes, expected ", bytes_);
        out_.in_file = c.bytes(size);
        break;
      }
      case 1: {
        const auto at = c.address();
        const auto size = c.length();
        check(size == bytes_, size, " bytes, but ", type_.name, " of shape ", space_.shape, " takes ",
              bytes_);
        check(size == 0 || at != undefined, "its elements were never written");
        if (size > 0) out_.in_file = source_.take(at, size, "dataset's elements");
        break;
      }
      case 2:
        read_chunks(c, version);
        break;
      default:
        c.fail("layout ", layout, " is not supported (contiguous, compact and chunked are)");
    }
  }

  void read_chunks(Cursor& c, unsigned version) {
    const auto flags = version == 4 ? c.u8() : 0;
    c.check(flags < 4, "unknown flags ", flags);
    const std::size_t dimensions = c.u8();
    c.check(dimensions == space_.shape.rank() + 1, dimensions, " dimensions with the element's, expected ",
            space_.shape.rank() + 1);
    ChunkGrid grid{.space = &space_, .item_size = type_.size};
    FilterPipeline filters;
    if (const auto* message = header_.find(MessageType::filters)) {
      check(!message->shared(), "shared filters are not supported");
      filters = FilterPipeline(message->cursor(source_, "filter message"), type_.size);
    }
    grid.filtered = !filters.empty();

    const auto index_at = version == 3 ? c.address() : undefined;
    const std::size_t size_bytes = version == 3 ? 4 : c.u8();
    std::uint64_t chunk_bytes = type_.size;
    for (std::size_t i = 0; i + 1 < dimensions; ++i) {
      grid.chunk.push_back(c.number(size_bytes));
      c.check(grid.chunk.back() > 0 &&
                  !__builtin_mul_overflow(chunk_bytes, grid.chunk.back(), &chunk_bytes) &&
                  chunk_bytes <= 0xffffffff,
              "chunks of no or more than 2^32 - 1 bytes");
    }
    const auto item_size = c.number(size_bytes);
    c.check(item_size == type_.size, "elements of ", item_size, " bytes, expected ", type_.size);
    if (space_.count() == 0) return;

    std::vector<Chunk> chunks;
    if (version == 3) {
      check(index_at != undefined, "its elements were never written");
      detail::read_chunk_tree(source_, index_at, grid, 16, false, chunks);
    } else {
      read_index(c, grid, flags, chunks);
    }
    assemble(grid, filters, flags & 1, chunks);
  }

  /// The index of a layout of version 4.
  void read_index(Cursor& c, const ChunkGrid& grid, unsigned flags, std::vector<Chunk>& chunks) {
    const auto kind = c.u8();
    Chunk single{.stored_bytes = grid.bytes()};
    if (kind == 1 && flags & 2) {
      single.stored_bytes = c.length();
      single.filter_mask = c.u32();
    }
    c.check(kind != 1 || ((flags & 2) != 0) == grid.filtered,
            "a chunk that is filtered, or not, against the filters");
    if (kind == 3) c.skip(1);  // page bits, which the array's header repeats
    c.check(kind != 4,
            "chunks in an extensible array (a dataset that may grow in one dimension, in the format of "
            "libhdf5 1.10 and later) are not supported");
    if (kind == 5) c.skip(6);  // size of nodes and when they split, which the tree's header repeats
    c.check(kind >= 1 && kind <= 5, "chunks in an index of unknown kind ", kind);
    const auto at = c.address();
    check(at != undefined, "its elements were never written");
    switch (kind) {
      case 1:
        single.at = at;
        chunks.push_back(single);
        break;
      case 2: {
        c.check(!grid.filtered, "an implicit index of filtered chunks");
        const auto count = detail::most_chunks(c, grid);
        c.check(at <= source_.size() && count <= (source_.size() - at) / grid.bytes(), count, " chunks of ",
                grid.bytes(), " bytes reach past the end of the file");
        for (std::uint64_t i = 0; i < count; ++i) {
          Chunk chunk{.at = at + i * grid.bytes(), .stored_bytes = grid.bytes()};
          detail::place(chunk, grid, i);
          chunks.push_back(chunk);
        }
        break;
      }
      case 3:
        detail::read_fixed_array(source_, at, grid, chunks);
        break;
      default:
        detail::read_chunk_tree_v2(source_, at, grid, chunks);
    }
  }

  /// Takes memory only when the chunks are there that fill it.
  void assemble(const ChunkGrid& grid, const FilterPipeline& filters, bool raw_edges,
                std::vector<Chunk>& chunks) {
    const auto rank = grid.rank();
    const auto outside = [&](const Chunk& chunk) {
      for (std::size_t k = 0; k < rank; ++k)
        if (chunk.index[k] >= grid.along(k)) return true;
      return false;
    };
    chunks.erase(std::remove_if(chunks.begin(), chunks.end(), outside), chunks.end());
    check(chunks.size() == grid.count(), chunks.size(), " chunks are there, ", grid.count(), " cover shape ",
          space_.shape);
    for (const auto& chunk : chunks) {
      check(chunk.at != undefined, "a chunk was never written");
      source_.check(grid.bytes() / 1032 <= chunk.stored_bytes, chunk.at, "chunk: ", chunk.stored_bytes,
                    " bytes cannot hold ", grid.bytes());
    }
    std::vector<bool> seen(chunks.size());
    out_.decoded.resize(static_cast<std::size_t>(bytes_));
    for (const auto& chunk : chunks) {
      std::uint64_t number = 0;
      bool edge = false;
      for (std::size_t k = 0; k < rank; ++k) {
        number = number * grid.along(k) + chunk.index[k];
        edge = edge || (chunk.index[k] + 1) * grid.chunk[k] > static_cast<std::uint64_t>(space_.shape[k]);
      }
      source_.check(!seen[number], chunk.at, "chunk: the same place as another");
      seen[number] = true;
      const auto stored = source_.take(chunk.at, chunk.stored_bytes, "chunk");
      const auto size = static_cast<std::size_t>(grid.bytes());
      if (filters.empty() || (raw_edges && edge)) {
        source_.check(stored.size() == size, chunk.at, "chunk: ", stored.size(), " bytes, expected ", size);
        copy(grid, chunk, stored);
      } else {
        copy(grid, chunk, filters.undo(source_, chunk.at, stored, size, chunk.filter_mask));
      }
    }
  }

  /// Copies the part of a chunk that lies within the dataset to its place, a row at a time.
  void copy(const ChunkGrid& grid, const Chunk& chunk, Bytes elements) {
    const auto rank = grid.rank();
    if (rank == 0) {
      std::memcpy(out_.decoded.data(), elements.data(), type_.size);
      return;
    }
    std::array<std::uint64_t, Shape::max_rank> first{}, count{}, at{};
    for (std::size_t k = 0; k < rank; ++k) {
      first[k] = chunk.index[k] * grid.chunk[k];
      count[k] = std::min(grid.chunk[k], static_cast<std::uint64_t>(space_.shape[k]) - first[k]);
    }
    const auto row_bytes = count[rank - 1] * type_.size;
    for (;;) {
      std::uint64_t from = 0, to = 0;
      for (std::size_t k = 0; k < rank; ++k) {
        from = from * grid.chunk[k] + at[k];
        to = to * static_cast<std::uint64_t>(space_.shape[k]) + first[k] + at[k];
      }
      std::memcpy(out_.decoded.data() + to * type_.size, elements.data() + from * type_.size, row_bytes);
      auto k = rank - 1;
      while (k > 0 && ++at[k - 1] == count[k - 1]) at[--k] = 0;
      if (k == 0) return;
    }
  }

  void swap_bytes() {
    if (out_.decoded.empty()) out_.decoded.assign(out_.in_file.begin(), out_.in_file.end());
    out_.in_file = {};
    for (std::size_t i = 0; i + type_.size <= out_.decoded.size(); i += type_.size)
      std::reverse(out_.decoded.begin() + static_cast<std::ptrdiff_t>(i),
                   out_.decoded.begin() + static_cast<std::ptrdiff_t>(i + type_.size));
  }

  Source& source_;
  const ObjectHeader& header_;
  Datatype type_;
  Dataspace space_;
  std::uint64_t bytes_ = 0;
  Dataset out_;
};

}  // namespace kfer::io::hdf5
