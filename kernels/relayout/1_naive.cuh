// Any memory order to any other, one element a thread.
//
// The thread's position in the destination is taken apart into the axes of memory, those give the element's
// index, and the index its place in the source. Writes are coalesced, reads are wherever the source's order
// puts them. Moves the tensor once each way, plus what partly used lines of the source cost. Serves whatever
// has no kernel of its own.
#pragma once

#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// How an index of at most 8 dimensions maps to memory: axes from the slowest to the fastest, each `extent`
/// steps of `step` along dimension `dim`. An inner block of 16 channels is the axis {dim 1, step 1, extent
/// 16} behind {dim 1, step 16, ...}.
struct MemoryOrder {
  static constexpr int max_dims = 8, max_axes = 10;
  int axes = 0;
  int dim[max_axes];
  long long step[max_axes], extent[max_axes];

  /// Elements in memory, padding included.
  __host__ __device__ long long size() const {
    long long n = 1;
    for (int a = 0; a < axes; ++a) n *= extent[a];
    return n;
  }
};

/// Extents of 8 dimensions; 1 past the rank.
struct Extents {
  long long v[MemoryOrder::max_dims];
};

template <class T>
__global__ void relayout_naive(const T* __restrict__ x, MemoryOrder from, T* __restrict__ y, MemoryOrder to,
                               Extents shape, long long size) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; at < size;
       at += stride) {
    long long index[MemoryOrder::max_dims] = {};
    long long rest = at;
    for (int a = to.axes - 1; a >= 0; --a) {
      index[to.dim[a]] += rest % to.extent[a] * to.step[a];
      rest /= to.extent[a];
    }
    bool inside = true;  // the destination's padding is zero
    for (int d = 0; d < MemoryOrder::max_dims; ++d) inside = inside && index[d] < shape.v[d];
    long long source = 0;
    for (int a = 0; a < from.axes; ++a)
      source = source * from.extent[a] + index[from.dim[a]] / from.step[a] % from.extent[a];
    y[at] = inside ? x[source] : T{};
  }
}

KFER_KERNELS_END
