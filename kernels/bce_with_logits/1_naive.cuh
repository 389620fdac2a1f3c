// Three passes: the loss of every element to memory, their sum by atomics, the gradient from the inputs
// again.
//
// One element a thread. Reads x and targets twice and moves an array of n numbers besides: 7 n sizeof(T)
// bytes instead of 3. The sum is in double, yet in an order that differs from run to run, and so may its last
// bits.
#pragma once

#include "../common/bf16.cuh"
#include "../common/grid.cuh"
#include "bce.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void bce_naive_values_kernel(const T* x, const T* target, const T* weights, T* values, long long n,
                                        long long channels) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    values[i] = narrow<T>(
        Bce::value(widen(x[i]), widen(target[i]), weights ? widen(weights[i % channels]) : accum_t<T>(1)));
}
template <class T>
__global__ void bce_naive_sum_kernel(const T* values, double* sum, long long n) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    atomicAdd(sum, static_cast<double>(widen(values[i])) / static_cast<double>(n));
}
template <class T>
__global__ void bce_naive_gradient_kernel(const T* x, const T* target, const T* weights, T* gradient,
                                          long long n, long long channels) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    gradient[i] = narrow<T>(Bce::derivative(widen(x[i]), widen(target[i]),
                                            weights ? widen(weights[i % channels]) : accum_t<T>(1)) /
                            static_cast<accum_t<T>>(n));
}

/// `values`: n numbers of room; *loss must be 0 before.
template <class T>
void bce_with_logits_naive(const T* x, const T* target, const T* weights, T* gradient, long long n,
                           long long channels, T* values, double* loss, Stream stream) {
  if (n == 0) return;
  const dim3 grid(grid_blocks(n, 256)), block(256);
  launch(bce_naive_values_kernel<T>, grid, block, 0, stream, x, target, weights, values, n, channels);
  launch(bce_naive_sum_kernel<T>, grid, block, 0, stream, values, loss, n);
  launch(bce_naive_gradient_kernel<T>, grid, block, 0, stream, x, target, weights, gradient, n, channels);
}

KFER_KERNELS_END
