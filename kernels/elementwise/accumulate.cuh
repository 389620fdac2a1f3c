// sum[i] += more[i]: what gradients of a value used twice need. Reads two tensors and writes one.
#pragma once

#include "../common/grid.cuh"
#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

template <class T, int N>
__global__ void accumulate_kernel(T* __restrict__ sum, const T* __restrict__ more, long long vectors) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < vectors; i += stride) {
    Vec<T, N> s = load_vec<N>(sum, i);
    const Vec<T, N> m = load_vec<N>(more, i);
#pragma unroll
    for (int k = 0; k < N; ++k) s[k] = narrow<T>(widen(s[k]) + widen(m[k]));
    store_vec(sum, i, s);
  }
}

template <class T>
void accumulate(T* sum, const T* more, long long n, Stream stream) {
  constexpr int N = vec_width<T>;
  const long long vectors = aligned16(sum, more) ? n / N : 0, rest = n - vectors * N;
  if (vectors)
    launch(accumulate_kernel<T, N>, dim3(grid_blocks(vectors, 256)), dim3(256), 0, stream, sum, more, vectors);
  if (rest)
    launch(accumulate_kernel<T, 1>, dim3(grid_blocks(rest, 256)), dim3(256), 0, stream, sum + vectors * N,
           more + vectors * N, rest);
}

KFER_KERNELS_END
