// Elements in another type.
#pragma once

#include "bf16.cuh"

KFER_KERNELS_BEGIN

/// Between floating types, through the narrower of the two types that they are computed in: exact where To is
/// wider, else the nearest, ties to even. Any type to itself.
template <class To, class From>
struct Convert {
  __host__ __device__ To operator()(From x) const { return narrow<To>(static_cast<accum_t<To>>(widen(x))); }
};
template <class T>
struct Convert<T, T> {
  __host__ __device__ T operator()(T x) const { return x; }
};

KFER_KERNELS_END
