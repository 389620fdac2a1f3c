// Square roots of whole vectors. A loop over std::sqrt stays scalar under the compilers' defaults, because
// sqrt may set errno.
#pragma once

#include <cmath>

#include "kfer/core/simd.hpp"

#if defined(__SSE__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace kfer {

/// sqrt lane by lane, correctly rounded.
[[gnu::always_inline]] inline simd_f32<simd_width> simd_sqrt(simd_f32<simd_width> x) {
#if defined(__AVX512F__)
  return (simd_f32<simd_width>)_mm512_maskz_sqrt_ps(0xFFFF, (__m512)x);
#elif defined(__AVX__)
  return (simd_f32<simd_width>)_mm256_sqrt_ps((__m256)x);
#else
  alignas(sizeof x) float lanes[simd_width];
  simd_store<simd_width>(lanes, x);
  for (int i = 0; i < simd_width; i += 4) {
#if defined(__SSE__)
    _mm_store_ps(lanes + i, _mm_sqrt_ps(_mm_load_ps(lanes + i)));
#elif defined(__aarch64__)
    vst1q_f32(lanes + i, vsqrtq_f32(vld1q_f32(lanes + i)));
#else
    for (int k = 0; k < 4; ++k) lanes[i + k] = std::sqrt(lanes[i + k]);
#endif
  }
  return simd_load<simd_width>(lanes);
#endif
}

}  // namespace kfer
