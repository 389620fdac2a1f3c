// The activations that dropout's kernels apply on the way, with their derivatives from the input alone: what
// forward computed is computed again rather than stored.
#pragma once

#include <cmath>

#include "../common/device.cuh"

KFER_KERNELS_BEGIN

enum class Activation { none, relu, gelu, silu, sigmoid, tanh };

struct NoActivation {
  template <class A>
  __device__ static A value(A x) {
    return x;
  }
  template <class A>
  __device__ static A derivative(A) {
    return A(1);
  }
};
struct Relu {
  template <class A>
  __device__ static A value(A x) {
    return x < A(0) ? A(0) : x;  // a NaN stays one
  }
  template <class A>
  __device__ static A derivative(A x) {
    return x > A(0) ? A(1) : A(0);
  }
};
struct Sigmoid {
  template <class A>
  __device__ static A value(A x) {
    return A(1) / (A(1) + std::exp(-x));
  }
  template <class A>
  __device__ static A derivative(A x) {
    const A s = value(x);
    return s * (A(1) - s);
  }
};
struct Tanh {
  template <class A>
  __device__ static A value(A x) {
    return std::tanh(x);
  }
  template <class A>
  __device__ static A derivative(A x) {
    const A t = std::tanh(x);
    return A(1) - t * t;
  }
};
/// x Phi(x), in the exact form.
struct Gelu {
  template <class A>
  __device__ static A value(A x) {
    return A(0.5) * x * std::erfc(-x * A(0.70710678118654752));
  }
  template <class A>
  __device__ static A derivative(A x) {
    return A(0.5) * std::erfc(-x * A(0.70710678118654752)) +
           x * A(0.39894228040143268) * std::exp(A(-0.5) * x * x);
  }
};
/// x sigmoid(x).
struct Silu {
  template <class A>
  __device__ static A value(A x) {
    return x * Sigmoid::value(x);
  }
  template <class A>
  __device__ static A derivative(A x) {
    const A s = Sigmoid::value(x);
    return s * (A(1) + x * (A(1) - s));
  }
};

/// Calls `f` with the functor of `activation`.
template <class F>
void with_activation(Activation activation, const F& f) {
  switch (activation) {
    case Activation::none:
      return f(NoActivation{});
    case Activation::relu:
      return f(Relu{});
    case Activation::gelu:
      return f(Gelu{});
    case Activation::silu:
      return f(Silu{});
    case Activation::sigmoid:
      return f(Sigmoid{});
    case Activation::tanh:
      return f(Tanh{});
  }
}

KFER_KERNELS_END
