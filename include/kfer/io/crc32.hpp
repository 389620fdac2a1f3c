// CRC-32 (IEEE 802.3, as in zip and PNG), by carry-less products where the processor has them, and the table
// walk, eight bytes a step, that CRC-32C shares.
#pragma once

#include <array>
#include <cstdint>

#if defined(__x86_64__)
#include <wmmintrin.h>
#endif

#include "kfer/io/bytes.hpp"

namespace kfer::io {

namespace detail {

/// tables[k][b]: the remainder of byte b followed by k zero bytes, for the bit-reversed polynomial.
template <std::uint32_t Polynomial>
inline constexpr auto crc_tables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t b = 0; b < 256; ++b) {
    std::uint32_t r = b;
    for (int bit = 0; bit < 8; ++bit) r = (r >> 1) ^ (r & 1 ? Polynomial : 0);
    tables[0][b] = r;
  }
  for (std::size_t k = 1; k < 8; ++k)
    for (std::size_t b = 0; b < 256; ++b)
      tables[k][b] = (tables[k - 1][b] >> 8) ^ tables[0][tables[k - 1][b] & 255];
  return tables;
}();

/// "Slicing by 8" (Kounavis and Berry, 2005) on the raw, not inverted, remainder.
template <std::uint32_t Polynomial>
std::uint32_t crc_update(std::uint32_t crc, Bytes bytes) {
  const auto& t = crc_tables<Polynomial>;
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size();
  for (; n >= 8; n -= 8, p += 8) {
    const auto x = load_le<std::uint64_t>(p) ^ crc;
    crc = t[7][x & 255] ^ t[6][x >> 8 & 255] ^ t[5][x >> 16 & 255] ^ t[4][x >> 24 & 255] ^
          t[3][x >> 32 & 255] ^ t[2][x >> 40 & 255] ^ t[1][x >> 48 & 255] ^ t[0][x >> 56];
  }
  for (; n > 0; --n, ++p) crc = (crc >> 8) ^ t[0][(crc ^ std::to_integer<std::uint32_t>(*p)) & 255];
  return crc;
}

#if defined(__x86_64__)
/// Gopal et al., "Fast CRC computation for generic polynomials using PCLMULQDQ" (Intel, 2009): 64 bytes are
/// folded onto the next 64, then 16 onto 16, and what is left goes through the tables.
[[gnu::target("pclmul")]] inline std::uint32_t crc32_pclmul(std::uint32_t crc, Bytes bytes) {
  if (bytes.size() < 64) return crc_update<0xedb88320u>(crc, bytes);
  const auto load = [](const std::byte* from) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  // x^(distance + 32) and x^(distance - 32) modulo the polynomial, bits reversed, of distances 512 and 128
  const __m128i by_64 = _mm_set_epi64x(0x1c6e41596, 0x154442bd4),
                by_16 = _mm_set_epi64x(0x0ccaa009e, 0x1751997d0);
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size() - 64;
  __m128i part[4];
  for (int i = 0; i < 4; ++i) part[i] = load(p + 16 * i);
  part[0] = _mm_xor_si128(part[0], _mm_cvtsi32_si128(static_cast<int>(crc)));
  for (p += 64; n >= 64; n -= 64, p += 64)
    for (int i = 0; i < 4; ++i)
      part[i] = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(part[i], by_64, 0x00),
                                            _mm_clmulepi64_si128(part[i], by_64, 0x11)),
                              load(p + 16 * i));
  __m128i sum = part[0];
  for (int i = 1; i < 4; ++i)
    sum = _mm_xor_si128(
        _mm_xor_si128(_mm_clmulepi64_si128(sum, by_16, 0x00), _mm_clmulepi64_si128(sum, by_16, 0x11)),
        part[i]);
  std::byte folded[16];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(folded), sum);
  return crc_update<0xedb88320u>(crc_update<0xedb88320u>(0, folded), Bytes(p, n));
}
#endif

}  // namespace detail

/// CRC-32 of `bytes`; pass an earlier result to continue over several pieces.
inline std::uint32_t crc32(Bytes bytes, std::uint32_t crc = 0) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("pclmul")) return ~detail::crc32_pclmul(~crc, bytes);
#endif
  return ~detail::crc_update<0xedb88320u>(~crc, bytes);
}

}  // namespace kfer::io
