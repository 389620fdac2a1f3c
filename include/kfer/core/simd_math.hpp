// Exponential and logarithm of whole vectors of floats, to about one unit in the last place.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "kfer/core/simd.hpp"

namespace kfer {

/// exp(x), lane by lane; 0 and infinity beyond float's range, NaN for NaN.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; exp(r) by its Taylor polynomial of degree 7 (remainder 5e-9), scaled
/// by 2^n in two steps so that results may be denormal.
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_exp(simd_f32<W> x) {
  using u32 [[gnu::vector_size(W * sizeof(std::uint32_t))]] = std::uint32_t;
  const simd_f32<W> high = simd_fill<W>(89.0f), low = simd_fill<W>(-104.5f);
  x = x > high ? high : x;  // a NaN passes
  x = x < low ? low : x;
  const float magic =
      12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, which then is in the lower bits
  const simd_f32<W> shifted = x * 1.44269504f + magic;
  const simd_f32<W> n = shifted - magic;
  const simd_f32<W> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  simd_f32<W> p = simd_fill<W>(1.0f / 5040);
  for (const float c : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) p = p * r + c;
  const auto whole = reinterpret_cast<simd_i32<W>>(reinterpret_cast<u32>(shifted) - 0x4B400000u);
  const simd_i32<W> half = whole >> 1;
  const auto power = [](simd_i32<W> e) {
    return reinterpret_cast<simd_f32<W>>((reinterpret_cast<u32>(e) + 127u) << 23);
  };
  return p * power(half) * power(whole - half);
}

/// log(1 + e) for e in [0, 1], lane by lane, exact to the last place also for the smallest e.
///
/// log(1 + e) = 2 artanh(s) with s = e / (2 + e) <= 1/3, by its series.
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_log1p_unit(simd_f32<W> e) {
  const simd_f32<W> s = e / (e + 2.0f), q = s * s;
  simd_f32<W> p = simd_fill<W>(1.0f / 15);
  for (const float c : {1.0f / 13, 1.0f / 11, 1.0f / 9, 1.0f / 7, 1.0f / 5, 1.0f / 3}) p = p * q + c;
  return (s + s * q * p) * 2.0f;
}

/// 1 / (1 + exp(-x)).
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_sigmoid(simd_f32<W> x) {
  return 1.0f / (simd_exp<W>(-x) + 1.0f);
}

}  // namespace kfer
