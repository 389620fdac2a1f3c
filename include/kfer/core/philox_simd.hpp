// Philox4x32-10 for a whole vector of counters at once, and the numbers that dropout draws from it.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <bit>
#include <utility>

#include "kfer/core/random.hpp"
#include "kfer/core/simd.hpp"

namespace kfer {

template <int W>
using simd_u32 [[gnu::vector_size(W * sizeof(std::uint32_t))]] = std::uint32_t;
template <int W>
using simd_u64 [[gnu::vector_size(W * sizeof(std::uint64_t))]] = std::uint64_t;

namespace detail {

/// Both halves of the 64-bit products of the lanes of `a` with `b`.
template <int W>
[[gnu::always_inline]] inline void multiply_wide(simd_u32<W> a, std::uint32_t b, simd_u32<W>& high,
                                                 simd_u32<W>& low) {
#if defined(__AVX2__)  // one instruction multiplies every other lane to 64 bits, which compilers do not find
                       // by themselves
  if constexpr (W == 8 || (W == 16 && simd_width == 16)) {
    using wide = simd_u64<W / 2>;
    const auto x = reinterpret_cast<wide>(a);
    wide even, odd;
    if constexpr (W == 8) {
      const __m256i factor = _mm256_set1_epi32(static_cast<int>(b));
      even = reinterpret_cast<wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(x), factor));
      odd = reinterpret_cast<wide>(_mm256_mul_epu32(reinterpret_cast<__m256i>(x >> 32), factor));
    }
#if defined(__AVX512F__)
    if constexpr (W == 16) {  // g++ 12 warns about the unmasked form's own undefined operand
      const __m512i factor = _mm512_set1_epi32(static_cast<int>(b));
      even = reinterpret_cast<wide>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(x), factor));
      odd = reinterpret_cast<wide>(_mm512_maskz_mul_epu32(0xFF, reinterpret_cast<__m512i>(x >> 32), factor));
    }
#endif
    constexpr std::uint64_t lower = 0xFFFFFFFF;
    low = reinterpret_cast<simd_u32<W>>((even & lower) | (odd << 32));
    high = reinterpret_cast<simd_u32<W>>((even >> 32) | (odd & ~lower));
    return;
  }
#endif
  const simd_u64<W> wide = __builtin_convertvector(a, simd_u64<W>) * std::uint64_t{b};
  low = __builtin_convertvector(wide, simd_u32<W>);
  high = __builtin_convertvector(wide >> 32, simd_u32<W>);
}

/// a0 b0 a1 b1 ...: the first W elements of that row are `first`, the rest `second`.
template <class V, std::size_t... I>
[[gnu::always_inline]] inline void interleave(V a, V b, V& first, V& second, std::index_sequence<I...>) {
  constexpr std::size_t n = sizeof...(I);
  first = __builtin_shufflevector(a, b, (I / 2 + I % 2 * n)...);
  second = __builtin_shufflevector(a, b, (n / 2 + I / 2 + I % 2 * n)...);
}

}  // namespace detail

/// The words of W counters, given as their lower and upper halves: four vectors, word k of counter q in lane
/// q of vector k. Equal to `philox` lane by lane.
template <int W>
[[gnu::always_inline]] inline void philox_words(const RandomStream& random, simd_u32<W> low, simd_u32<W> high,
                                                simd_u32<W> (&words)[4]) {
  simd_u32<W> c0 = low, c1 = high;
  simd_u32<W> c2 = simd_u32<W>{} + static_cast<std::uint32_t>(random.stream);
  simd_u32<W> c3 = simd_u32<W>{} + static_cast<std::uint32_t>(random.stream >> 32);
  auto k0 = static_cast<std::uint32_t>(random.seed), k1 = static_cast<std::uint32_t>(random.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    simd_u32<W> a_high, a_low, b_high, b_low;
    detail::multiply_wide<W>(c0, 0xD2511F53, a_high, a_low);
    detail::multiply_wide<W>(c2, 0xCD9E8D57, b_high, b_low);
    c0 = b_high ^ c1 ^ k0;
    c1 = b_low;
    c2 = a_high ^ c3 ^ k1;
    c3 = a_low;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

/// The 8 half-words of each of W counters, those of lane q at out[8 q], in the order that DropoutMask counts
/// them.
template <int W>
[[gnu::always_inline]] inline void philox_halves(const RandomStream& random, simd_u32<W> low,
                                                 simd_u32<W> high, std::uint16_t* out) {
  static_assert(std::endian::native == std::endian::little, "the lower half-word comes first in memory");
  simd_u32<W> w[4];
  philox_words<W>(random, low, high, w);
  constexpr auto lanes = std::make_index_sequence<W>();
  constexpr auto pairs = std::make_index_sequence<W / 2>();
  simd_u32<W> a[2], b[2];
  detail::interleave(w[0], w[1], a[0], a[1], lanes);
  detail::interleave(w[2], w[3], b[0], b[1], lanes);
  for (int half = 0; half < 2; ++half) {
    simd_u64<W / 2> first, second;
    detail::interleave(reinterpret_cast<simd_u64<W / 2>>(a[half]), reinterpret_cast<simd_u64<W / 2>>(b[half]),
                       first, second, pairs);
    std::memcpy(out + half * 4 * W, &first, sizeof first);
    std::memcpy(out + half * 4 * W + 2 * W, &second, sizeof second);
  }
}

/// Counter `first` + q / run * step + q % run in lane q. The defaults give consecutive ones; for a tile of a
/// blocked layout, where a pixel has B lanes of C channels, run = B / 8 and step = C / 8 give the numbers of
/// pixel after pixel.
template <int W>
[[gnu::always_inline]] inline void counters_from(std::uint64_t first, simd_u32<W>& low, simd_u32<W>& high,
                                                 int run = W, std::uint64_t step = 0) {
  for (int q = 0; q < W; ++q) {
    const std::uint64_t counter =
        first + static_cast<std::uint64_t>(q / run) * step + static_cast<std::uint64_t>(q % run);
    low[q] = static_cast<std::uint32_t>(counter);
    high[q] = static_cast<std::uint32_t>(counter >> 32);
  }
}

/// The half-words of counters [first, first + count): 8 count numbers, rounded up to whole vectors of
/// counters, so `out` needs room for 8 (count + simd_width).
inline void philox_fill_halves(const RandomStream& random, std::uint64_t first, std::int64_t count,
                               std::uint16_t* out) {
  constexpr int W = simd_width;
  for (std::int64_t q = 0; q < count; q += W) {
    simd_u32<W> low, high;
    counters_from<W>(first + static_cast<std::uint64_t>(q), low, high);
    philox_halves<W>(random, low, high, out + 8 * q);
  }
}

}  // namespace kfer
