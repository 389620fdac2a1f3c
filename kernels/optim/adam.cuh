// The update of Adam, AdamW and AMSGrad, element by element:
//
//   g = grad_scale grad + l2 w,  m += (1 - beta1)(g - m),  v = beta2 v + (1 - beta2) g^2
//   w = keep w - rate m / (sqrt(v) root_scale + epsilon),  with the largest v so far in place of v for
//   AMSGrad
//
// Reads w, g, m, v and writes w, m, v: 28 bytes an element of float (36 with AMSGrad; 28 as well with
// gradients in bf16 and a copy of the weight in bf16, which is written in the same pass). Some 15 operations:
// bound by memory.
#pragma once

#include <cmath>

#include "current.cuh"

KFER_KERNELS_BEGIN

struct AdamCoefficients {
  double grad_scale, l2, keep, rate, root_scale, epsilon, beta1, beta2;
  bool amsgrad;  ///< unused here: an entry with a third moment asks for it
};

/// One step's numbers, in the type of the weights. Moments: m, v and, for AMSGrad, the largest v. C: any
/// struct with the numbers of AdamCoefficients.
template <class T, class G, class C = AdamCoefficients>
struct AdamRule {
  using Coefficients = C;
  using Entry = StepEntry<T, G, 3>;
  static constexpr int width = vec_width<T>;

  T grad_scale, l2, keep, rate, root_scale, epsilon, rest1, beta2, rest2;

  __device__ explicit AdamRule(const Current<Coefficients>& now)
      : grad_scale(T(now.grad_scale())),
        l2(T(now(&Coefficients::l2))),
        keep(T(now(&Coefficients::keep))),
        rate(T(now(&Coefficients::rate))),
        root_scale(T(now(&Coefficients::root_scale))),
        epsilon(T(now(&Coefficients::epsilon))),
        rest1(T(1 - now(&Coefficients::beta1))),
        beta2(T(now(&Coefficients::beta2))),
        rest2(T(1 - now(&Coefficients::beta2))) {}

  /// Elements [at, at + N).
  template <int N>
  __device__ void update(const Entry& e, long long at) const {
    T* const v_max = e.moment[2];
    Vec<T, N> w = load_vec<N>(e.weight + at, 0), m = load_vec<N>(e.moment[0] + at, 0),
              v = load_vec<N>(e.moment[1] + at, 0), top = {};
    const Vec<G, N> grad = load_vec<N>(e.grad + at, 0);
    if (v_max) top = load_vec<N>(v_max + at, 0);
    Vec<bf16, N> copy;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      const T g = T(widen(grad[j])) * grad_scale + w[j] * l2;
      m[j] += (g - m[j]) * rest1;
      v[j] = v[j] * beta2 + g * g * rest2;
      T root = v[j];
      if (v_max) top[j] = root = top[j] > root ? top[j] : root;  // a NaN in v wins
      w[j] = w[j] * keep - m[j] * rate / (std::sqrt(root) * root_scale + epsilon);
      copy[j] = narrow<bf16>(static_cast<float>(w[j]));
    }
    store_vec<N>(e.weight + at, 0, w);
    store_vec<N>(e.moment[0] + at, 0, m);
    store_vec<N>(e.moment[1] + at, 0, v);
    if (v_max) store_vec<N>(v_max + at, 0, top);
    if (e.copy) store_vec<N>(e.copy + at, 0, copy);
  }
};

KFER_KERNELS_END
