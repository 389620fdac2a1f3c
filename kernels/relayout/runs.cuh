// Changes of memory order that keep the innermost axis, or that have no two axes worth a tile: each thread
// finds the source of N neighbours of the destination.
//
// Writes are coalesced; reads are runs as long as the innermost axis is, or single elements (N = 1) that
// lines shared with neighbouring threads make up for: NCHW of 3 channels to NHWC reads three streams.
#pragma once

#include "3_vectorised.cuh"

KFER_KERNELS_BEGIN

namespace detail {
struct Gather {
  int axes;
  Divider<unsigned> extent[Axes::most];  // the last one counts vectors
  long long from[Axes::most];
};
}  // namespace detail

/// Any grid. For N > 1 the last axis is contiguous on both sides, extents and steps are multiples of N, and
/// pointers are aligned to N elements.
template <int N, class In, class Out>
__global__ void __launch_bounds__(256)
    relayout_runs(const In* __restrict__ x, Out* __restrict__ y, detail::Gather gather, unsigned vectors) {
  const unsigned stride = gridDim.x * blockDim.x;
  for (unsigned at = blockIdx.x * blockDim.x + threadIdx.x; at < vectors; at += stride) {
    unsigned rest = at, index = 0;
    long long source = 0;
    for (int a = gather.axes - 1; a >= 0; --a) {
      rest = gather.extent[a].divide(rest, index);
      source += index * (a == gather.axes - 1 ? N : 1) * gather.from[a];
    }
    const Vec<In, N> v = load_vec<N>(x + source, 0);
    Vec<Out, N> out;
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = Convert<Out, In>{}(v[k]);
    store_vec(y, at, out);
  }
}

KFER_KERNELS_END
