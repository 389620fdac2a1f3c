// The mean squared error and its gradient in one pass, eight elements a thread: 3 n sizeof(T) bytes, the
// floor. The pass is that of pointwise_loss in common/loss_sum.cuh.
#pragma once

#include "../common/loss_sum.cuh"

KFER_KERNELS_BEGIN

struct SquaredError {
  template <class A>
  __device__ static bool accepts(A) {
    return true;
  }
  template <class A>
  __device__ static A value(A x, A t, A) {
    return (x - t) * (x - t);
  }
  template <class A>
  __device__ static A derivative(A x, A t, A) {
    return A(2) * (x - t);
  }
};

KFER_KERNELS_END
