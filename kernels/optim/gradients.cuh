// What keeps gradients in bounds: the sum of their squares over many tensors, and changes in place.
#pragma once

#include "../common/group8.cuh"
#include "../common/reduce.cuh"
#include "tensor_table.cuh"

KFER_KERNELS_BEGIN

/// A stretch of memory to read.
template <class T>
struct Span {
  const T* data;
  long long count;
};

/// The blocks of sum_of_squares, and the numbers of room that it needs.
inline constexpr unsigned most_square_parts = 1024;

/// parts[block] (+)= the sum of squares of the block's chunks, in double. Reads every element once: sizeof(T)
/// bytes.
template <class T, class Table>
__global__ void __launch_bounds__(256)
    sum_of_squares_kernel(const __grid_constant__ Table table, double* __restrict__ parts, bool first) {
  double sum = 0;
  for (int c = static_cast<int>(blockIdx.x); c < table.chunks(); c += static_cast<int>(gridDim.x)) {
    const int tensor = table.owner(c);
    const Chunk chunk = chunk_of(table, tensor, c);
    const T* p = table.entry[tensor].data + chunk.begin;
    const bool vectors = reinterpret_cast<unsigned long long>(p) % 16 == 0;
    for (int i = 8 * static_cast<int>(threadIdx.x); i < chunk.count; i += 8 * static_cast<int>(blockDim.x)) {
      const Group8<T> v = load8(p + i, chunk.count - i, vectors);  // zeros past the end
#pragma unroll
      for (int j = 0; j < 8; ++j) sum += static_cast<double>(widen(v[j])) * static_cast<double>(widen(v[j]));
    }
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = first ? sum : parts[blockIdx.x] + sum;
}

/// Hands the sum of the parts to `then`, in one thread.
template <class Then>
__global__ void finish_sum_of_squares_kernel(const double* __restrict__ parts, int count, Then then) {
  double mine = 0;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) mine += parts[i];
  mine = block_sum(mine);
  if (threadIdx.x == 0) then(mine);
}
struct StoreTo {
  double* place;
  __device__ void operator()(double value) const { *place = value; }
};

/// x = f(x) over n elements.
template <class T, class F>
__global__ void __launch_bounds__(256) change_in_place_kernel(T* x, long long n, F f, bool vectors) {
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; g < groups; g += stride) {
    Group8<T> v = load8(x + 8 * g, n - 8 * g, vectors);
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = narrow<T>(f(widen(v[j])));
    store8(x + 8 * g, v, n - 8 * g, vectors);
  }
}
template <class T, class F>
void change_in_place(T* x, long long n, const F& f, Stream stream) {
  if (n == 0) return;
  launch(change_in_place_kernel<T, F>, dim3(grid_blocks(div_up(n, 8), 256)), dim3(256), 0, stream, x, n, f,
         aligned16(x));
}

template <class A>
struct ScaleBy {
  A factor;
  __device__ A operator()(A x) const { return x * factor; }
};
template <class A>
struct ClampTo {
  A low, high;
  __device__ A operator()(A x) const { return x < low ? low : x > high ? high : x; }  // a NaN stays
};

KFER_KERNELS_END
