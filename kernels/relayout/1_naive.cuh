// Any memory order to any other, one element a thread.
//
// The thread's position in the destination is taken apart into the axes of memory, those give the element's
// index, and the index its place in the source. Writes are coalesced, reads are wherever the source's order
// puts them. Moves the tensor once each way, plus what partly used lines of the source cost. Serves whatever
// has no kernel of its own.
#pragma once

#include "../common/convert.cuh"
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

template <class Index, class In, class Out>
__global__ void __launch_bounds__(256)
    relayout_naive(const In* __restrict__ x, MemoryOrder from, Out* __restrict__ y, MemoryOrder to,
                   Extents shape, Index size) {
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index at = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; at < size; at += stride) {
    Index index[MemoryOrder::max_dims] = {};
    Index rest = at;
    for (int a = to.axes - 1; a >= 0; --a) {
      const auto extent = static_cast<Index>(to.extent[a]);
      index[to.dim[a]] += rest % extent * static_cast<Index>(to.step[a]);
      rest /= extent;
    }
    bool inside = true;  // the destination's padding is zero
    for (int d = 0; d < MemoryOrder::max_dims; ++d)
      inside = inside && index[d] < static_cast<Index>(shape.v[d]);
    Index source = 0;
    for (int a = 0; a < from.axes; ++a) {
      const auto extent = static_cast<Index>(from.extent[a]);
      source = source * extent + index[from.dim[a]] / static_cast<Index>(from.step[a]) % extent;
    }
    y[at] = inside ? Convert<Out, In>{}(x[source]) : Out{};
  }
}

KFER_KERNELS_END
