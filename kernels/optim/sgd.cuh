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

/// One step's numbers, in the type of the weights. T: weights and velocity, float or double; G: gradients.
template <class T, class G>
struct SgdRule {
  using Coefficients = SgdCoefficients;
  struct Entry {
    T* weight;
    const G* grad;
    T* u;        ///< null without momentum
    bf16* copy;  ///< becomes the weight rounded to bf16; may be null
    long long count;
  };
  static constexpr int width = vec_width<T>;

  T grad_scale, l2, momentum, fresh, lr;
  bool nesterov;

  __device__ explicit SgdRule(const Current<Coefficients>& now)
      : grad_scale(T(now(&Coefficients::grad_scale))),
        l2(T(now(&Coefficients::l2))),
        momentum(T(now(&Coefficients::momentum))),
        fresh(T(now(&Coefficients::fresh))),
        lr(T(now(&Coefficients::lr))),
        nesterov(now(&Coefficients::nesterov)) {}

  __device__ static bool vectors(const Entry& e) {
    return multiple_of<16>(e.weight) && multiple_of<16>(e.u) && multiple_of<width * sizeof(G)>(e.grad) &&
           multiple_of<width * sizeof(bf16)>(e.copy);
  }

  template <int N>
  __device__ void update(const Entry& e, long long at) const {
    Vec<T, N> w = load_vec<N>(e.weight + at, 0), u = {};
    const Vec<G, N> grad = load_vec<N>(e.grad + at, 0);
    if (e.u) u = load_vec<N>(e.u + at, 0);
    Vec<bf16, N> copy;
#pragma unroll
    for (int j = 0; j < N; ++j) {
      T g = T(widen(grad[j])) * grad_scale + w[j] * l2;
      if (e.u) {
        u[j] = momentum * u[j] + fresh * g;
        g = nesterov ? g + momentum * u[j] : u[j];
      }
      w[j] -= lr * g;
      copy[j] = narrow<bf16>(static_cast<float>(w[j]));
    }
    store_vec<N>(e.weight + at, 0, w);
    if (e.u) store_vec<N>(e.u + at, 0, u);
    if (e.copy) store_vec<N>(e.copy + at, 0, copy);
  }
};

KFER_KERNELS_END
