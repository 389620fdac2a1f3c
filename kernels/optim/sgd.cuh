// The update of stochastic gradient descent, element by element:
//
//   g = grad_scale grad + l2 w;  with momentum: u = momentum u + fresh g, g = nesterov ? g + momentum u : u
//   w -= lr g
//
// Moves 12 bytes an element of float, 20 with momentum.
#pragma once

#include "current.cuh"

KFER_KERNELS_BEGIN

struct SgdCoefficients {
  double grad_scale, l2, momentum, fresh, lr;
  bool nesterov;
};

/// One step's numbers, in the type of the weights. The moment is u. C: any struct with the numbers of
/// SgdCoefficients.
template <class T, class G, class C = SgdCoefficients>
struct SgdRule {
  using Coefficients = C;
  using Entry = StepEntry<T, G, 1>;
  static constexpr int width = vec_width<T>;

  T grad_scale, l2, momentum, fresh, lr;
  bool nesterov;

  __device__ explicit SgdRule(const Current<Coefficients>& now)
      : grad_scale(T(now.grad_scale())),
        l2(T(now(&Coefficients::l2))),
        momentum(T(now(&Coefficients::momentum))),
        fresh(T(now(&Coefficients::fresh))),
        lr(T(now(&Coefficients::lr))),
        nesterov(now(&Coefficients::nesterov)) {}

  template <int N>
  __device__ void update(const Entry& e, long long at) const {
    T* const velocity = e.moment[0];
    Vec<T, N> w = load_vec<N>(e.weight + at, 0), u = {};
    const Vec<G, N> grad = load_vec<N>(e.grad + at, 0);
    if (velocity) u = load_vec<N>(velocity + at, 0);
    Vec<bf16, N> copy;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      T g = T(widen(grad[j])) * grad_scale + w[j] * l2;
      if (velocity) {
        u[j] = momentum * u[j] + fresh * g;
        g = nesterov ? g + momentum * u[j] : u[j];
      }
      w[j] -= lr * g;
      copy[j] = narrow<bf16>(static_cast<float>(w[j]));
    }
    store_vec<N>(e.weight + at, 0, w);
    if (velocity) store_vec<N>(velocity + at, 0, u);
    if (e.copy) store_vec<N>(e.copy + at, 0, copy);
  }
};

KFER_KERNELS_END
