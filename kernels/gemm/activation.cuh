// What follows a product besides bias and ReLU: dropout behind a ReLU, and the way back through both.
//
// Eight elements a thread and step: one Philox counter decides eight. Reads and writes each array once.
#pragma once

#include "../common/grid.cuh"
#include "../common/philox.cuh"
#include "problem.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void gemm_dropout_kernel(T* y, long long n, Dropout dropout) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long group = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; group * 8 < n;
       group += stride) {
    const unsigned keeps = dropout.keeps8(static_cast<unsigned long long>(group));
#pragma unroll
    for (int e = 0; e < 8; ++e)
      if (const long long i = group * 8 + e; i < n)
        y[i] = narrow<T>(keeps >> e & 1 ? widen(y[i]) * dropout.scale : accum_t<T>(0));
  }
}

template <class T>
__global__ void gemm_relu_backward_kernel(const T* y, const T* dy, T* dx, long long n, float scale) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    dx[i] = narrow<T>(widen(y[i]) > 0 ? widen(dy[i]) * scale : accum_t<T>(0));
}

/// y = dropout(y), in place.
template <class T>
void gemm_dropout(T* y, long long n, const Dropout& dropout, Stream stream) {
  if (n == 0) return;
  launch(gemm_dropout_kernel<T>, dim3(grid_blocks(n, 2048)), dim3(256), 0, stream, y, n, dropout);
}

/// dx = dy * scale where y > 0, else 0; dx may be dy.
template <class T>
void gemm_relu_backward(const T* y, const T* dy, T* dx, long long n, float scale, Stream stream) {
  if (n == 0) return;
  launch(gemm_relu_backward_kernel<T>, dim3(grid_blocks(n, 256)), dim3(256), 0, stream, y, dy, dx, n, scale);
}

KFER_KERNELS_END
