// The gradient of a convolution's bias: sums over images and pixels.
#pragma once

#include "../common/reduce.cuh"

KFER_KERNELS_BEGIN

/// sums[c] = the sum of x [pixels][channels] over the pixels; a block a channel.
template <class T>
__global__ void conv_channel_sums(const T* __restrict__ x, T* __restrict__ sums, long long pixels,
                                  int channels) {
  accum_t<T> sum = 0;
  for (long long p = threadIdx.x; p < pixels; p += blockDim.x) sum += widen(x[p * channels + blockIdx.x]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = narrow<T>(sum);
}

KFER_KERNELS_END
