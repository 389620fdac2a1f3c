// CRC-32 (IEEE 802.3, as in zip and PNG) and the table walk, eight bytes a step, that CRC-32C shares.
#pragma once

#include <array>
#include <cstdint>

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

}  // namespace detail

/// CRC-32 of `bytes`; pass an earlier result to continue over several pieces.
inline std::uint32_t crc32(Bytes bytes, std::uint32_t crc = 0) {
  return ~detail::crc_update<0xedb88320u>(~crc, bytes);
}

}  // namespace kfer::io
