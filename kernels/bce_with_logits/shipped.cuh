// The binary cross-entropy that ships: 2_fused.
#pragma once

#include "2_fused.cuh"

KFER_KERNELS_BEGIN

/// *loss = the mean over n >= 1 elements of the binary cross-entropy of sigmoid(x) against targets in [0, 1];
/// `gradient` (or null) becomes its gradient. `weights` (or null): of targets of 1, one for each of
/// `channels`, the fastest dimension. *status becomes loss_is_fine, or the index of the first target outside
/// of [0, 1]; *loss is then a NaN.
template <class T>
void bce_with_logits(const T* x, const T* target, const T* weights, T* gradient, long long n,
                     long long channels, T* loss, long long* status, LossWorkspace* workspace,
                     Stream stream) {
  bce_with_logits_fused(x, target, weights, gradient, n, channels, loss, status, workspace, stream);
}

KFER_KERNELS_END
