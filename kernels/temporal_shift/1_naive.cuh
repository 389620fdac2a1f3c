// The temporal shift (Lin, Gan and Han, ICCV 2019) over NHWC by its definition: a thread an element.
//
// x: [clips segments, pixels, channels]. The first `fold` channels of a frame come from the next frame of its
// clip, the next `fold` from the one before, the rest stay; zeros where there is no such frame. With `step` 1
// that is the forward pass, with -1 the backward pass. Blocks of 256 threads; coalesced, with three divisions
// of 64 bits an element. Reads x once (less the frames that fall out), writes y once: 2 sizes of x, no
// arithmetic.
#pragma once

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

/// The frame, relative to a vector's own, that channel c comes from.
__host__ __device__ inline int shift_of(long long c, long long fold, int step) {
  return c < fold ? step : c < 2 * fold ? -step : 0;
}

template <class T>
__global__ void temporal_shift_naive(const T* x, T* y, long long frames, long long pixels, long long channels,
                                     long long segments, long long fold, int step) {
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= frames * pixels * channels) return;
  const long long c = item % channels, t = item / channels / pixels % segments;
  const int shift = shift_of(c, fold, step);
  const bool exists = t + shift >= 0 && t + shift < segments;
  y[item] = exists ? x[item + shift * pixels * channels] : narrow<T>(0);
}

KFER_KERNELS_END
