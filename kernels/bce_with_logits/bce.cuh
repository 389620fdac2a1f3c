// Binary cross-entropy of sigmoid(x) against a target t in [0, 1], w being the weight of targets of 1:
//
//   loss = -(w t log s + (1 - t) log(1 - s)) = (1 - t) x + (1 + (w - 1) t) (log1p(exp(-|x|)) + max(-x, 0))
//
// which never takes the exponential of a positive number, nor the logarithm of a small one.
#pragma once

#include <cmath>

#include "../common/device.cuh"

KFER_KERNELS_BEGIN

struct Bce {
  template <class A>
  __device__ static bool accepts(A t) {
    return t >= A(0) && t <= A(1);
  }
  template <class A>
  __device__ static A value(A x, A t, A w) {
    const A softplus = std::log1p(std::exp(-std::abs(x))) + (x < A(0) ? -x : A(0));
    return (A(1) - t) * x + (A(1) + (w - A(1)) * t) * softplus;
  }
  template <class A>
  __device__ static A derivative(A x, A t, A w) {
    const A e = std::exp(-std::abs(x)), below = A(1) / (A(1) + e), above = e * below;
    const A sigmoid = x < A(0) ? above : below, rest = x < A(0) ? below : above;  // rest = 1 - sigmoid
    return (A(1) - t) * sigmoid - w * t * rest;
  }
};

KFER_KERNELS_END
