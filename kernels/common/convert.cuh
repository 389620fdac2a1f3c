// Elements in another type.
#pragma once

#include "bf16.cuh"

KFER_KERNELS_BEGIN

namespace detail {
/// An element as something that a cast can take: integers as they are, the others widened.
template <class T>
__host__ __device__ inline T number(T x) {
  return x;
}
__host__ __device__ inline float number(bf16 x) {
  return widen(x);
}
}  // namespace detail

/// From any type to a floating one: exact where To can hold the number, else the nearest, ties to even; to
/// bf16 by way of float. Any type to itself.
template <class To, class From>
struct Convert {
  __host__ __device__ To operator()(From x) const {
    return narrow<To>(static_cast<accum_t<To>>(detail::number(x)));
  }
};
template <class T>
struct Convert<T, T> {
  __host__ __device__ T operator()(T x) const { return x; }
};

KFER_KERNELS_END
