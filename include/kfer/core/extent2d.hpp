// Extent2d: a height and a width, as kernels, strides and paddings of 2-D operations have them.
#pragma once

#include <cstdint>

namespace kfer {

struct Extent2d {
  std::int64_t height = 1, width = 1;
  Extent2d() = default;
  Extent2d(std::int64_t both) : height(both), width(both) {}  // NOLINT: "stride = 2" means both
  Extent2d(std::int64_t h, std::int64_t w) : height(h), width(w) {}
  friend bool operator==(const Extent2d&, const Extent2d&) = default;
};

}  // namespace kfer
