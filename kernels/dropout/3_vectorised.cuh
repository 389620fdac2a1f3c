// Eight elements a thread: one Philox call decides all of them, and memory moves 16 bytes at a time.
//
//   forward:  y = act(x + bias[channel]) * scale where kept, else 0       moves 2 n sizeof(T) bytes
//   backward: dx = dy * scale * act'(x + bias[channel]) where kept        moves 3 n sizeof(T) bytes
//   backward of relu + dropout from the result alone: dx = dy * scale where y > 0: no Philox at all, because
//   what was dropped is a zero of y just as what ReLU cut
//
// A thread owns elements [8 g, 8 g + 8): the counter g. The channel that a group begins at is divided out
// once; along the grid's stride it moves by a constant. The bias is read eight channels at a time where
// channels are a multiple of eight. Results may overwrite their inputs.
#pragma once

#include "../common/grid.cuh"
#include "../common/group8.cuh"
#include "../common/philox.cuh"
#include "activation.cuh"

KFER_KERNELS_BEGIN

template <class T, class Act, bool Drop>
__global__ void __launch_bounds__(256)
    dropout_vectorised_kernel(const T* x, const T* bias, T* y, long long n, long long channels, Dropout mask,
                              bool vectors, bool bias_vectors) {
  using A = accum_t<T>;
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  ChannelWalk channel(bias ? g : 0, bias ? stride : 0, channels);
  for (; g < groups; g += stride, channel.next()) {
    const long long count = n - 8 * g;
    Group8<T> v = load8(x + 8 * g, count, vectors);
    Group8<T> b = {};
    if (bias) b = load_channels8(bias, channel, bias_vectors);
    const unsigned keep = Drop ? mask.keeps8(static_cast<unsigned long long>(g)) : 0xFF;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const A a = Act::value(bias ? widen(v[j]) + widen(b[j]) : widen(v[j]));
      v[j] = narrow<T>(!Drop ? a : keep >> j & 1 ? a * A(mask.scale) : A(0));
    }
    store8(y + 8 * g, v, count, vectors);
  }
}

template <class T, class Act, bool Drop>
__global__ void __launch_bounds__(256)
    dropout_backward_vectorised_kernel(const T* x, const T* bias, const T* dy, T* dx, long long n,
                                       long long channels, Dropout mask, bool vectors, bool bias_vectors) {
  using A = accum_t<T>;
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  ChannelWalk channel(bias ? g : 0, bias ? stride : 0, channels);
  for (; g < groups; g += stride, channel.next()) {
    const long long count = n - 8 * g;
    Group8<T> d = load8(dy + 8 * g, count, vectors), v = {}, b = {};
    if (x) v = load8(x + 8 * g, count, vectors);
    if (x && bias) b = load_channels8(bias, channel, bias_vectors);
    const unsigned keep = Drop ? mask.keeps8(static_cast<unsigned long long>(g)) : 0xFF;
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      const A slope = Act::derivative(bias ? widen(v[j]) + widen(b[j]) : widen(v[j]));
      const A scale = Drop ? A(mask.scale) : A(1);
      d[j] = narrow<T>(keep >> j & 1 ? widen(d[j]) * scale * slope : A(0));
    }
    store8(dx + 8 * g, d, count, vectors);
  }
}

template <class T>
__global__ void __launch_bounds__(256)
    relu_dropout_backward_kernel(const T* y, const T* dy, T* dx, long long n, accum_t<T> scale,
                                 bool vectors) {
  using A = accum_t<T>;
  const long long groups = div_up(n, 8), stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long g = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; g < groups; g += stride) {
    const long long count = n - 8 * g;
    const Group8<T> v = load8(y + 8 * g, count, vectors);
    Group8<T> d = load8(dy + 8 * g, count, vectors);
#pragma unroll
    for (int j = 0; j < 8; ++j) d[j] = widen(v[j]) > A(0) ? narrow<T>(widen(d[j]) * scale) : narrow<T>(A(0));
    store8(dx + 8 * g, d, count, vectors);
  }
}

/// `mask` null: no dropout. `bias` null: none. `channels` is the fastest dimension. y may be x.
template <class T>
void dropout_vectorised(const T* x, const T* bias, T* y, long long n, long long channels,
                        Activation activation, const Dropout* mask, Stream stream) {
  if (n == 0) return;
  const dim3 grid(grid_blocks(div_up(n, 8), 256));
  const bool vectors = aligned16(x, y), bias_vectors = bias && channels % 8 == 0 && aligned16(bias);
  with_activation(activation, [&]<class Act>(Act) {
    if (mask)
      launch(dropout_vectorised_kernel<T, Act, true>, grid, dim3(256), 0, stream, x, bias, y, n, channels,
             *mask, vectors, bias_vectors);
    else
      launch(dropout_vectorised_kernel<T, Act, false>, grid, dim3(256), 0, stream, x, bias, y, n, channels,
             Dropout{}, vectors, bias_vectors);
  });
}

/// x and bias are forward's; neither is read, and both may be null, where there is no activation. dx may be
/// dy.
template <class T>
void dropout_backward_vectorised(const T* x, const T* bias, const T* dy, T* dx, long long n,
                                 long long channels, Activation activation, const Dropout* mask,
                                 Stream stream) {
  if (n == 0) return;
  if (activation == Activation::none) x = bias = nullptr;
  const dim3 grid(grid_blocks(div_up(n, 8), 256));
  const bool vectors = aligned16(dy, dx) && (!x || aligned16(x)),
             bias_vectors = bias && channels % 8 == 0 && aligned16(bias);
  with_activation(activation, [&]<class Act>(Act) {
    if (mask)
      launch(dropout_backward_vectorised_kernel<T, Act, true>, grid, dim3(256), 0, stream, x, bias, dy, dx, n,
             channels, *mask, vectors, bias_vectors);
    else
      launch(dropout_backward_vectorised_kernel<T, Act, false>, grid, dim3(256), 0, stream, x, bias, dy, dx,
             n, channels, Dropout{}, vectors, bias_vectors);
  });
}

KFER_KERNELS_END
