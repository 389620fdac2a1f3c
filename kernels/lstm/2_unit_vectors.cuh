// The pointwise half of an LSTM cell, a thread a vector of hidden units.
//
// The one idea: 16 bytes of neighbouring units at once. Each of the four gates, and every other operand, is
// one wide access (two where c is float beside bf16), all issued before the first exponential, so that a
// thread has five to eight of them in flight, and one division by `hidden` serves the vector. Blocks of 256
// threads in a grid-stride loop. Bytes as in 1_naive.cuh; the exponentials, five a unit, hide behind them.
#pragma once

#include "../common/nhwc.cuh"
#include "1_naive.cuh"

KFER_KERNELS_BEGIN

/// N numbers from p[at] on, widened, in accesses of at most 16 bytes; zeros if p is null.
template <class A, int N, class T>
__device__ inline void load_units(const T* p, long long at, A (&out)[N]) {
  constexpr int M = N < vec_width<T> ? N : vec_width<T>;
  if (!p) {
#pragma unroll
    for (int k = 0; k < N; ++k) out[k] = A(0);
    return;
  }
#pragma unroll
  for (int part = 0; part < N / M; ++part) {
    const Vec<T, M> v = load_vec<M>(p + at, part);
#pragma unroll
    for (int k = 0; k < M; ++k) out[part * M + k] = widen(v[k]);
  }
}
/// The reverse; nothing if p is null.
template <class A, int N, class T>
__device__ inline void store_units(T* p, long long at, const A (&in)[N]) {
  constexpr int M = N < vec_width<T> ? N : vec_width<T>;
  if (!p) return;
#pragma unroll
  for (int part = 0; part < N / M; ++part) {
    Vec<T, M> v;
#pragma unroll
    for (int k = 0; k < M; ++k) v[k] = narrow<T>(in[part * M + k]);
    store_vec(p + at, part, v);
  }
}

template <class T, class S, int N, class Index>
__global__ void __launch_bounds__(256)
    lstm_units(const T* p, const T* __restrict__ bias, const S* __restrict__ c_prev, T* __restrict__ h,
               S* __restrict__ c, T* gates, Divider<Index> groups, long long hidden, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    Index group;
    const Index row = groups.divide(item, group);
    const long long j = static_cast<long long>(group) * N, at = row * 4 * hidden + j, unit = row * hidden + j;
    A pre[4][N], offset[4][N], old[N], out_h[N], out_c[N];
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) load_units(p, at + gate * hidden, pre[gate]);
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) load_units(bias, gate * hidden + j, offset[gate]);
    load_units(c_prev, unit, old);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const auto u = LstmUnit<A>::forward(pre[0][k] + offset[0][k], pre[1][k] + offset[1][k],
                                          pre[2][k] + offset[2][k], pre[3][k] + offset[3][k], old[k]);
      pre[0][k] = u.i;
      pre[1][k] = u.f;
      pre[2][k] = u.g;
      pre[3][k] = u.o;
      out_h[k] = u.h;
      out_c[k] = u.c;
    }
    store_units(h, unit, out_h);
    store_units(c, unit, out_c);
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) store_units(gates, at + gate * hidden, pre[gate]);
  });
}

template <class T, class S, int N, class Index>
__global__ void __launch_bounds__(256)
    lstm_units_backward(const T* gates, const S* __restrict__ c, const S* __restrict__ c_prev,
                        const T* __restrict__ dh, const S* dc, T* dp, S* dc_prev, Divider<Index> groups,
                        long long hidden, Index items) {
  using A = accum_t<T>;
  for_each_item(items, [&](Index item) {
    Index group;
    const Index row = groups.divide(item, group);
    const long long j = static_cast<long long>(group) * N, at = row * 4 * hidden + j, unit = row * hidden + j;
    A gate_values[4][N], state[N], old[N], grad_h[N], grad_c[N];
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) load_units(gates, at + gate * hidden, gate_values[gate]);
    load_units(c, unit, state);
    load_units(c_prev, unit, old);
    load_units(dh, unit, grad_h);
    load_units(dc, unit, grad_c);
#pragma unroll
    for (int k = 0; k < N; ++k) {
      const LstmUnit<A> u{gate_values[0][k], gate_values[1][k], gate_values[2][k],
                          gate_values[3][k], state[k],          0};
      const auto d = LstmUnit<A>::backward(u, old[k], grad_h[k], grad_c[k]);
      gate_values[0][k] = d.i;
      gate_values[1][k] = d.f;
      gate_values[2][k] = d.g;
      gate_values[3][k] = d.o;
      grad_c[k] = d.c;
    }
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) store_units(dp, at + gate * hidden, gate_values[gate]);
    store_units(dc_prev, unit, grad_c);
  });
}

KFER_KERNELS_END
