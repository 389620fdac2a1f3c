// Loss and gradient in one pass, eight elements a thread.
//
// x and the targets are read once, the gradient is written once: 3 n sizeof(T) bytes, the floor; without a
// gradient 2 n. The exponential serves both. Every thread adds up in double what its groups of eight come to;
// a block writes one number, and one block joins them in order: the same bits in every run. Targets are
// checked on the way. See pointwise_loss in common/loss_sum.cuh.
#pragma once

#include "../common/loss_sum.cuh"
#include "bce.cuh"

KFER_KERNELS_BEGIN

/// The mean over n >= 1 elements. `weights` [channels], `gradient` may be null; *status as loss_sum.cuh says.
template <class T>
void bce_with_logits_fused(const T* x, const T* target, const T* weights, T* gradient, long long n,
                           long long channels, T* loss, long long* status, LossWorkspace* workspace,
                           Stream stream) {
  pointwise_loss<T, Bce>(x, target, weights, gradient, n, channels, loss, status, workspace, stream);
}

KFER_KERNELS_END
