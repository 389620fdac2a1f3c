// Adam's step on the Cpu: one pass over weights, gradients and moments, as fast as memory delivers them.
#pragma once

#include "kfer/optim/adam.hpp"
#include "kfer/optim/simd_sqrt.hpp"
#include "kfer/optim/step_cpu.hpp"

namespace kfer {
namespace detail {

template <class X>
X adam_sqrt(X x) {
  if constexpr (std::floating_point<X>)
    return std::sqrt(x);
  else
    return simd_sqrt(x);
}

/// The update of one element, or of one vector of them: X is T or a vector of T.
template <bool Amsgrad, class X, class T>
[[gnu::always_inline]] inline void adam_update(X& w, X g, X& m, X& v, X* v_max, T grad_scale, T l2, T keep,
                                               T rate, T root_scale, T epsilon, T rest1, T beta2, T rest2) {
  g = g * grad_scale + w * l2;
  m += (g - m) * rest1;
  v = v * beta2 + g * g * rest2;
  X root = v;
  if constexpr (Amsgrad) {
    *v_max = root = *v_max > v ? *v_max : v;  // a NaN in v wins
  }
  w = w * keep - m * rate / (adam_sqrt(root) * root_scale + epsilon);
}

template <bool Amsgrad, class T>
void adam_piece(const ParameterPiece<T>& p, const AdamCoefficients& c) {
  T *w = p.weight, *m = p.moments[0], *v = p.moments[1], *v_max = p.moments[2];
  const T* g = p.grad;
  const T grad_scale = T(c.grad_scale), l2 = T(c.l2), keep = T(c.keep), rate = T(c.rate),
          root_scale = T(c.root_scale), epsilon = T(c.epsilon), rest1 = T(1 - c.beta1), beta2 = T(c.beta2),
          rest2 = T(1 - c.beta2);
  std::int64_t i = 0;
  if constexpr (std::is_same_v<T, float>) {
    constexpr int width = simd_width;
    using X = simd_f32<width>;
    for (; i + width <= p.count; i += width) {
      X wi = simd_load<width>(w + i), mi = simd_load<width>(m + i), vi = simd_load<width>(v + i), largest{};
      if constexpr (Amsgrad) largest = simd_load<width>(v_max + i);
      adam_update<Amsgrad>(wi, simd_load<width>(g + i), mi, vi, &largest, grad_scale, l2, keep, rate,
                           root_scale, epsilon, rest1, beta2, rest2);
      simd_store<width>(w + i, wi);
      simd_store<width>(m + i, mi);
      simd_store<width>(v + i, vi);
      if constexpr (Amsgrad) simd_store<width>(v_max + i, largest);
    }
  }
  for (; i < p.count; ++i)
    adam_update<Amsgrad>(w[i], g[i], m[i], v[i], Amsgrad ? v_max + i : nullptr, grad_scale, l2, keep, rate,
                         root_scale, epsilon, rest1, beta2, rest2);
}

}  // namespace detail

template <class T>
void step_piece(const ParameterPiece<T>& piece, const AdamCoefficients& c) {
  c.amsgrad ? detail::adam_piece<true>(piece, c) : detail::adam_piece<false>(piece, c);
}

}  // namespace kfer
