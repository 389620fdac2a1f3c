// Maximum and sum in one pass: a thread keeps a running pair and scales its sum down when the maximum grows.
// Sixteen bytes a load.
//
// A block a row. Reads x twice, of which the second finds a row of up to the caches' size there, and writes y
// once: 2 n sizeof(T) bytes of memory at best. Backward likewise: y and dy, then again. The choice for rows
// that do not fit the registers of a warp.
#pragma once

#include "../common/row.cuh"

KFER_KERNELS_BEGIN

template <class T, int W>
__global__ void __launch_bounds__(512) softmax_online_kernel(const T* __restrict__ x, T* __restrict__ y,
                                                             long long rows, long long cols, bool logarithm) {
  using A = accum_t<T>;
  const long long vectors = cols / W;
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* in = x + r * cols;
    T* out = y + r * cols;
    OnlineMaxSum<A> row;
    for (long long i = threadIdx.x; i < vectors; i += blockDim.x) {
      const Vec<T, W> v = load_vec<W>(in, i);
      A wide[W];
#pragma unroll
      for (int j = 0; j < W; ++j) wide[j] = widen(v[j]);
      row.take(wide);
    }
    row.join_block();
    const A log_sum = std::log(row.sum), share = A(1) / row.sum;
    for (long long i = threadIdx.x; i < vectors; i += blockDim.x) {
      Vec<T, W> v = load_vec<W>(in, i);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const A d = widen(v[j]) - row.largest;
        v[j] = narrow<T>(logarithm ? d - log_sum : std::exp(d) * share);
      }
      store_vec<W>(out, i, v);
    }
  }
}

template <class T, int W>
__global__ void __launch_bounds__(512)
    softmax_backward_online_kernel(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                                   long long rows, long long cols, bool logarithm) {
  using A = accum_t<T>;
  const long long vectors = cols / W;
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const long long first = r * cols;
    A sum = A(0);
    for (long long i = threadIdx.x; i < vectors; i += blockDim.x) {
      const Vec<T, W> d = load_vec<W>(dy + first, i);
      if (logarithm) {
#pragma unroll
        for (int j = 0; j < W; ++j) sum += widen(d[j]);
      } else {
        const Vec<T, W> v = load_vec<W>(y + first, i);
#pragma unroll
        for (int j = 0; j < W; ++j) sum += widen(d[j]) * widen(v[j]);
      }
    }
    sum = block_sum(sum);
    for (long long i = threadIdx.x; i < vectors; i += blockDim.x) {
      const Vec<T, W> v = load_vec<W>(y + first, i);
      Vec<T, W> d = load_vec<W>(dy + first, i);
#pragma unroll
      for (int j = 0; j < W; ++j)
        d[j] = narrow<T>(logarithm ? widen(d[j]) - std::exp(widen(v[j])) * sum
                                   : widen(v[j]) * (widen(d[j]) - sum));
      store_vec<W>(dx + first, i, d);
    }
  }
}

template <class T>
void softmax_online(const T* x, T* y, long long rows, long long cols, bool logarithm, Stream stream) {
  if (rows == 0 || cols == 0) return;
  constexpr int W = vec_width<T>;
  const bool vectors = cols % W == 0 && aligned16(x, y);
  launch(vectors ? softmax_online_kernel<T, W> : softmax_online_kernel<T, 1>, dim3(grid_blocks(rows, 1, 4)),
         dim3(512), 0, stream, x, y, rows, cols, logarithm);
}
template <class T>
void softmax_backward_online(const T* y, const T* dy, T* dx, long long rows, long long cols, bool logarithm,
                             Stream stream) {
  if (rows == 0 || cols == 0) return;
  constexpr int W = vec_width<T>;
  const bool vectors = cols % W == 0 && aligned16(y, dy, dx);
  launch(vectors ? softmax_backward_online_kernel<T, W> : softmax_backward_online_kernel<T, 1>,
         dim3(grid_blocks(rows, 1, 4)), dim3(512), 0, stream, y, dy, dx, rows, cols, logarithm);
}

KFER_KERNELS_END
