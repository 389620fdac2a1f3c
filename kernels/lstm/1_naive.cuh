// The pointwise half of an LSTM cell (Hochreiter and Schmidhuber, 1997) by its definition: a thread a hidden
// unit of a sequence.
//
// The other half is two matrix products, p = x W^T + h_prev U^T [batch, 4 hidden], whose columns are the
// gates i, f, g, o in PyTorch's order. With p + bias:
//   i, f, o = sigmoid, g = tanh;   c = f c_prev + i g;   h = o tanh(c)
// The activated gates are kept for the backward pass:
//   dc = dc_next + dh o (1 - tanh(c)^2);   dc_prev = dc f
//   di = dc g i (1 - i);   df = dc c_prev f (1 - f);   dg = dc i (1 - g^2);   do = dh tanh(c) o (1 - o)
// h and the gates have the element type T; the cell state c may have another, S: it is a running sum over all
// steps, and bf16, of eight bits, would stop adding to it; float is the choice then.
//
// Blocks of 256 threads; a row's neighbours are neighbours in all four gates, so accesses are coalesced. One
// fused pass where a chain of operations would make a dozen. Elements moved a unit: forward 4 + 1 read and 6
// written, backward 4 + 4 read and 5 written.
#pragma once

#include <cmath>

#include "../common/bf16.cuh"

KFER_KERNELS_BEGIN

template <class A>
__device__ inline A lstm_sigmoid(A x) {
  return A(1) / (A(1) + std::exp(-x));  // exp overflows to infinity for large -x: 0, as it should be
}

/// One hidden unit: all that the cell computes.
template <class A>
struct LstmUnit {
  A i, f, g, o;  ///< activated
  A c, h;

  /// From the four pre-activations and the previous cell state.
  __device__ static LstmUnit forward(A pi, A pf, A pg, A po, A c_prev) {
    LstmUnit u;
    u.i = lstm_sigmoid(pi);
    u.f = lstm_sigmoid(pf);
    u.g = std::tanh(pg);
    u.o = lstm_sigmoid(po);
    u.c = u.f * c_prev + u.i * u.g;
    u.h = u.o * std::tanh(u.c);
    return u;
  }
  /// The gradients of the pre-activations and, as `c`, of the previous cell state. `h` is not used.
  __device__ static LstmUnit backward(const LstmUnit& u, A c_prev, A dh, A dc_next) {
    const A t = std::tanh(u.c), dc = dc_next + dh * u.o * (A(1) - t * t);
    LstmUnit d;
    d.i = dc * u.g * u.i * (A(1) - u.i);
    d.f = dc * c_prev * u.f * (A(1) - u.f);
    d.g = dc * u.i * (A(1) - u.g * u.g);
    d.o = dh * t * u.o * (A(1) - u.o);
    d.c = dc * u.f;
    d.h = 0;
    return d;
  }
};

/// bias [4 hidden] and c_prev may be null: zeros. `gates` may be `p` itself, or null: not kept.
template <class T, class S>
__global__ void lstm_naive(const T* p, const T* bias, const S* c_prev, T* h, S* c, T* gates, long long batch,
                           long long hidden) {
  using A = accum_t<T>;
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= batch * hidden) return;
  const long long j = item % hidden, at = item / hidden * 4 * hidden + j;
  const auto pre = [&](int gate) {
    return widen(p[at + gate * hidden]) + (bias ? widen(bias[gate * hidden + j]) : A(0));
  };
  const auto u = LstmUnit<A>::forward(pre(0), pre(1), pre(2), pre(3), c_prev ? widen(c_prev[item]) : A(0));
  h[item] = narrow<T>(u.h);
  c[item] = narrow<S>(u.c);
  if (!gates) return;
  gates[at] = narrow<T>(u.i);
  gates[at + hidden] = narrow<T>(u.f);
  gates[at + 2 * hidden] = narrow<T>(u.g);
  gates[at + 3 * hidden] = narrow<T>(u.o);
}

/// c_prev, dh and dc may be null: zeros; dc_prev may be null: not wanted. dp may be `gates` itself, dc_prev
/// `dc`.
template <class T, class S>
__global__ void lstm_naive_backward(const T* gates, const S* c, const S* c_prev, const T* dh, const S* dc,
                                    T* dp, S* dc_prev, long long batch, long long hidden) {
  using A = accum_t<T>;
  const long long item = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= batch * hidden) return;
  const long long at = item / hidden * 4 * hidden + item % hidden;
  LstmUnit<A> u;
  u.i = widen(gates[at]);
  u.f = widen(gates[at + hidden]);
  u.g = widen(gates[at + 2 * hidden]);
  u.o = widen(gates[at + 3 * hidden]);
  u.c = widen(c[item]);
  u.h = 0;
  const auto d = LstmUnit<A>::backward(u, c_prev ? widen(c_prev[item]) : A(0), dh ? widen(dh[item]) : A(0),
                                       dc ? widen(dc[item]) : A(0));
  dp[at] = narrow<T>(d.i);
  dp[at + hidden] = narrow<T>(d.f);
  dp[at + 2 * hidden] = narrow<T>(d.g);
  dp[at + 3 * hidden] = narrow<T>(d.o);
  if (dc_prev) dc_prev[item] = narrow<S>(d.c);
}

KFER_KERNELS_END
