// The temporal shift over NHWC, a thread a vector of channels.
//
// The one idea: all channels of a vector have the same source frame, but for the two vectors in which one
// part of the channels ends; so a thread moves 16 bytes with one decision. Vectors that hold such an end
// (there are none where channels / fold_divisor is a whole number of vectors, as with 64 channels and more)
// are moved one by one, which keeps every other vector fast. Blocks of 256 threads in a grid-stride loop. 2
// sizes of x.
#pragma once

#include "../common/nhwc.cuh"
#include "1_naive.cuh"

KFER_KERNELS_BEGIN

/// `grid` numbers the vectors of [frames, 1, pixels, groups].
template <class T, int N, class Index>
__global__ void __launch_bounds__(256)
    temporal_shift_channels(const T* __restrict__ x, T* __restrict__ y, Nhwc<Index> grid,
                            Divider<Index> segments, long long frame, long long fold, int step, Index items) {
  for_each_item(items, [&](Index item) {
    const auto at = grid.place(item);
    Index t;
    segments.divide(at.image, t);
    const auto exists = [&](int shift) { return shift == 0 || (shift < 0 ? t > 0 : t + 1 < segments.value); };
    const long long first = static_cast<long long>(at.group) * N;
    const int shift = shift_of(first, fold, step);
    Vec<T, N> v;
    if (shift == shift_of(first + N - 1, fold, step)) {
#pragma unroll
      for (int k = 0; k < N; ++k) v[k] = narrow<T>(0);
      if (exists(shift)) v = load_vec<N>(x, item + shift * (frame / N));
    } else {
#pragma unroll
      for (int k = 0; k < N; ++k) {
        const int own = shift_of(first + k, fold, step);
        v[k] = exists(own) ? x[static_cast<long long>(item) * N + own * frame + k] : narrow<T>(0);
      }
    }
    store_vec(y, item, v);
  });
}

KFER_KERNELS_END
