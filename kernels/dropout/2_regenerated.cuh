// The mask is not stored: forward and backward draw the same Philox numbers from (seed, stream, element).
//
// One element a thread. Moves the floor, x in and y out (backward: x, dy in, dx out), but every thread runs
// all ten rounds of Philox for one of the eight decisions that they yield: about 70 integer instructions for
// 4 bytes of bf16 traffic, which arithmetic and not memory bounds.
#pragma once

#include "../common/bf16.cuh"
#include "../common/grid.cuh"
#include "../common/philox.cuh"
#include "activation.cuh"

KFER_KERNELS_BEGIN

template <class T, class Act>
__global__ void dropout_regenerated_kernel(const T* x, const T* bias, T* y, long long n, long long channels,
                                           Dropout mask) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const A v = Act::value(widen(x[i]) + (bias ? widen(bias[i % channels]) : A(0)));
    y[i] = narrow<T>(mask.keeps(static_cast<unsigned long long>(i)) ? v * A(mask.scale) : A(0));
  }
}

template <class T, class Act>
__global__ void dropout_backward_regenerated_kernel(const T* x, const T* bias, const T* dy, T* dx,
                                                    long long n, long long channels, Dropout mask) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const A d = Act::derivative(widen(x[i]) + (bias ? widen(bias[i % channels]) : A(0)));
    dx[i] =
        narrow<T>(mask.keeps(static_cast<unsigned long long>(i)) ? widen(dy[i]) * A(mask.scale) * d : A(0));
  }
}

template <class T>
void dropout_regenerated(const T* x, const T* bias, T* y, long long n, long long channels,
                         Activation activation, const Dropout& mask, Stream stream) {
  if (n == 0) return;
  with_activation(activation, [&]<class Act>(Act) {
    launch(dropout_regenerated_kernel<T, Act>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, x, bias, y, n,
           channels, mask);
  });
}

template <class T>
void dropout_backward_regenerated(const T* x, const T* bias, const T* dy, T* dx, long long n,
                                  long long channels, Activation activation, const Dropout& mask,
                                  Stream stream) {
  if (n == 0) return;
  with_activation(activation, [&]<class Act>(Act) {
    launch(dropout_backward_regenerated_kernel<T, Act>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, x,
           bias, dy, dx, n, channels, mask);
  });
}

KFER_KERNELS_END
