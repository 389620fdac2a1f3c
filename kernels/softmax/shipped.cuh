// The softmax that ships: 4_warp for rows of up to 1024 elements (512 doubles), 3_online for longer ones.
#pragma once

#include "3_online.cuh"
#include "4_warp.cuh"

KFER_KERNELS_BEGIN

/// y = softmax(x), or its logarithm, of every one of `rows` rows of `cols` elements.
template <class T>
void softmax_forward(const T* x, T* y, long long rows, long long cols, bool logarithm, Stream stream) {
  (cols <= longest_tile_row<T> ? softmax_warp<T> : softmax_online<T>)(x, y, rows, cols, logarithm, stream);
}

/// dx from the result y and its gradient dy.
template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, long long rows, long long cols, bool logarithm,
                      Stream stream) {
  (cols <= longest_tile_row<T> ? softmax_backward_warp<T> : softmax_backward_online<T>)(y, dy, dx, rows, cols,
                                                                                        logarithm, stream);
}

KFER_KERNELS_END
