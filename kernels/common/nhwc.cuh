// Activations in NHWC, the memory order of all kernels over images: a matrix [pixels of all images,
// channels].
#pragma once

#include <type_traits>

#include "divide.cuh"
#include "grid.cuh"
#include "vec.cuh"

KFER_KERNELS_BEGIN

/// Takes item numbers of [images, height, width, groups of channels] apart. Index: unsigned (fast), or long
/// long for more than 2^31 items.
template <class Index>
struct Nhwc {
  using Coordinate = std::make_signed_t<Index>;
  struct Place {
    Index image;
    Coordinate row, column;
    Index group;
  };

  Divider<Index> groups, width, height;

  Nhwc(long long h, long long w, long long g) : groups(g), width(w), height(h) {}
  __device__ Place place(Index item) const {
    Place p;
    Index column = 0, row = 0;
    p.image = height.divide(width.divide(groups.divide(item, p.group), column), row);
    p.row = static_cast<Coordinate>(row);
    p.column = static_cast<Coordinate>(column);
    return p;
  }
};

/// Calls `f(item)` for every item of this thread: a grid-stride loop.
template <class Index, class F>
__device__ inline void for_each_item(Index items, const F& f) {
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index item = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; item < items; item += stride)
    f(item);
}

/// 256 threads as columns of channel vectors by rows of pixels: as many across as there are vectors, at most
/// a warp of them (512 bytes side by side), a power of two.
inline dim3 column_block(long long groups) {
  unsigned across = 1;
  while (across < groups && across < 32) across *= 2;
  return dim3(across, 256 / across);
}

/// Bytes of dynamic shared memory that add_rows of N values of A takes in a block of 256 threads.
template <int N, class A>
constexpr size_t add_rows_shared() {
  return 128 * N * sizeof(A);
}
/// Adds each column's values over a block's rows of threads, a power of two, into row 0; always in the same
/// order. Every thread takes part.
template <int N, class A>
__device__ inline void add_rows(A (&own)[N]) {
  KFER_DYNAMIC_SHARED(A, shared);
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    const unsigned slots = half * blockDim.x, slot = threadIdx.y % half * blockDim.x + threadIdx.x;
    if (threadIdx.y >= half && threadIdx.y < 2 * half)
#pragma unroll
      for (int k = 0; k < N; ++k) shared[k * slots + slot] = own[k];
    __syncthreads();
    if (threadIdx.y < half)
#pragma unroll
      for (int k = 0; k < N; ++k) own[k] += shared[k * slots + slot];
    __syncthreads();
  }
}

KFER_KERNELS_END
