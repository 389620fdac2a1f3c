// Changes of memory order that keep the innermost axis, or that have no two axes worth a tile: each thread
// finds the source of N neighbours of the destination.
//
// Writes are coalesced; reads are runs as long as the innermost axis is, or single elements (N = 1) that
// lines shared with neighbouring threads make up for: NCHW of 3 channels to NHWC reads three streams.
#pragma once

#include "3_vectorised.cuh"

KFER_KERNELS_BEGIN

namespace detail {
template <class Index>
struct Gather {
  int axes;
  Divider<Index> extent[Axes::most];  // the last one counts vectors
  Index from[Axes::most];
};
}  // namespace detail

/// Any grid. For N > 1 the last axis is contiguous on both sides, extents and steps are multiples of N, and
/// pointers are aligned to N elements.
template <int N, class Index, class In, class Out>
__global__ void __launch_bounds__(256) relayout_runs(const In* __restrict__ x, Out* __restrict__ y,
                                                     detail::Gather<Index> gather, Index vectors) {
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index at = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; at < vectors; at += stride) {
    Index rest = at, index = 0, source = 0;
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
