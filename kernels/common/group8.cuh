// Eight consecutive elements in registers: what one Philox counter decides on, and 16 bytes of bf16, 2 x 16
// of float or 4 x 16 of double.
#pragma once

#include "vec.cuh"

KFER_KERNELS_BEGIN

template <class T>
struct Group8 {
  T v[8];
  __device__ T& operator[](int i) { return v[i]; }
  __device__ const T& operator[](int i) const { return v[i]; }
};

/// The first `count` (at most 8) elements at p; the rest is unspecified. `vectors`: p is aligned to 16 bytes.
template <class T>
__device__ inline Group8<T> load8(const T* p, long long count, bool vectors) {
  constexpr int W = vec_width<T>;
  Group8<T> g = {};
  if (vectors && count >= 8) {
#pragma unroll
    for (int k = 0; k < 8 / W; ++k) {
      const Vec<T, W> part = load_vec<W>(p, k);
#pragma unroll
      for (int j = 0; j < W; ++j) g[k * W + j] = part[j];
    }
  } else {
#pragma unroll
    for (int j = 0; j < 8; ++j)
      if (j < count) g[j] = p[j];
  }
  return g;
}

template <class T>
__device__ inline void store8(T* p, const Group8<T>& g, long long count, bool vectors) {
  constexpr int W = vec_width<T>;
  if (vectors && count >= 8) {
#pragma unroll
    for (int k = 0; k < 8 / W; ++k) {
      Vec<T, W> part;
#pragma unroll
      for (int j = 0; j < W; ++j) part[j] = g[k * W + j];
      store_vec<W>(p, k, part);
    }
  } else {
#pragma unroll
    for (int j = 0; j < 8; ++j)
      if (j < count) p[j] = g[j];
  }
}

/// The channels, of a fastest dimension of `channels`, that the groups of a thread begin at: divided out
/// once, then each time a constant step further.
struct ChannelWalk {
  long long first, step, channels;
  __device__ ChannelWalk(long long group, long long stride, long long channels)
      : first(8 * group % channels), step(8 * stride % channels), channels(channels) {}
  __device__ void next() {
    first += step;
    if (first >= channels) first -= channels;
  }
};

/// The numbers of a group's eight channels. `vectors`: channels are a multiple of 8 and p is aligned to 16
/// bytes.
template <class T>
__device__ inline Group8<T> load_channels8(const T* p, const ChannelWalk& channel, bool vectors) {
  if (vectors) return load8(p + channel.first, 8, true);
  Group8<T> g = {};
  long long c = channel.first;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    g[j] = p[c];
    if (++c == channel.channels) c = 0;
  }
  return g;
}

KFER_KERNELS_END
