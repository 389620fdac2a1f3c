// Division by a number that is known when a kernel is launched: a multiplication and a shift, where the
// processor's own integer division is some twenty instructions.
#pragma once

#include "device.cuh"

KFER_KERNELS_BEGIN

/// Quotient and remainder of an Index by a divisor fixed at construction. For 64-bit indices the plain
/// division.
template <class Index>
struct Divider {
  Index divisor = 1;
  Divider() = default;
  explicit Divider(long long d) : divisor(static_cast<Index>(d)) {}
  /// Returns x / divisor and leaves x % divisor in `rest`.
  __host__ __device__ Index divide(Index x, Index& rest) const {
    const Index q = x / divisor;
    rest = x - q * divisor;
    return q;
  }
};

/// For x < 2^31 and 1 <= divisor < 2^31: with s = ceil(log2 d) and m = floor(2^32 (2^s - d) / d) + 1, x / d =
/// (high(m x) + x) >> s (Granlund and Montgomery, 1994).
template <>
struct Divider<unsigned> {
  unsigned divisor = 1, multiplier = 1, shift = 0;
  Divider() = default;
  explicit Divider(long long d) : divisor(static_cast<unsigned>(d)) {
    while ((1ull << shift) < divisor) ++shift;
    multiplier = static_cast<unsigned>(((1ull << 32) * ((1ull << shift) - divisor)) / divisor + 1);
  }
  __host__ __device__ unsigned divide(unsigned x, unsigned& rest) const {
    const auto high = static_cast<unsigned>((static_cast<unsigned long long>(multiplier) * x) >> 32);
    const unsigned q = (high + x) >> shift;
    rest = x - q * divisor;
    return q;
  }
};

/// Whether every index below n, and n itself, fits the fast division.
inline bool fits_divider(long long n) {
  return n < (1ll << 31);
}

/// Elements that one launch may index in 32 bits: below 2^31 by what a grid's stride may overshoot. Larger
/// tensors are cut along their slowest dimension, and each piece has a launch.
inline constexpr long long most_indexed = 1ll << 30;

KFER_KERNELS_END
