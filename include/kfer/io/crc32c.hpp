// CRC-32C (Castagnoli; RFC 3720, appendix B.4), by the processor's instruction where there is one, and the
// masked form that TFRecord stores.
#pragma once

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "kfer/io/crc32.hpp"

namespace kfer::io {

namespace detail {

inline std::uint32_t crc32c_software(std::uint32_t crc, Bytes bytes) {
  return crc_update<0x82f63b78u>(crc, bytes);
}

/// a * b modulo CRC-32C's polynomial; bit 31 is the coefficient of x^0, as in a remainder.
constexpr std::uint32_t crc32c_multiply(std::uint32_t a, std::uint32_t b) {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 1u << 31; bit; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ (b & 1 ? 0x82f63b78u : 0);
  }
  return product;
}
/// x^(8 bytes): a remainder multiplied by it is the remainder after so many zero bytes more.
constexpr std::uint32_t crc32c_shift(std::size_t bytes) {
  std::uint32_t power = 1u << 31, square = 1u << 23;  // x^0, x^8
  for (; bytes; bytes >>= 1, square = crc32c_multiply(square, square))
    if (bytes & 1) power = crc32c_multiply(power, square);
  return power;
}

#if defined(__x86_64__)
/// The instruction starts every cycle and takes three: three thirds of a block at a time, whose remainders
/// are then joined.
[[gnu::target("sse4.2")]] inline std::uint32_t crc32c_sse42(std::uint32_t crc, Bytes bytes) {
  constexpr std::size_t third = 8192;
  constexpr std::uint32_t shift = crc32c_shift(third);
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size();
  for (; n >= 3 * third; n -= 3 * third, p += 3 * third) {
    std::uint64_t a = crc, b = 0, c = 0;
    for (std::size_t i = 0; i < third; i += 8) {
      a = _mm_crc32_u64(a, load_le<std::uint64_t>(p + i));
      b = _mm_crc32_u64(b, load_le<std::uint64_t>(p + third + i));
      c = _mm_crc32_u64(c, load_le<std::uint64_t>(p + 2 * third + i));
    }
    b ^= crc32c_multiply(static_cast<std::uint32_t>(a), shift);
    crc = static_cast<std::uint32_t>(c) ^ crc32c_multiply(static_cast<std::uint32_t>(b), shift);
  }
  std::uint64_t wide = crc;
  for (; n >= 8; n -= 8, p += 8) wide = _mm_crc32_u64(wide, load_le<std::uint64_t>(p));
  crc = static_cast<std::uint32_t>(wide);
  for (; n > 0; --n, ++p) crc = _mm_crc32_u8(crc, std::to_integer<std::uint8_t>(*p));
  return crc;
}
#endif

}  // namespace detail

/// CRC-32C of `bytes`; pass an earlier result to continue over several pieces.
inline std::uint32_t crc32c(Bytes bytes, std::uint32_t crc = 0) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~detail::crc32c_sse42(~crc, bytes);
#endif
  return ~detail::crc32c_software(~crc, bytes);
}

/// TFRecord's mask: a CRC stored beside data that itself holds CRCs is rotated and offset.
constexpr std::uint32_t mask_crc(std::uint32_t crc) {
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

inline std::uint32_t masked_crc32c(Bytes bytes) {
  return mask_crc(crc32c(bytes));
}

}  // namespace kfer::io
