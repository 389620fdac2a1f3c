// Softmax and log-softmax of rows, one thread a row.
//
//   y = exp(x - max) / sum of exp(x - max), or x - max - log of that sum
//   dx = y (dy - sum of dy y), or dy - exp(y) sum of dy
//
// Three passes over x. Neighbouring threads read addresses a row apart, so that a warp's load touches 32
// lines for 32 numbers: up to 32 times the floor of one read and one write, as far as caches do not save it.
// What the others are measured from.
#pragma once

#include <cmath>

#include "../common/bf16.cuh"
#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void softmax_naive_kernel(const T* __restrict__ x, T* __restrict__ y, long long rows,
                                     long long cols, bool logarithm) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long r = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; r < rows; r += stride) {
    const T* in = x + r * cols;
    T* out = y + r * cols;
    A largest = widen(in[0]), sum = A(0);
    for (long long c = 1; c < cols; ++c) largest = widen(in[c]) > largest ? widen(in[c]) : largest;
    for (long long c = 0; c < cols; ++c) sum += std::exp(widen(in[c]) - largest);
    const A log_sum = std::log(sum);
    for (long long c = 0; c < cols; ++c) {
      const A v = widen(in[c]) - largest;
      out[c] = narrow<T>(logarithm ? v - log_sum : std::exp(v) / sum);
    }
  }
}

template <class T>
__global__ void softmax_backward_naive_kernel(const T* __restrict__ y, const T* __restrict__ dy,
                                              T* __restrict__ dx, long long rows, long long cols,
                                              bool logarithm) {
  using A = accum_t<T>;
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long r = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; r < rows; r += stride) {
    A sum = A(0);
    for (long long i = r * cols; i < (r + 1) * cols; ++i)
      sum += logarithm ? widen(dy[i]) : widen(dy[i]) * widen(y[i]);
    for (long long i = r * cols; i < (r + 1) * cols; ++i)
      dx[i] = narrow<T>(logarithm ? widen(dy[i]) - std::exp(widen(y[i])) * sum
                                  : widen(y[i]) * (widen(dy[i]) - sum));
  }
}

template <class T>
void softmax_naive(const T* x, T* y, long long rows, long long cols, bool logarithm, Stream stream) {
  if (rows == 0 || cols == 0) return;
  launch(softmax_naive_kernel<T>, dim3(grid_blocks(rows, 128)), dim3(128), 0, stream, x, y, rows, cols,
         logarithm);
}
template <class T>
void softmax_backward_naive(const T* y, const T* dy, T* dx, long long rows, long long cols, bool logarithm,
                            Stream stream) {
  if (rows == 0 || cols == 0) return;
  launch(softmax_backward_naive_kernel<T>, dim3(grid_blocks(rows, 128)), dim3(128), 0, stream, y, dy, dx,
         rows, cols, logarithm);
}

KFER_KERNELS_END
