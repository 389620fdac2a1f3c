// Vectors over the channel lanes of activations: ops that treat every channel alike are written once, as
// templates on the vector width, and run on NCHW (one lane), NHWC and the blocked layouts.
#pragma once

#include <type_traits>

#include "kfer/core/simd.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer::detail {

/// V lanes of floats and of 32-bit integers; plain numbers for V = 1.
template <int V>
struct LaneTypes {
  using f32 = simd_f32<V>;
  using i32 = simd_i32<V>;
  using u8 [[gnu::vector_size(V)]] = std::uint8_t;
};
template <>
struct LaneTypes<1> {
  using f32 = float;
  using i32 = std::int32_t;
  using u8 = std::uint8_t;
};
template <int V>
using lanes_f32 = typename LaneTypes<V>::f32;
template <int V>
using lanes_i32 = typename LaneTypes<V>::i32;
template <int V>
using lanes_u8 = typename LaneTypes<V>::u8;

template <class Vector>
[[gnu::always_inline]] inline Vector load_lanes(const void* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class Vector>
[[gnu::always_inline]] inline void store_lanes(void* p, Vector v) {
  std::memcpy(p, &v, sizeof v);
}

/// Calls `f(std::integral_constant<int, V>())` with the widest V that divides the number of lanes.
template <class F>
void with_lanes(std::int64_t lanes, const F& f) {
  if (lanes % simd_width == 0) return f(std::integral_constant<int, simd_width>());
  if (simd_width > 8 && lanes % 8 == 0) return f(std::integral_constant<int, 8>());
  f(std::integral_constant<int, 1>());
}

/// The tensor in a memory order that Planes describes: its own if it is one, else row-major.
template <class T>
Tensor<T, Cpu> planar(const Tensor<T, Cpu>& x) {
  return Planes::fits(x.shape(), x.layout()) ? x : x.row_major();
}

}  // namespace kfer::detail
