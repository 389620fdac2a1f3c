// Layout: in which order the elements of a dense tensor lie in memory.
//
// A layout is an order of the dimensions, slowest first, followed by inner blocks. Row-major NCHW is {0, 1,
// 2, 3}; NHWC is {0, 2, 3, 1}; nChw16c is {0, 1, 2, 3} with an inner block of 16 channels; OIhw16i16o has two
// inner blocks. This is what the Cpu's convolutions call a blocked format and cuDNN calls a vectorised one.
// An extent that is not a multiple of its block is padded up to one; the padding is zero, always.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "kfer/core/shape.hpp"

namespace kfer {

class Layout {
 public:
  struct Block {
    std::uint8_t dim;
    std::uint8_t size;
    friend bool operator==(const Block&, const Block&) = default;
  };
  static constexpr std::size_t max_blocks = 2;

  Layout() = default;
  /// Throws ValueError unless `order` names each dimension once and every block is of one of them and not
  /// empty.
  Layout(std::initializer_list<int> order, std::initializer_list<Block> blocks = {}) {
    require(order.size() <= Shape::max_rank, "a layout has at most ", Shape::max_rank, " dimensions, got ",
            order.size());
    require(blocks.size() <= max_blocks, "a layout has at most ", max_blocks, " inner blocks, got ",
            blocks.size());
    unsigned seen = 0;
    for (const int d : order) {
      require(d >= 0 && d < static_cast<int>(order.size()) && !(seen >> d & 1), "a layout of ", order.size(),
              " dimensions names each of them once, got ", d, seen >> (d & 31) & 1 ? " again" : "");
      seen |= 1u << d;
      order_[rank_++] = static_cast<std::uint8_t>(d);
    }
    for (const Block b : blocks) {
      require(b.dim < rank_ && b.size > 0, "a layout of ", order.size(), " dimensions has no inner block of ",
              int{b.size}, " along dimension ", int{b.dim});
      blocks_[block_count_++] = b;
    }
  }

  static Layout row_major(std::size_t rank) {
    require(rank <= Shape::max_rank, "a layout has at most ", Shape::max_rank, " dimensions, got ", rank);
    Layout layout;
    for (std::size_t i = 0; i < rank; ++i) layout.order_[i] = static_cast<std::uint8_t>(i);
    layout.rank_ = static_cast<std::uint8_t>(rank);
    return layout;
  }
  /// N, H, W, C.
  static Layout channels_last() { return {0, 2, 3, 1}; }
  /// nChw{block}c: the channels of rank-4 activations in blocks of one vector.
  /// Throws ValueError unless the block is 1 to 255 channels.
  static Layout channel_blocked(int block) {
    require(block >= 1 && block <= 255, "a block has 1 to 255 channels, got ", block);
    return {{0, 1, 2, 3}, {{1, static_cast<std::uint8_t>(block)}}};
  }

  std::size_t rank() const { return rank_; }
  std::size_t block_count() const { return block_count_; }
  int order(std::size_t i) const { return order_[i]; }
  Block block(std::size_t i) const { return blocks_[i]; }
  bool is_row_major() const { return *this == row_major(rank_); }

  /// Product of the inner blocks of dimension `dim`; 1 if it is not blocked.
  std::int64_t block_size(int dim) const {
    std::int64_t size = 1;
    for (std::size_t b = 0; b < block_count_; ++b)
      if (blocks_[b].dim == dim) size *= blocks_[b].size;
    return size;
  }

  /// Elements in memory, padding included. Throws ShapeError past 2^63 - 1.
  std::int64_t storage_size(const Shape& shape) const {
    Shape padded = shape;
    for (std::size_t d = 0; d < rank_; ++d) {
      const std::int64_t b = block_size(static_cast<int>(d));
      std::int64_t extent = 0;
      if (__builtin_mul_overflow(blocks_along(shape[d], b), b, &extent))
        throw ShapeError("the number of elements does not fit 64 bits");
      padded.set(d, extent);
    }
    return padded.numel();
  }
  bool has_padding(const Shape& shape) const { return storage_size(shape) != shape.numel(); }

  /// Position in memory of the element at `index`.
  std::int64_t offset(const Shape& shape, const std::array<std::int64_t, Shape::max_rank>& index) const {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < rank_; ++i) {
      const int d = order_[i];
      const std::int64_t b = block_size(d);
      at = at * blocks_along(shape[d], b) + index[d] / b;
    }
    for (std::size_t b = 0; b < block_count_; ++b) {
      std::int64_t inner = 1;  // blocks of the same dimension further in
      for (std::size_t k = b + 1; k < block_count_; ++k)
        if (blocks_[k].dim == blocks_[b].dim) inner *= blocks_[k].size;
      at = at * blocks_[b].size + index[blocks_[b].dim] / inner % blocks_[b].size;
    }
    return at;
  }

  friend bool operator==(const Layout&, const Layout&) = default;

  /// Whether both layouts put a tensor of this shape into memory in the same order, as NCHW and NHWC do a 1x1
  /// map.
  static bool same_order(const Shape& shape, const Layout& a, const Layout& b) {
    return a == b || (!a.has_padding(shape) && !b.has_padding(shape) && a.axes(shape) == b.axes(shape));
  }

 private:
  static std::int64_t blocks_along(std::int64_t extent, std::int64_t block) {
    return extent / block + (extent % block != 0);
  }
  /// The loop nest over memory, slowest first, as (dimension, extent), without axes of extent 1, and with a
  /// dimension's neighbouring axes joined; equal nests mean equal orders.
  struct Axes {
    std::array<std::pair<int, std::int64_t>, Shape::max_rank + max_blocks> items{};
    std::size_t count = 0;
    friend bool operator==(const Axes&, const Axes&) = default;
    void push(int dim, std::int64_t extent) {
      if (extent == 1) return;
      if (count && items[count - 1].first == dim)
        items[count - 1].second *= extent;
      else
        items[count++] = {dim, extent};
    }
  };
  Axes axes(const Shape& shape) const {
    Axes result;
    for (std::size_t i = 0; i < rank_; ++i) result.push(order_[i], shape[order_[i]] / block_size(order_[i]));
    for (std::size_t b = 0; b < block_count_; ++b) result.push(blocks_[b].dim, blocks_[b].size);
    return result;
  }

  std::array<std::uint8_t, Shape::max_rank> order_{};
  std::array<Block, max_blocks> blocks_{};
  std::uint8_t rank_ = 0, block_count_ = 0;
};

/// "0,1,2,3" or "0,1,2,3+1x16": the order of dimensions, then the inner blocks.
inline std::string to_string(const Layout& layout) {
  std::string out;
  for (std::size_t i = 0; i < layout.rank(); ++i) detail::append_text(out += i ? "," : "", layout.order(i));
  for (std::size_t b = 0; b < layout.block_count(); ++b)
    out += text('+', int{layout.block(b).dim}, 'x', int{layout.block(b).size});
  return out;
}

}  // namespace kfer
