// A block a row: neighbouring threads read neighbouring elements, and maximum and sum are joined through
// shared memory.
//
// Still three passes over x (maximum, sum, result), but coalesced; passes two and three find a row of up to
// some 100 KiB in the caches. Two block-wide reductions a row, each of two barriers: for short rows they are
// most of the time.
#pragma once

#include <cmath>

#include "../common/grid.cuh"
#include "../common/reduce.cuh"

KFER_KERNELS_BEGIN

template <class T>
__global__ void __launch_bounds__(256) softmax_block_kernel(const T* __restrict__ x, T* __restrict__ y,
                                                            long long rows, long long cols, bool logarithm) {
  using A = accum_t<T>;
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* in = x + r * cols;
    T* out = y + r * cols;
    A largest = A(-INFINITY), sum = A(0);
    for (long long c = threadIdx.x; c < cols; c += blockDim.x)
      largest = widen(in[c]) > largest ? widen(in[c]) : largest;
    largest = block_reduce(largest, Max{}, A(-INFINITY));
    for (long long c = threadIdx.x; c < cols; c += blockDim.x) sum += std::exp(widen(in[c]) - largest);
    sum = block_sum(sum);
    const A log_sum = std::log(sum);
    for (long long c = threadIdx.x; c < cols; c += blockDim.x) {
      const A v = widen(in[c]) - largest;
      out[c] = narrow<T>(logarithm ? v - log_sum : std::exp(v) / sum);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(256)
    softmax_backward_block_kernel(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                                  long long rows, long long cols, bool logarithm) {
  using A = accum_t<T>;
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const long long first = r * cols;
    A sum = A(0);
    for (long long c = threadIdx.x; c < cols; c += blockDim.x)
      sum += logarithm ? widen(dy[first + c]) : widen(dy[first + c]) * widen(y[first + c]);
    sum = block_sum(sum);
    for (long long i = first + threadIdx.x; i < first + cols; i += blockDim.x)
      dx[i] = narrow<T>(logarithm ? widen(dy[i]) - std::exp(widen(y[i])) * sum
                                  : widen(y[i]) * (widen(dy[i]) - sum));
  }
}

template <class T>
void softmax_block(const T* x, T* y, long long rows, long long cols, bool logarithm, Stream stream) {
  if (rows == 0 || cols == 0) return;
  launch(softmax_block_kernel<T>, dim3(grid_blocks(rows, 1)), dim3(256), 0, stream, x, y, rows, cols,
         logarithm);
}
template <class T>
void softmax_backward_block(const T* y, const T* dy, T* dx, long long rows, long long cols, bool logarithm,
                            Stream stream) {
  if (rows == 0 || cols == 0) return;
  launch(softmax_backward_block_kernel<T>, dim3(grid_blocks(rows, 1)), dim3(256), 0, stream, y, dy, dx, rows,
         cols, logarithm);
}

KFER_KERNELS_END
