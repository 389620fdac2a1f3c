// Nearest-neighbour upsampling over NHWC by its definition: a thread an element, of y forward, of dx
// backward.
//
// Blocks of 256 threads. Coalesced, since neighbours are channels; but with two to four divisions of 64 bits,
// some hundred instructions, an element, and accesses of one element. Forward reads x once from memory (the
// repeats come from the caches) and writes scale^2 times as much; backward the reverse.
#pragma once

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

/// y[n, i, j, c] = x[n, i / scale, j / scale, c], plus add, of y's shape, unless it is null.
template <class T>
__global__ void upsample_naive(const T* x, const T* add, T* y, long long images, long long height,
                               long long width, long long channels, long long scale) {
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= images * height * width * scale * scale * channels) return;
  const long long c = item % channels, pixel = item / channels, j = pixel % (width * scale),
                  i = pixel / (width * scale) % (height * scale),
                  n = pixel / (width * scale) / (height * scale);
  const T value = x[((n * height + i / scale) * width + j / scale) * channels + c];
  y[item] = add ? narrow<T>(widen(value) + widen(add[item])) : value;
}

/// dx = the sum of dy over the scale x scale pixels that were copied.
template <class T>
__global__ void upsample_naive_backward(const T* dy, T* dx, long long images, long long height,
                                        long long width, long long channels, long long scale) {
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= images * height * width * channels) return;
  const long long c = item % channels, pixel = item / channels, w = pixel % width, h = pixel / width % height,
                  n = pixel / width / height;
  accum_t<T> sum = 0;
  for (long long i = 0; i < scale; ++i)
    for (long long j = 0; j < scale; ++j)
      sum += widen(dy[((n * height * scale + h * scale + i) * width * scale + w * scale + j) * channels + c]);
  dx[item] = narrow<T>(sum);
}

KFER_KERNELS_END
