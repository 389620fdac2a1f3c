// The mean squared error that ships: 1_fused.
#pragma once

#include "1_fused.cuh"

KFER_KERNELS_BEGIN

/// *loss = the mean over n >= 1 elements of (x - target)^2; `gradient` (or null) becomes its gradient.
template <class T>
void mse(const T* x, const T* target, T* gradient, long long n, T* loss, long long* status,
         LossWorkspace* workspace, Stream stream) {
  pointwise_loss<T, SquaredError>(x, target, nullptr, gradient, n, 1, loss, status, workspace, stream);
}

KFER_KERNELS_END
