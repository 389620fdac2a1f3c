// Decompression of snappy blocks (https://github.com/google/snappy/blob/main/format_description.txt), which
// SSTables may be made of.
#pragma once

#include <string_view>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/varint.hpp"

namespace kfer::io {

/// The content of one block. Throws FormatError, its message beginning with `name`, for anything that is not
/// exactly one well-formed block.
inline std::vector<std::byte> snappy_decompress(Bytes block, std::string_view name = "snappy") {
  const auto check = [&](bool ok, const auto&... what) {
    require<FormatError>(ok, name, ": snappy: ", what...);
  };
  const auto packed = block.size();
  const auto size = take_varint(block);
  check(size.has_value(), "no length");
  // Three bytes copy 64 at most: a length beyond that is not given memory.
  check(*size <= std::uint64_t{packed} * 22, packed, " bytes cannot hold ", *size);
  std::vector<std::byte> out;
  out.reserve(static_cast<std::size_t>(*size));

  const auto number = [&](std::size_t bytes) {  // little-endian, of `bytes` bytes
    check(bytes <= block.size(), "truncated");
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i) value |= std::to_integer<std::uint64_t>(block[i]) << (8 * i);
    block = block.subspan(bytes);
    return value;
  };
  while (!block.empty()) {
    const auto tag = number(1), kind = tag & 3, high = tag >> 2;
    if (kind == 0) {  // a literal; its length less one is in the tag or in up to four bytes after it
      const auto length = (high < 60 ? high : number(static_cast<std::size_t>(high - 59))) + 1;
      check(length <= block.size(), "truncated");
      check(length <= *size - out.size(), "more than the ", *size, " bytes announced");
      append(out, block.first(static_cast<std::size_t>(length)));
      block = block.subspan(static_cast<std::size_t>(length));
    } else {  // a copy of what lies `offset` bytes back, byte by byte: it may overlap itself
      const auto length = kind == 1 ? 4 + (high & 7) : high + 1;
      const auto offset = kind == 1 ? (high >> 3) << 8 | number(1) : number(kind == 2 ? 2 : 4);
      check(offset >= 1 && offset <= out.size(), "a copy from before the beginning");
      check(length <= *size - out.size(), "more than the ", *size, " bytes announced");
      for (std::uint64_t i = 0; i < length; ++i)
        out.push_back(out[out.size() - static_cast<std::size_t>(offset)]);
    }
  }
  check(out.size() == *size, *size, " bytes were announced, got ", out.size());
  return out;
}

}  // namespace kfer::io
