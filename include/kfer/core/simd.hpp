// Vectors of floats, in the compilers' vector extension: the same source is AVX2, AVX-512 or NEON code, as
// the flags allow, and correct under any flags. `simd_width` is the width of one machine register, and the
// channel block of the blocked layouts (nChw8c or nChw16c) that the Cpu's convolutions work in.
#pragma once

#include <cstdint>
#include <cstring>

// Without AVX a vector passed by value travels in memory, and compilers warn at every such function that code
// built with AVX would disagree. All of this is inlined into one program, built with one set of flags.
#if defined(__GNUC__) && !defined(__AVX__)
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

namespace kfer {

#if defined(__AVX512F__)
inline constexpr int simd_width = 16;
#else
inline constexpr int simd_width = 8;
#endif

/// W floats in one (or a few) registers; arithmetic and comparison operators work lane by lane.
template <int W>
using simd_f32 [[gnu::vector_size(W * sizeof(float))]] = float;
/// W 32-bit integers; also the type of a lane mask (0 or -1).
template <int W>
using simd_i32 [[gnu::vector_size(W * sizeof(std::int32_t))]] = std::int32_t;

template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_load(const float* p) {
  simd_f32<W> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <int W>
[[gnu::always_inline]] inline void simd_store(float* p, simd_f32<W> v) {
  std::memcpy(p, &v, sizeof v);
}
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_fill(float x) {
  return simd_f32<W>{} + x;
}
/// Lane by lane `mask ? a : b`, for a mask made by a comparison.
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_select(simd_i32<W> mask, simd_f32<W> a, simd_f32<W> b) {
  return mask ? a : b;
}
template <int W>
[[gnu::always_inline]] inline simd_f32<W> simd_max(simd_f32<W> a, simd_f32<W> b) {
  return a > b ? a : b;
}

}  // namespace kfer
