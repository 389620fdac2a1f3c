// Dropout with a stored mask: one kernel draws it, one byte an element, one applies it; backward reads it
// again.
//
//   y = act(x + bias[channel]) * scale where the mask keeps the element, else 0;  channel is the fastest
//   dimension
//
// One element a thread, three launches for forward and backward together where one each would do. Moves,
// besides x and y, a byte an element three times (written once, read twice): at bf16 that is 3 bytes on top
// of 10. Here for comparison, and because it says plainly what the others compute.
#pragma once

#include "../common/bf16.cuh"
#include "../common/grid.cuh"
#include "../common/philox.cuh"
#include "activation.cuh"

KFER_KERNELS_BEGIN

static __global__ void dropout_mask_naive_kernel(unsigned char* __restrict__ keep, long long n,
                                                 Dropout mask) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    keep[i] = mask.keeps(static_cast<unsigned long long>(i));
}

template <class T, class Act>
__global__ void dropout_naive_kernel(const T* x, const T* bias, const unsigned char* keep, T* y, long long n,
                                     long long channels, float scale) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const A v = Act::value(widen(x[i]) + (bias ? widen(bias[i % channels]) : A(0)));
    y[i] = narrow<T>(keep[i] ? v * A(scale) : A(0));
  }
}

template <class T, class Act>
__global__ void dropout_backward_naive_kernel(const T* x, const T* bias, const unsigned char* keep,
                                              const T* dy, T* dx, long long n, long long channels,
                                              float scale) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const A d = Act::derivative(widen(x[i]) + (bias ? widen(bias[i % channels]) : A(0)));
    dx[i] = narrow<T>(keep[i] ? widen(dy[i]) * A(scale) * d : A(0));
  }
}

inline void dropout_mask_naive(unsigned char* keep, long long n, const Dropout& mask, Stream stream) {
  if (n) launch(dropout_mask_naive_kernel, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, keep, n, mask);
}

template <class T>
void dropout_naive(const T* x, const T* bias, const unsigned char* keep, T* y, long long n,
                   long long channels, Activation activation, float scale, Stream stream) {
  if (n == 0) return;
  with_activation(activation, [&]<class Act>(Act) {
    launch(dropout_naive_kernel<T, Act>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, x, bias, keep, y, n,
           channels, scale);
  });
}

template <class T>
void dropout_backward_naive(const T* x, const T* bias, const unsigned char* keep, const T* dy, T* dx,
                            long long n, long long channels, Activation activation, float scale,
                            Stream stream) {
  if (n == 0) return;
  with_activation(activation, [&]<class Act>(Act) {
    launch(dropout_backward_naive_kernel<T, Act>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, x, bias,
           keep, dy, dx, n, channels, scale);
  });
}

KFER_KERNELS_END
