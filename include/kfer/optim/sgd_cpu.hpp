// The step of stochastic gradient descent on the Cpu: one pass over memory.
#pragma once

#include "kfer/core/parallel.hpp"
#include "kfer/device/cpu.hpp"
#include "kfer/optim/sgd.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <class T>
requires std::floating_point<T>
struct sgd_impl<T, Cpu> {
  static constexpr std::int64_t piece_size = 16384;

  static void run(std::span<const ParameterPiece<T>> pieces, const SgdCoefficients& c) {
    parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t i) {
      const auto& piece = pieces[static_cast<std::size_t>(i)];
      if (c.momentum == 0)
        plain(piece, c);
      else
        c.nesterov ? with_momentum<true>(piece, c) : with_momentum<false>(piece, c);
    });
  }

 private:
  static void plain(const ParameterPiece<T>& p, const SgdCoefficients& c) {
    T* w = p.weight;
    const T* grad = p.grad;
    const T scale = T(c.grad_scale), l2 = T(c.l2), lr = T(c.lr);
#pragma omp simd
    for (std::int64_t i = 0; i < p.count; ++i) w[i] -= lr * (grad[i] * scale + w[i] * l2);
  }
  template <bool Nesterov>
  static void with_momentum(const ParameterPiece<T>& p, const SgdCoefficients& c) {
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
};

}  // namespace kfer
