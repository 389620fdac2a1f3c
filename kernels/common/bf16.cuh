// The element types of kernels and the type that each is computed in.
//
// bf16 is CUDA's own under nvcc, and two bytes of our own under other compilers, which need no CUDA header
// for it.
#pragma once

#include "device.cuh"

#if !defined(__CUDACC__)
#include <bit>
#include <cstdint>
#endif

KFER_KERNELS_BEGIN

#if defined(__CUDACC__)
using bf16 = __nv_bfloat16;
#else
struct bf16 {
  std::uint16_t bits;
};
#endif

/// What sums and functions of T are computed in: float for float and bf16, double for double.
template <class T>
struct Accumulate {
  using type = float;
};
template <>
struct Accumulate<double> {
  using type = double;
};
template <class T>
using accum_t = typename Accumulate<T>::type;

/// x in the type that it is computed in; exact.
__host__ __device__ inline float widen(float x) {
  return x;
}
__host__ __device__ inline double widen(double x) {
  return x;
}
__host__ __device__ inline float widen(bf16 x) {
#if defined(__CUDACC__)
  return __bfloat162float(x);
#else
  return std::bit_cast<float>(std::uint32_t{x.bits} << 16);
#endif
}

namespace detail {
template <class T>
struct Narrow {
  __host__ __device__ static T of(T x) { return x; }
};
template <>
struct Narrow<bf16> {
  __host__ __device__ static bf16 of(float x) {
#if defined(__CUDACC__)
    return __float2bfloat16(x);
#else
    const auto u = std::bit_cast<std::uint32_t>(x);
    return {x != x ? static_cast<std::uint16_t>((u >> 16) | 0x40)
                   : static_cast<std::uint16_t>((u + 0x7FFF + ((u >> 16) & 1)) >> 16)};
#endif
  }
};
}  // namespace detail

/// The T nearest to x, ties to even; a NaN stays one.
template <class T>
__host__ __device__ inline T narrow(accum_t<T> x) {
  return detail::Narrow<T>::of(x);
}

KFER_KERNELS_END
