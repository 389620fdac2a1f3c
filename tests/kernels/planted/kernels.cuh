// Small kernels that are right, and small kernels that are wrong in one way each: what the host SIMT executor
// and the sanitizers must tell apart.
#pragma once

#include "kfer/kernels/common/bf16.cuh"
#include "kfer/kernels/common/reduce.cuh"
#include "kfer/kernels/common/vec.cuh"

KFER_KERNELS_BEGIN

namespace planted {

// ---- Right ----

/// y = softmax of each row of x; one block a row, of whole warps.
template <class T>
__global__ void softmax(const T* __restrict__ x, T* __restrict__ y, int cols) {
  const T* row = x + static_cast<long long>(blockIdx.x) * cols;
  T* out = y + static_cast<long long>(blockIdx.x) * cols;
  const int first = static_cast<int>(threadIdx.x), stride = static_cast<int>(blockDim.x);
  accum_t<T> most = -1e30f, sum = 0;
  for (int c = first; c < cols; c += stride) most = max(most, widen(row[c]));
  most = block_reduce(most, Max{}, accum_t<T>(-1e30f));
  for (int c = first; c < cols; c += stride) sum += exp(widen(row[c]) - most);
  sum = block_sum(sum);
  for (int c = first; c < cols; c += stride) out[c] = narrow<T>(exp(widen(row[c]) - most) / sum);
}

/// out [cols, rows] = the transpose of in [rows, cols]; a 32 x 32 tile a block of 32 x 8 threads. Wrong
/// without its barrier.
template <class T, bool with_barrier = true>
__global__ void transpose(const T* in, T* out, int rows, int cols) {
  KFER_SHARED(T, tile, [32][33]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * 32, col = static_cast<int>(blockIdx.x) * 32;
  for (int j = y; j < 32; j += 8) {
    if (row + j < rows && col + x < cols) tile[j][x] = in[(row + j) * cols + col + x];
  }
  if constexpr (with_barrier) __syncthreads();
  for (int j = y; j < 32; j += 8) {
    if (col + j < cols && row + x < rows) out[(col + j) * rows + row + x] = tile[x][j];
  }
}

/// C [n, n] = A B; n a multiple of 16, blocks of 16 x 16 threads. Wrong without the barrier after a tile's
/// use.
template <bool with_second_barrier = true>
__global__ void __launch_bounds__(256) matmul(const float* a, const float* b, float* c, int n) {
  KFER_SHARED(float, tile_a, [16][16]);
  KFER_SHARED(float, tile_b, [16][16]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * 16 + y, col = static_cast<int>(blockIdx.x) * 16 + x;
  float sum = 0;
  for (int k0 = 0; k0 < n; k0 += 16) {
    tile_a[y][x] = a[row * n + k0 + x];
    tile_b[y][x] = b[(k0 + y) * n + col];
    __syncthreads();
#pragma unroll
    for (int k = 0; k < 16; ++k) sum = fmaf(tile_a[y][k], tile_b[k][x], sum);
    if constexpr (with_second_barrier) __syncthreads();
  }
  c[row * n + col] = sum;
}

/// *total += the sum of x, *positives += how many are above 0. Blocks of a power of two threads, at least 32;
/// as many floats of dynamic shared memory.
template <class T>
__global__ void sum_and_count(const T* x, int n, float* total, int* positives) {
  KFER_DYNAMIC_SHARED(float, part);
  const int threads = static_cast<int>(gridDim.x * blockDim.x);
  float sum = 0;
  int count = 0;
  for (int base = static_cast<int>(blockIdx.x * blockDim.x); base < n; base += threads) {
    const int i = base + static_cast<int>(threadIdx.x);
    const float value = i < n ? widen(x[i]) : 0.0f;
    sum += value;
    count += __popc(__ballot_sync(full_warp, value > 0));
  }
  part[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half >= 32; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x < 32) {
    const float of_warp = warp_reduce(part[threadIdx.x], Sum{});
    if (threadIdx.x == 0) atomicAdd(total, of_warp);
  }
  if (threadIdx.x % 32 == 0) atomicAdd(positives, count);
}

/// *total = the sum of x, added by the block that comes last; `ticket` counts from 0. One warp a block.
template <class T>
__global__ void sum_by_last_block(const T* x, T* partial, unsigned* ticket, T* total) {
  const T sum = warp_reduce(x[blockIdx.x * 32 + threadIdx.x], Sum{});
  bool last = false;
  if (threadIdx.x == 0) {
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
    __threadfence();
  }
  if (last) {
    T all = 0;
    for (unsigned i = 0; i < gridDim.x; ++i) all += partial[i];
    *total = all;
  }
}

// ---- Wrong ----

template <class T>
__global__ void out_of_bounds(const T* x, T* y, int n) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) y[i] = x[i];  // < n
}

template <class T>
__global__ void shared_out_of_bounds(T* y) {
  KFER_SHARED(T, s, [32]);
  T* p = s;  // hides the array's length from the compiler
  p[threadIdx.x + 1] = T(1);
  __syncthreads();
  y[threadIdx.x] = p[threadIdx.x];
}

template <class T>
__global__ void dynamic_shared_out_of_bounds(T* y) {  // launched with blockDim.x elements
  KFER_DYNAMIC_SHARED(T, s);
  s[threadIdx.x + 1] = T(1);
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}

template <class T>
__global__ void misaligned_vector(const T* x, T* y) {
  y[threadIdx.x] = reinterpret_cast<const float4*>(x + 1)->x;
}

template <class T>
__global__ void barriers_of_two_branches(T* y) {
  if (threadIdx.x < 48) {
    y[threadIdx.x] = 1;
    __syncthreads();
  } else {
    y[threadIdx.x] = 2;
    __syncthreads();
  }
}

template <class T>
__global__ void return_before_barrier(T* y) {
  if (threadIdx.x >= 48) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}

template <class T>
__global__ void shuffle_of_half_a_warp(T* y) {
  T value = T(threadIdx.x);
  if (threadIdx.x < 16) value = __shfl_xor_sync(full_warp, value, 1);
  y[threadIdx.x] = value;
}

template <class T>
__global__ void shuffle_from_outside_the_mask(T* y) {
  T value = T(threadIdx.x);
  if (threadIdx.x < 16) value = __shfl_sync(0xFFFFu, value, 20);
  y[threadIdx.x] = value;
}

template <class T>
__global__ void barrier_against_shuffle(T* y) {
  T value = T(threadIdx.x);
  if (threadIdx.x == 5)
    __syncthreads();
  else
    value = __shfl_xor_sync(full_warp, value, 1);
  y[threadIdx.x] = value;
}

template <class T>
__global__ void vote_against_shuffle(T* y) {
  T value = T(threadIdx.x);
  if (threadIdx.x == 5)
    value = T(__any_sync(full_warp, 1));
  else
    value = __shfl_xor_sync(full_warp, value, 1);
  y[threadIdx.x] = value;
}

template <class T>
__global__ void unwritten_shared(T* y) {
  KFER_SHARED(T, s, [64]);
  if (threadIdx.x < 63) s[threadIdx.x] = T(1);
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}

template <class T>
__global__ void too_much_fixed_shared(T* y) {
  KFER_SHARED(T, s, [(48 << 10) / sizeof(T) + 1]);
  s[threadIdx.x] = T(1);
  y[threadIdx.x] = s[threadIdx.x];
}

template <class T>
__global__ void fixed_and_dynamic_shared(T* y) {
  KFER_SHARED(T, s, [1024]);
  KFER_DYNAMIC_SHARED(T, d);
  d[threadIdx.x] = T(1);
  s[threadIdx.x] = d[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x];
}

template <class T>
__global__ void histogram_without_atomics(const T* x, int n, T* bins) {
  KFER_SHARED(T, local, [4]);
  if (threadIdx.x < 4) local[threadIdx.x] = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) local[x[i] & 3] += 1;
  __syncthreads();
  if (threadIdx.x < 4) bins[threadIdx.x] = local[threadIdx.x];
}

template <class T>
__global__ void blocks_that_overlap(T* y) {
  y[(blockIdx.x + threadIdx.x) % 64] += T(1);
}

template <class T>
__global__ void exchange_without_syncwarp(T* y) {
  KFER_SHARED(T, s, [32]);
  s[threadIdx.x] = T(threadIdx.x);
  y[threadIdx.x] = s[threadIdx.x ^ 1];
}

template <class T>
__global__ void overflow(T* y) {
  y[threadIdx.x] = T(2147483647) + T(threadIdx.x);
}

}  // namespace planted

KFER_KERNELS_END
