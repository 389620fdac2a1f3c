// Element types of tensors.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace kfer {

/// Brain floating point: the upper half of a float. Storage only; arithmetic converts to float.
struct bfloat16 {
  std::uint16_t bits = 0;

  bfloat16() = default;
  /// Rounds to nearest, ties to even; a NaN stays a NaN.
  bfloat16(float value) {  // NOLINT(google-explicit-constructor): it is a number
    const auto u = std::bit_cast<std::uint32_t>(value);
    bits = value != value ? static_cast<std::uint16_t>((u >> 16) | 0x40)
                          : static_cast<std::uint16_t>((u + 0x7FFF + ((u >> 16) & 1)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }  // NOLINT
};

template <class T>
concept FloatingElement = std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bfloat16>;

/// What parameters and statistics that go with activations of T are kept in, where rounding them would do
/// harm: float for bfloat16, else T.
template <FloatingElement T>
using parameter_t = std::conditional_t<std::same_as<T, bfloat16>, float, T>;

template <class T>
concept Element = FloatingElement<T> || std::same_as<T, std::int64_t> || std::same_as<T, std::int32_t> ||
    std::same_as<T, std::uint8_t>;

/// "float32", "int64", ... as in NumPy and PyTorch.
template <Element T>
constexpr std::string_view dtype_name() {
  if constexpr (std::same_as<T, float>) return "float32";
  if constexpr (std::same_as<T, double>) return "float64";
  if constexpr (std::same_as<T, bfloat16>) return "bfloat16";
  if constexpr (std::same_as<T, std::int64_t>) return "int64";
  if constexpr (std::same_as<T, std::int32_t>) return "int32";
  if constexpr (std::same_as<T, std::uint8_t>) return "uint8";
}

}  // namespace kfer
