// Batch normalisation over NHWC, vectorised, in two stages: the rows too are cut into slices, so that any
// shape fills the GPU, and what the slices found is joined by a second small kernel, in a fixed order.
//
// Launch: blocks of 256 threads, as many side by side as a row has 16-byte vectors of channels (at most 32:
// 512 bytes), the rest below each other; a grid of tiles of channels by slices of rows. A thread keeps one
// vector of channels and strides over rows, eight (forward) or four (backward) loads in flight.
//
// Statistics: each group of eight rows is in registers, so its mean and squared deviations from that very
// mean cost no second read; groups, threads, and slices are joined by the formula of Chan, Golub and LeVeque
// (1979) in double. No E[x^2] - E[x]^2 anywhere: a channel of mean 1000 and deviation 1 keeps all its digits.
//
// Bytes, with s the size of x: statistics s, normalise 2 s (3 s with a residual); backward sums 2 s (x, dy;
// 3 s where y must be read, + s where the masked gradient is written for the residual), gradient 3 s. Nothing
// here computes enough to hide them: bandwidth is the limit.
#pragma once

#include <cmath>

#include "../common/nhwc.cuh"

KFER_KERNELS_BEGIN

/// What a channel is normalised with, and by: all [channels].
template <class P>
struct BatchNormChannels {
  const P *mean, *inverse, *gamma, *beta;
};

/// How backward learns where the ReLU let a value pass.
enum class Passed {
  everywhere,  ///< there was no ReLU
  read,        ///< from y
  recomputed,  ///< from x: y is not read
};

/// Mean and sum of squared deviations of a set of numbers; who uses them knows how many there were.
struct alignas(16) Moments {
  double mean, squares;
};
/// Joins `more`, of `more_count` numbers, to `sum`, of `count`.
__device__ inline void join_moments(Moments& sum, double count, const Moments& more, double more_count) {
  const double weight = more_count / (count + more_count), delta = more.mean - sum.mean;
  sum.mean += delta * weight;
  sum.squares += more.squares + delta * delta * (count * weight);
}

/// How [rows, groups of channels] is cut: blocks of `block` threads, `tiles` of them across, `slices` of
/// `slice_rows` rows each.
struct ColumnSlices {
  dim3 block;
  long long tiles, slices, slice_rows;
  dim3 grid() const { return dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(slices)); }
};
inline ColumnSlices column_slices(long long rows, long long groups, int resident = 4) {
  ColumnSlices s;
  s.block = column_block(groups);
  s.tiles = div_up(groups, s.block.x);
  const long long wanted = static_cast<long long>(multiprocessors()) * resident / s.tiles,
                  least = 8ll * s.block.y;  // rows that make a block worth starting
  s.slice_rows = div_up(rows, wanted < 1 ? 1 : wanted);
  if (s.slice_rows < least) s.slice_rows = least;
  s.slices = div_up(rows, s.slice_rows);
  return s;
}

/// Shared memory of join_rows: two doubles for each channel of half the threads, and a count.
constexpr size_t join_rows_shared(int width, int threads) {
  return static_cast<size_t>(threads / 2) * (2 * static_cast<size_t>(width) + 1) * sizeof(double);
}

/// Joins the moments of a block's rows of threads into row 0. Every thread takes part; threads without
/// numbers have count 0.
template <int N>
__device__ inline void join_rows(Moments (&own)[N], double& count) {
  KFER_DYNAMIC_SHARED(double, shared);
  for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
    const unsigned slots = half * blockDim.x, slot = threadIdx.y % half * blockDim.x + threadIdx.x;
    if (threadIdx.y >= half && threadIdx.y < 2 * half) {
      shared[slot] = count;
#pragma unroll
      for (int k = 0; k < N; ++k) {
        shared[(2 * k + 1) * slots + slot] = own[k].mean;
        shared[(2 * k + 2) * slots + slot] = own[k].squares;
      }
    }
    __syncthreads();
    if (threadIdx.y < half && shared[slot] > 0) {
#pragma unroll
      for (int k = 0; k < N; ++k)
        join_moments(own[k], count, {shared[(2 * k + 1) * slots + slot], shared[(2 * k + 2) * slots + slot]},
                     shared[slot]);
      count += shared[slot];
    }
    __syncthreads();
  }
}

/// Joins K rows of a column, `step` vectors apart.
template <int K, class T, int N>
__device__ inline void join_chunk(const T* x, long long at, long long step, Moments (&own)[N],
                                  double& count) {
  using A = accum_t<T>;
  Vec<T, N> v[K];
#pragma unroll
  for (int q = 0; q < K; ++q) v[q] = load_vec<N>(x, at + q * step);
  const A weight = A(K) / static_cast<A>(count + K), spread = static_cast<A>(count) * weight;
#pragma unroll
  for (int k = 0; k < N; ++k) {
    A sum = 0, squares = 0, rest = 0;
#pragma unroll
    for (int q = 0; q < K; ++q) sum += widen(v[q][k]);
    const A mean = sum * (A(1) / K);
#pragma unroll
    for (int q = 0; q < K; ++q) {
      const A d = widen(v[q][k]) - mean;
      squares += d * d;
      rest += d;  // what rounding the mean missed
    }
    const double missed = static_cast<double>(rest) / K;
    const double delta = mean + missed - own[k].mean;
    own[k].mean += delta * weight;
    own[k].squares += squares - missed * rest + delta * delta * spread;
  }
  count += K;
}

/// partial[slice][channel]: the moments of a slice of x.
template <class T, int N>
__global__ void __launch_bounds__(256, 2)
    batch_norm_moments(const T* __restrict__ x, Moments* __restrict__ partial, long long rows,
                       long long groups, long long slice_rows) {
  const long long group = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x,
                  begin = blockIdx.y * slice_rows,
                  end = begin + slice_rows < rows ? begin + slice_rows : rows;
  Moments own[N] = {};
  double count = 0;
  if (group < groups) {
    constexpr int K = 8;
    const long long stride = blockDim.y;
    long long row = begin + threadIdx.y;
    for (; row + (K - 1) * stride < end; row += K * stride)
      join_chunk<K>(x, row * groups + group, stride * groups, own, count);
    for (; row < end; row += stride) join_chunk<1>(x, row * groups + group, 0, own, count);
  }
  join_rows(own, count);
  if (threadIdx.y == 0 && group < groups)
#pragma unroll
    for (int k = 0; k < N; ++k) partial[(blockIdx.y * groups + group) * N + k] = own[k];
}

/// Joins the slices: blocks of 32 x 32 threads, channels across, slices down. Updates the running statistics
/// unless they are null.
template <class P>
__global__ void __launch_bounds__(1024)
    batch_norm_join_moments(const Moments* __restrict__ partial, long long rows, long long channels,
                            long long slices, long long slice_rows, double eps, double momentum, P* mean,
                            P* inverse, P* running_mean, P* running_var) {
  const long long c = static_cast<long long>(blockIdx.x) * 32 + threadIdx.x;
  Moments own[1] = {};
  double count = 0;
  if (c < channels)
    for (long long s = threadIdx.y; s < slices; s += blockDim.y) {
      const long long begin = s * slice_rows, left = rows - begin;
      const auto n = static_cast<double>(left < slice_rows ? left : slice_rows);
      join_moments(own[0], count, partial[s * channels + c], n);
      count += n;
    }
  join_rows(own, count);
  if (threadIdx.y > 0 || c >= channels) return;
  mean[c] = static_cast<P>(own[0].mean);
  inverse[c] = static_cast<P>(1 / std::sqrt(own[0].squares / count + eps));
  if (running_mean) {
    running_mean[c] = static_cast<P>(running_mean[c] + momentum * (own[0].mean - running_mean[c]));
    running_var[c] =
        static_cast<P>(running_var[c] + momentum * (own[0].squares / (count - 1) - running_var[c]));
  }
}

/// The statistics of inference and of frozen layers: the running ones.
template <class P>
__global__ void batch_norm_frozen(const P* __restrict__ running_mean, const P* __restrict__ running_var,
                                  long long channels, double eps, P* mean, P* inverse) {
  const long long c = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  mean[c] = running_mean[c];
  inverse[c] = static_cast<P>(1 / std::sqrt(running_var[c] + eps));
}

/// The affine map of one vector of channels, folded: v -> (v - mean) * scale + shift. Forward and backward
/// both apply it, so that they agree on the sign of the result.
template <class P, int N>
struct ChannelMap {
  P mean[N], scale[N], shift[N];

  __device__ ChannelMap(const BatchNormChannels<P>& c, long long first) {
#pragma unroll
    for (int k = 0; k < N; ++k) {
      mean[k] = c.mean[first + k];
      scale[k] = c.inverse[first + k] * c.gamma[first + k];
      shift[k] = c.beta ? c.beta[first + k] : P(0);
    }
  }
  __device__ P operator()(P v, int k) const {
    return (v - mean[k]) * scale[k] + shift[k];
  }
};

template <class T, int N, bool residual, bool relu>
__global__ void __launch_bounds__(256)
    batch_norm_normalise_kernel(const T* __restrict__ x, const T* __restrict__ r, T* __restrict__ y,
                                long long rows, long long groups, BatchNormChannels<accum_t<T>> channels) {
  using A = accum_t<T>;
  const long long group = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (group >= groups) return;
  const ChannelMap<A, N> map(channels, group * N);
  constexpr int K = residual ? 2 : 4;
  const long long stride = static_cast<long long>(gridDim.y) * blockDim.y;
  for (long long row = static_cast<long long>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows;
       row += K * stride) {
    Vec<T, N> v[K], add[residual ? K : 1];
#pragma unroll
    for (int q = 0; q < K; ++q)
      if (const long long i = row + q * stride; i < rows) {
        v[q] = load_vec<N>(x, i * groups + group);
        if constexpr (residual) add[q] = load_vec<N>(r, i * groups + group);
      }
#pragma unroll
    for (int q = 0; q < K; ++q)
      if (const long long i = row + q * stride; i < rows) {
#pragma unroll
        for (int k = 0; k < N; ++k) {
          A out = map(widen(v[q][k]), k);
          if constexpr (residual) out += widen(add[q][k]);
          if constexpr (relu) out = out < A(0) ? A(0) : out;
          v[q][k] = narrow<T>(out);
        }
        store_vec(y, i * groups + group, v[q]);
      }
  }
}

/// dy where the ReLU passed, else 0.
template <Passed passed, class T, int N>
__device__ inline accum_t<T> passed_gradient(const ChannelMap<accum_t<T>, N>& map, T x, T y, T dy, int k) {
  using A = accum_t<T>;
  if constexpr (passed == Passed::read) return widen(y) > A(0) ? widen(dy) : A(0);
  if constexpr (passed == Passed::recomputed) return map(widen(x), k) > A(0) ? widen(dy) : A(0);
  return widen(dy);
}

/// What K rows of a column hold, loaded together.
template <int K, class T, int N>
struct GradientRows {
  Vec<T, N> x[K], y[K], dy[K];
};

/// partial[slice][channel] = {sum of g, sum of g (x - mean)}, g being the gradient that passed the ReLU,
/// which is also written to `masked` unless that is null. dy and masked may be the same memory.
template <class T, int N, Passed passed>
__global__ void __launch_bounds__(256, 2)
    batch_norm_partial_sums(const T* __restrict__ x, const T* __restrict__ y, const T* dy, T* masked,
                            Moments* __restrict__ partial, long long rows, long long groups,
                            long long slice_rows, BatchNormChannels<accum_t<T>> channels) {
  using A = accum_t<T>;
  const long long group = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x,
                  begin = blockIdx.y * slice_rows,
                  end = begin + slice_rows < rows ? begin + slice_rows : rows;
  double total[2 * N] = {};  // g, then g (x - mean)
  if (group < groups) {
    constexpr int K = N == 8 ? 2 : 4;
    const ChannelMap<A, N> map(channels, group * N);
    const long long stride = blockDim.y;
    for (long long row = begin + threadIdx.y; row < end; row += K * stride) {
      GradientRows<K, T, N> in;
#pragma unroll
      for (int q = 0; q < K; ++q)
        if (const long long i = row + q * stride; i < end) {
          in.x[q] = load_vec<N>(x, i * groups + group);
          in.dy[q] = load_vec<N>(dy, i * groups + group);
          if constexpr (passed == Passed::read) in.y[q] = load_vec<N>(y, i * groups + group);
        }
      A sum[N] = {}, product[N] = {};
#pragma unroll
      for (int q = 0; q < K; ++q)
        if (const long long i = row + q * stride; i < end) {
#pragma unroll
          for (int k = 0; k < N; ++k) {
            const A d = passed_gradient<passed>(map, in.x[q][k], in.y[q][k], in.dy[q][k], k);
            sum[k] += d;
            product[k] += d * (widen(in.x[q][k]) - map.mean[k]);
            in.dy[q][k] = narrow<T>(d);
          }
          if constexpr (passed != Passed::everywhere)
            if (masked) store_vec(masked, i * groups + group, in.dy[q]);
        }
#pragma unroll
      for (int k = 0; k < N; ++k) {
        total[k] += sum[k];
        total[N + k] += product[k];
      }
    }
  }
  add_rows(total);
  if (threadIdx.y == 0 && group < groups)
#pragma unroll
    for (int k = 0; k < N; ++k) partial[(blockIdx.y * groups + group) * N + k] = {total[k], total[N + k]};
}

/// Adds the slices: blocks of 32 x 32 threads, channels across, slices down.
template <class P>
__global__ void __launch_bounds__(1024)
    batch_norm_join_sums(const Moments* __restrict__ partial, long long channels, long long slices,
                         const P* __restrict__ inverse, P* dgamma, P* dbeta) {
  KFER_SHARED(double, sums, [2][32][33]);
  const long long c = static_cast<long long>(blockIdx.x) * 32 + threadIdx.x;
  double g = 0, gx = 0;
  if (c < channels)
    for (long long s = threadIdx.y; s < slices; s += 32) {
      g += partial[s * channels + c].mean;
      gx += partial[s * channels + c].squares;
    }
  sums[0][threadIdx.y][threadIdx.x] = g;
  sums[1][threadIdx.y][threadIdx.x] = gx;
  __syncthreads();
  if (threadIdx.y > 0 || c >= channels) return;
  for (int y = 1; y < 32; ++y) {
    g += sums[0][y][threadIdx.x];
    gx += sums[1][y][threadIdx.x];
  }
  dbeta[c] = static_cast<P>(g);
  dgamma[c] = static_cast<P>(gx * inverse[c]);
}

/// dx = scale * (g - dbeta / n - (x - mean) * inverse * dgamma / n), n the number of rows; `centred` false
/// (frozen statistics): dx = scale * g. Writes g to `masked` unless that is null. dx, or masked, may be dy's
/// memory; dx may be null.
template <class T, int N, Passed passed, bool centred>
__global__ void __launch_bounds__(256)
    batch_norm_gradient_kernel(const T* __restrict__ x, const T* __restrict__ y, const T* dy, T* dx,
                               T* masked, long long rows, long long groups,
                               BatchNormChannels<accum_t<T>> channels, const accum_t<T>* __restrict__ dgamma,
                               const accum_t<T>* __restrict__ dbeta) {
  using A = accum_t<T>;
  const long long group = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (group >= groups) return;
  const ChannelMap<A, N> map(channels, group * N);
  A offset[centred ? N : 1] = {}, slope[centred ? N : 1] = {};
  if constexpr (centred) {
    const A n = static_cast<A>(rows);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      offset[k] = dbeta[group * N + k] / n;
      slope[k] = dgamma[group * N + k] * channels.inverse[group * N + k] / n;
    }
  }
  constexpr bool reads_x = centred || passed == Passed::recomputed;
  constexpr int K = 2;
  const long long stride = static_cast<long long>(gridDim.y) * blockDim.y;
  for (long long row = static_cast<long long>(blockIdx.y) * blockDim.y + threadIdx.y; row < rows;
       row += K * stride) {
    GradientRows<K, T, N> in;
#pragma unroll
    for (int q = 0; q < K; ++q)
      if (const long long i = row + q * stride; i < rows) {
        in.dy[q] = load_vec<N>(dy, i * groups + group);
        if constexpr (reads_x) in.x[q] = load_vec<N>(x, i * groups + group);
        if constexpr (passed == Passed::read) in.y[q] = load_vec<N>(y, i * groups + group);
      }
#pragma unroll
    for (int q = 0; q < K; ++q)
      if (const long long i = row + q * stride; i < rows) {
        Vec<T, N> out;
#pragma unroll
        for (int k = 0; k < N; ++k) {
          A d = passed_gradient<passed>(map, in.x[q][k], in.y[q][k], in.dy[q][k], k);
          in.dy[q][k] = narrow<T>(d);
          if constexpr (centred) d = d - offset[k] - (widen(in.x[q][k]) - map.mean[k]) * slope[k];
          out[k] = narrow<T>(d * map.scale[k]);
        }
        if (masked) store_vec(masked, i * groups + group, in.dy[q]);
        if (dx) store_vec(dx, i * groups + group, out);
      }
  }
}

KFER_KERNELS_END
