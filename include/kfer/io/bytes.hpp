// Byte spans and little-endian loads and stores: the vocabulary of every format in io/.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace kfer::io {

static_assert(std::endian::native == std::endian::little, "kfer's file formats need a little-endian machine");

/// Read-only bytes that somebody else keeps alive.
using Bytes = std::span<const std::byte>;

/// The bytes of a string.
inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// The same bytes as characters.
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Loads a T stored little-endian at `p`, whatever its alignment.
template <class T>
requires std::is_trivially_copyable_v<T> T load_le(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

/// Stores `value` little-endian at `p`.
template <class T>
requires std::is_trivially_copyable_v<T>
void store_le(std::byte* p, T value) {
  std::memcpy(p, &value, sizeof value);
}

/// Appends `value` little-endian.
template <class T>
requires std::is_trivially_copyable_v<T>
void append_le(std::vector<std::byte>& out, T value) {
  std::byte raw[sizeof value];
  store_le(raw, value);
  for (const auto byte : raw) out.push_back(byte);
}

inline void append(std::vector<std::byte>& out, Bytes bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace kfer::io
