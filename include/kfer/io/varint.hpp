// Variable-length integers of seven bits a byte, least significant first: protocol buffers', LevelDB's and
// snappy's common alphabet.
#pragma once

#include <cstdint>
#include <optional>

#include "kfer/io/bytes.hpp"

namespace kfer::io {

/// Takes a number off the front of `rest`; none (and `rest` as it was) where the bytes end before the number
/// does, or it has more than 64 bits.
inline std::optional<std::uint64_t> take_varint(Bytes& rest) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < rest.size() && i < 10; ++i) {
    const auto byte = std::to_integer<std::uint64_t>(rest[i]);
    if (i == 9 && byte > 1) return std::nullopt;
    value |= (byte & 0x7f) << (7 * i);
    if (byte < 0x80) {
      rest = rest.subspan(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace kfer::io
