// Batch normalisation by its definition: a block a channel.
//
// Launch: one block of 256 threads for each channel, whose elements it walks with the strides of whatever
// memory order the tensor has; everything happens in that one block, so one kernel is the whole pass. It
// moves x three times (mean, variance, result) where once for the statistics and once for the result would
// do. In NCHW, neighbours in a plane are neighbours in memory and a warp's reads are whole lines; in NHWC a
// warp's 32 reads are 32 lines of which it uses one element each. And C blocks, 64 in a ResNet's first
// layers, are half a GPU. Wins never; it is what the others are compared with.
#pragma once

#include <cmath>

#include "../common/reduce.cuh"

KFER_KERNELS_BEGIN

/// Where the elements of [images, channels, pixels] lie, in elements.
struct ChannelStrides {
  long long images, pixels;
  long long image, channel, pixel;  ///< distance between neighbours

  __host__ __device__ long long count() const { return images * pixels; }
  __device__ long long at(long long c, long long i) const {
    return i / pixels * image + c * channel + i % pixels * pixel;
  }
};

/// y = relu?((x - mean) / sqrt(variance + eps) * gamma + beta + residual?) with the batch's own statistics,
/// which are left in `mean` and `inverse` (1 / sqrt(variance + eps)).
template <class T>
__global__ void batch_norm_naive(const T* x, const T* residual, T* y, ChannelStrides s,
                                 const accum_t<T>* gamma, const accum_t<T>* beta, accum_t<T> eps, bool relu,
                                 accum_t<T>* mean, accum_t<T>* inverse) {
  using A = accum_t<T>;
  const long long c = blockIdx.x, n = s.count();
  A sum = 0, squares = 0;
  for (long long i = threadIdx.x; i < n; i += blockDim.x) sum += widen(x[s.at(c, i)]);
  const A m = block_sum(sum) / static_cast<A>(n);
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    const A d = widen(x[s.at(c, i)]) - m;
    squares += d * d;
  }
  const A k = A(1) / std::sqrt(block_sum(squares) / static_cast<A>(n) + eps);
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    const long long at = s.at(c, i);
    A v = (widen(x[at]) - m) * (k * gamma[c]) + beta[c];
    if (residual) v += widen(residual[at]);
    y[at] = narrow<T>(relu && v < A(0) ? A(0) : v);
  }
  if (threadIdx.x == 0) {
    mean[c] = m;
    inverse[c] = k;
  }
}

/// The gradients of all that. `y` is the result if it went through a ReLU, else null.
template <class T>
__global__ void batch_norm_naive_backward(const T* x, const T* y, const T* dy, T* dx, ChannelStrides s,
                                          const accum_t<T>* gamma, const accum_t<T>* mean,
                                          const accum_t<T>* inverse, accum_t<T>* dgamma, accum_t<T>* dbeta) {
  using A = accum_t<T>;
  const long long c = blockIdx.x, n = s.count();
  const auto passed = [&](long long at) { return !y || widen(y[at]) > A(0) ? widen(dy[at]) : A(0); };
  A sum = 0, product = 0;
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    const long long at = s.at(c, i);
    sum += passed(at);
    product += passed(at) * (widen(x[at]) - mean[c]) * inverse[c];
  }
  sum = block_sum(sum);
  product = block_sum(product);
  for (long long i = threadIdx.x; i < n; i += blockDim.x) {
    const long long at = s.at(c, i);
    const A normalised = (widen(x[at]) - mean[c]) * inverse[c];
    dx[at] =
        narrow<T>(gamma[c] * inverse[c] * (passed(at) - (sum + normalised * product) / static_cast<A>(n)));
  }
  if (threadIdx.x == 0) {
    dgamma[c] = product;
    dbeta[c] = sum;
  }
}

KFER_KERNELS_END
