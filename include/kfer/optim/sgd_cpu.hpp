// The step of stochastic gradient descent on the Cpu: one pass over memory.
#pragma once

#include "kfer/optim/sgd.hpp"
#include "kfer/optim/step_cpu.hpp"

namespace kfer {
namespace detail {

template <bool Nesterov, class T>
void sgd_with_momentum(const ParameterPiece<T>& p, const SgdCoefficients& c) {
  T *w = p.weight, *u = p.moments[0];
  const T* grad = p.grad;
  const T scale = T(c.grad_scale), l2 = T(c.l2), momentum = T(c.momentum), fresh = T(c.fresh), lr = T(c.lr);
#pragma omp simd
  for (std::int64_t i = 0; i < p.count; ++i) {
    const T g = grad[i] * scale + w[i] * l2;
    u[i] = momentum * u[i] + fresh * g;
    w[i] -= lr * (Nesterov ? g + momentum * u[i] : u[i]);
  }
}

}  // namespace detail

template <class T>
void step_piece(const ParameterPiece<T>& p, const SgdCoefficients& c) {
  if (p.moments[0])
    return c.nesterov ? detail::sgd_with_momentum<true>(p, c) : detail::sgd_with_momentum<false>(p, c);
  T* w = p.weight;
  const T* grad = p.grad;
  const T scale = T(c.grad_scale), l2 = T(c.l2), lr = T(c.lr);
#pragma omp simd
  for (std::int64_t i = 0; i < p.count; ++i) w[i] -= lr * (grad[i] * scale + w[i] * l2);
}

}  // namespace kfer
