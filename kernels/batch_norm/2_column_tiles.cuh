// Batch normalisation over NHWC in tiles of 32 channels.
//
// The one idea: activations are a matrix [rows, channels] (rows are the pixels of all images), so let the 32
// lanes of a warp take 32 neighbouring channels and its 8 warps take turns at the rows: every read is
// coalesced, and a thread meets only one channel, so that its sums stay in registers until the tile's eight
// partial sums are added in shared memory. Launch: channels / 32 blocks of 32 x 8 threads. Moves the same
// bytes as the naive one (x three times), but in whole lines. What is left: channels / 32 blocks are too few
// for a GPU unless there are thousands of channels, and loads are of one element.
#pragma once

#include <cmath>

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

/// The sum of `value` over a block's rows of threads, for each of its 32 columns. Synchronises.
template <class A>
__device__ inline A column_sum(A value) {
  KFER_SHARED(A, rows, [8][32]);
  __syncthreads();  // an earlier call's readers are done
  rows[threadIdx.y][threadIdx.x] = value;
  __syncthreads();
  A sum = 0;
#pragma unroll
  for (int y = 0; y < 8; ++y) sum += rows[y][threadIdx.x];
  return sum;
}

/// As batch_norm_naive, of x [rows, channels].
template <class T>
__global__ void __launch_bounds__(256)
    batch_norm_column_tiles(const T* x, const T* residual, T* y, long long rows, long long channels,
                            const accum_t<T>* gamma, const accum_t<T>* beta, accum_t<T> eps, bool relu,
                            accum_t<T>* mean, accum_t<T>* inverse) {
  using A = accum_t<T>;
  const long long c = static_cast<long long>(blockIdx.x) * 32 + threadIdx.x;
  const bool active = c < channels;  // the others still take part in the barriers
  const A n = static_cast<A>(rows);
  A sum = 0, squares = 0;
  if (active)
    for (long long r = threadIdx.y; r < rows; r += 8) sum += widen(x[r * channels + c]);
  const A m = column_sum(sum) / n;
  if (active)
    for (long long r = threadIdx.y; r < rows; r += 8) {
      const A d = widen(x[r * channels + c]) - m;
      squares += d * d;
    }
  const A k = A(1) / std::sqrt(column_sum(squares) / n + eps);
  if (!active) return;
  const A scale = k * gamma[c], shift = beta[c];
  for (long long r = threadIdx.y; r < rows; r += 8) {
    A v = (widen(x[r * channels + c]) - m) * scale + shift;
    if (residual) v += widen(residual[r * channels + c]);
    y[r * channels + c] = narrow<T>(relu && v < A(0) ? A(0) : v);
  }
  if (threadIdx.y == 0) {
    mean[c] = m;
    inverse[c] = k;
  }
}

/// As batch_norm_naive_backward, of x [rows, channels].
template <class T>
__global__ void __launch_bounds__(256)
    batch_norm_column_tiles_backward(const T* x, const T* y, const T* dy, T* dx, long long rows,
                                     long long channels, const accum_t<T>* gamma, const accum_t<T>* mean,
                                     const accum_t<T>* inverse, accum_t<T>* dgamma, accum_t<T>* dbeta) {
  using A = accum_t<T>;
  const long long c = static_cast<long long>(blockIdx.x) * 32 + threadIdx.x;
  const bool active = c < channels;
  const A m = active ? mean[c] : A(0), k = active ? inverse[c] : A(0);
  const auto passed = [&](long long at) { return !y || widen(y[at]) > A(0) ? widen(dy[at]) : A(0); };
  A sum = 0, product = 0;
  if (active)
    for (long long r = threadIdx.y; r < rows; r += 8) {
      const A g = passed(r * channels + c);
      sum += g;
      product += g * (widen(x[r * channels + c]) - m) * k;
    }
  sum = column_sum(sum);
  product = column_sum(product);
  if (!active) return;
  const A scale = gamma[c] * k, n = static_cast<A>(rows);
  for (long long r = threadIdx.y; r < rows; r += 8) {
    const long long at = r * channels + c;
    dx[at] = narrow<T>(scale * (passed(at) - (sum + (widen(x[at]) - m) * k * product) / n));
  }
  if (threadIdx.y == 0) {
    dgamma[c] = product;
    dbeta[c] = sum;
  }
}

KFER_KERNELS_END
