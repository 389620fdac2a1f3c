// Division by a number that a whole launch shares, such as an image's width.
//
// A GPU has no instruction for integer division: a / b costs some twenty. For a fixed b it is one wide
// multiplication and a shift.
#pragma once

#include "../common/device.cuh"

KFER_KERNELS_BEGIN

/// The operator. An extent of 0, of which nothing is ever taken apart, counts as 1 here and below.
struct PlainDivisor {
  int value = 1;
  PlainDivisor() = default;
  explicit PlainDivisor(int d) : value(d > 0 ? d : 1) {}
  __host__ __device__ int divide(int n) const { return n / value; }
};

/// floor(n / d) = floor(n m / 2^p) for 0 <= n < 2^31, with p = 31 + s, 2^s the power of two from d up and
/// m = ceil(2^p / d): m exceeds 2^p / d by less than 1, so the product's error stays below n / 2^p < 1 / d,
/// too little to reach the next integer (Granlund and Montgomery, PLDI 1994).
struct FastDivisor {
  int value = 1;
  unsigned multiplier = 1u << 31;
  int shift = 31;

  FastDivisor() = default;
  explicit FastDivisor(int d) : value(d > 0 ? d : 1) {
    while ((1ll << (shift - 31)) < value) ++shift;
    multiplier = static_cast<unsigned>(((1ull << shift) + static_cast<unsigned>(value) - 1) /
                                       static_cast<unsigned>(value));
  }
  __host__ __device__ int divide(int n) const {
    return static_cast<int>(static_cast<unsigned long long>(static_cast<unsigned>(n)) * multiplier >> shift);
  }
};

KFER_KERNELS_END
