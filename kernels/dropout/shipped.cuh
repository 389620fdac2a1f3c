// The dropout that ships: 3_vectorised, with a bias and an activation on the way.
#pragma once

#include "3_vectorised.cuh"

KFER_KERNELS_BEGIN

/// y = act(x + bias) * scale where kept, else 0, over n elements of which `channels` (>= 1) is the fastest
/// dimension. `bias` [channels] and `mask` may be null; y may be x. In that order elements are numbered for
/// the mask.
template <class T>
void bias_activation_dropout(const T* x, const T* bias, T* y, long long n, long long channels,
                             Activation activation, const Dropout* mask, Stream stream) {
  dropout_vectorised(x, bias, y, n, channels, activation, mask, stream);
}

/// dx = dy * scale * act'(x + bias) where kept, else 0. Without an activation x and bias may be null. dx may
/// be dy.
template <class T>
void bias_activation_dropout_backward(const T* x, const T* bias, const T* dy, T* dx, long long n,
                                      long long channels, Activation activation, const Dropout* mask,
                                      Stream stream) {
  dropout_backward_vectorised(x, bias, dy, dx, n, channels, activation, mask, stream);
}

/// dx = dy * scale where y > 0, else 0: the gradient of ReLU, or of ReLU and dropout, from the result. dx may
/// be dy.
template <class T>
void relu_dropout_backward(const T* y, const T* dy, T* dx, long long n, accum_t<T> scale, Stream stream) {
  if (n == 0) return;
  launch(relu_dropout_backward_kernel<T>, dim3(grid_blocks(div_up(n, 8), 256)), dim3(256), 0, stream, y, dy,
         dx, n, scale, aligned16(y, dy, dx));
}

KFER_KERNELS_END
