// Division by a number that a whole launch shares, such as an image's width.
//
// A GPU has no instruction for integer division: a / b costs some twenty. For a fixed b it is one wide
// multiplication and a shift.
#pragma once

#include <type_traits>

#include "device.cuh"

KFER_KERNELS_BEGIN

/// By the operator. A divisor of 0, an extent of which nothing is ever taken apart, counts as 1 here and
/// below.
template <class Number>
struct PlainDivider {
  Number value = 1;

  PlainDivider() = default;
  explicit PlainDivider(long long d) : value(static_cast<Number>(d > 0 ? d : 1)) {}
  /// Returns n / value and leaves n % value in `rest`.
  __host__ __device__ Number divide(Number n, Number& rest) const {
    const Number quotient = n / value;
    rest = n - quotient * value;
    return quotient;
  }
};

/// floor(n / d) = floor(n m / 2^p) for 0 <= n < 2^31, with p = 31 + s, 2^s the power of two from d up and
/// m = ceil(2^p / d): m exceeds 2^p / d by less than 1, so the product's error stays below n / 2^p < 1 / d,
/// too little to reach the next integer (Granlund and Montgomery, PLDI 1994). Number: int or unsigned.
template <class Number>
struct FastDivider {
  Number value = 1;
  unsigned multiplier = 1u << 31, shift = 31;

  FastDivider() = default;
  explicit FastDivider(long long d) : value(static_cast<Number>(d > 0 ? d : 1)) {
    const auto divisor = static_cast<unsigned long long>(value);
    while ((1ull << (shift - 31)) < divisor) ++shift;
    multiplier = static_cast<unsigned>(((1ull << shift) + divisor - 1) / divisor);
  }
  __host__ __device__ Number divide(Number n, Number& rest) const {
    const unsigned long long product = static_cast<unsigned long long>(static_cast<unsigned>(n)) * multiplier;
    const auto quotient = static_cast<Number>(product >> shift);
    rest = n - quotient * value;
    return quotient;
  }
};

/// Indices of 32 bits are divided fast, those of 64 plainly.
template <class Index>
using Divider = std::conditional_t<sizeof(Index) == 4, FastDivider<Index>, PlainDivider<Index>>;

/// Whether every index below n, and n itself, fits the fast division.
inline bool fits_divider(long long n) {
  return n < (1ll << 31);
}

/// Elements that one launch may index in 32 bits: below 2^31 by what a grid's stride may overshoot. Larger
/// tensors are cut along their slowest dimension, and each piece has a launch.
inline constexpr long long most_indexed = 1ll << 30;

KFER_KERNELS_END
