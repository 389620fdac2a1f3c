// Shape: the extents of a tensor, a small value type of at most eight dimensions.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kfer/core/error.hpp"

namespace kfer {

/// Extents are 64-bit and never negative; their product is checked against overflow where it is formed.
class Shape {
 public:
  static constexpr std::size_t max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents) : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const std::int64_t> extents) {
    require<ShapeError>(extents.size() <= max_rank, "a shape has at most ", max_rank, " dimensions, got ",
                        extents.size());
    for (const auto e : extents) push_back(e);
    static_cast<void>(numel());
  }

  std::size_t rank() const { return rank_; }
  bool empty() const { return rank_ == 0; }
  std::int64_t operator[](std::size_t i) const { return extents_[i]; }

  /// Extent of dimension `i`; negative `i` counts from the end. Throws ShapeError if there is no such
  /// dimension.
  std::int64_t at(std::int64_t i) const { return extents_[dim(i)]; }

  /// The non-negative index of dimension `i` (negative counts from the end).
  std::size_t dim(std::int64_t i) const {
    const auto n = static_cast<std::int64_t>(rank_);
    if (i < -n || i >= n)
      throw ShapeError(text("dimension ", i, " does not exist in a tensor of rank ", rank_));
    return static_cast<std::size_t>(i < 0 ? i + n : i);
  }

  void set(std::size_t i, std::int64_t extent) {
    check(extent);
    extents_[dim(static_cast<std::int64_t>(i))] = extent;
  }
  void push_back(std::int64_t extent) {
    require<ShapeError>(rank_ < max_rank, "a shape has at most ", max_rank, " dimensions");
    check(extent);
    extents_[rank_++] = extent;
  }

  /// Number of elements; 1 for a scalar (rank 0). Throws ShapeError past 2^63 - 1.
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (const auto e : *this)
      if (__builtin_mul_overflow(n, e, &n)) throw ShapeError("the number of elements does not fit 64 bits");
    return n;
  }

  const std::int64_t* begin() const { return extents_.data(); }
  const std::int64_t* end() const { return extents_.data() + rank_; }
  std::span<const std::int64_t> extents() const { return {extents_.data(), rank_}; }

  friend bool operator==(const Shape& a, const Shape& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static void check(std::int64_t extent) {
    require<ShapeError>(extent >= 0, "an extent must not be negative, got ", extent);
  }

  std::array<std::int64_t, max_rank> extents_{};
  std::size_t rank_ = 0;
};

/// "[64, 3, 5, 5]"
inline std::string to_string(const Shape& shape) {
  std::string out = "[";
  for (std::size_t i = 0; i < shape.rank(); ++i) detail::append_text(out += i ? ", " : "", shape[i]);
  return out += ']';
}

}  // namespace kfer
