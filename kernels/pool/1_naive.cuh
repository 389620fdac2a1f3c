// Pooling over NHWC by its definition: a thread an element.
//
// Launch: blocks of 256 threads over the elements of the result (forward) or of dx (backward, which gathers:
// a pixel looks at the windows that cover it, so that nothing is added atomically and the sum has one order).
// Coalesced, since neighbours are channels; but four integer divisions of 64 bits, some hundred instructions,
// go with every element, and a thread's loads are of 2 or 4 bytes. Reads x, or dy and the cells, once from
// memory (the windows' overlap comes from the caches), writes the result once.
#pragma once

#include "window.cuh"

KFER_KERNELS_BEGIN

/// y and, unless null, the cell of its window that each maximum came from: the first of equal ones; a NaN
/// beats everything.
template <class T, class Cell>
__global__ void max_pool_naive(const T* x, T* y, Cell* cells, Pool2d s) {
  using A = accum_t<T>;
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= s.images * s.out_height * s.out_width * s.channels) return;
  const long long c = item % s.channels, j = item / s.channels % s.out_width,
                  i = item / s.channels / s.out_width % s.out_height,
                  n = item / s.channels / s.out_width / s.out_height;
  A best = 0;
  long long from = -1;
  for (long long u = 0; u < s.kernel_height; ++u)
    for (long long v = 0; v < s.kernel_width; ++v) {
      const long long h = i * s.stride_height + u - s.padding_height,
                      w = j * s.stride_width + v - s.padding_width;
      if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
      const A value = widen(x[((n * s.height + h) * s.width + w) * s.channels + c]);
      if (from >= 0 && !(value > best) && value == value) continue;
      best = value;
      from = u * s.kernel_width + v;
    }
  y[item] = narrow<T>(best);
  if (cells) cells[item] = static_cast<Cell>(from);
}

template <class T, class Cell>
__global__ void max_pool_naive_backward(const T* dy, const Cell* cells, T* dx, Pool2d s) {
  using A = accum_t<T>;
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= s.images * s.height * s.width * s.channels) return;
  const long long c = item % s.channels, w = item / s.channels % s.width,
                  h = item / s.channels / s.width % s.height, n = item / s.channels / s.width / s.height;
  A sum = 0;
  for (long long i = 0; i < s.out_height; ++i)
    for (long long j = 0; j < s.out_width; ++j) {
      const long long u = h + s.padding_height - i * s.stride_height,
                      v = w + s.padding_width - j * s.stride_width;
      if (u < 0 || u >= s.kernel_height || v < 0 || v >= s.kernel_width) continue;
      const long long at = ((n * s.out_height + i) * s.out_width + j) * s.channels + c;
      if (static_cast<long long>(cells[at]) == u * s.kernel_width + v) sum += widen(dy[at]);
    }
  dx[item] = narrow<T>(sum);
}

KFER_KERNELS_END
