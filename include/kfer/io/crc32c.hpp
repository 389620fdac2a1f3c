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

#if defined(__x86_64__)
[[gnu::target("sse4.2")]] inline std::uint32_t crc32c_sse42(std::uint32_t crc, Bytes bytes) {
  const std::byte* p = bytes.data();
  std::size_t n = bytes.size();
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
