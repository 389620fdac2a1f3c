// The two checksums of HDF5 files: lookup3 guards structures since version 2, Fletcher-32 guards chunks.
#pragma once

#include <bit>
#include <cstdint>

#include "kfer/io/bytes.hpp"

namespace kfer::io::hdf5 {

/// Bob Jenkins' lookup3 hash ("hashlittle", public domain, burtleburtle.net/bob/c/lookup3.c), start value 0.
inline std::uint32_t lookup3(Bytes bytes) {
  const auto n = bytes.size();
  std::uint32_t a = 0xdeadbeef + static_cast<std::uint32_t>(n), b = a, c = a;
  if (n == 0) return c;
  const auto rotate = [](std::uint32_t x, int k) { return std::rotl(x, k); };
  std::size_t at = 0;
  const auto word = [&](std::size_t i) {  // past the end are zeros
    std::uint32_t out = 0;
    for (std::size_t k = 0; k < 4 && at + i + k < n; ++k)
      out |= std::to_integer<std::uint32_t>(bytes[at + i + k]) << (8 * k);
    return out;
  };
  for (; n - at > 12; at += 12) {
    a += word(0), b += word(4), c += word(8);
    a -= c, a ^= rotate(c, 4), c += b;
    b -= a, b ^= rotate(a, 6), a += c;
    c -= b, c ^= rotate(b, 8), b += a;
    a -= c, a ^= rotate(c, 16), c += b;
    b -= a, b ^= rotate(a, 19), a += c;
    c -= b, c ^= rotate(b, 4), b += a;
  }
  a += word(0), b += word(4), c += word(8);
  c ^= b, c -= rotate(b, 14);
  a ^= c, a -= rotate(c, 11);
  b ^= a, b -= rotate(a, 25);
  c ^= b, c -= rotate(b, 16);
  a ^= c, a -= rotate(c, 4);
  b ^= a, b -= rotate(a, 14);
  c ^= b, c -= rotate(b, 24);
  return c;
}

/// Fletcher's checksum of 16-bit words, as HDF5 computes it: the words big-endian, an odd last byte as the
/// upper half of one, both sums modulo 65535 with 65535 in place of a 0 that was folded.
inline std::uint32_t fletcher32(Bytes bytes) {
  std::uint32_t first = 0, second = 0;
  const auto fold = [](std::uint32_t x) { return (x & 0xffff) + (x >> 16); };
  std::size_t since = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(bytes[i]);
    const auto low = i + 1 < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + 1]) : 0;
    first += high << 8 | low;
    second += first;
    if (++since == 360 || i + 1 == bytes.size()) {  // the sums cannot overflow in 360 steps
      first = fold(first);
      second = fold(second);
      since = 0;
    }
  }
  first = fold(fold(first));
  second = fold(fold(second));
  return second << 16 | first;
}

}  // namespace kfer::io::hdf5
