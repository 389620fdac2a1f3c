// The convolutions that ship.
#pragma once

#include "4_double_buffer.cuh"
#include "passes.cuh"

KFER_KERNELS_BEGIN

/// y = relu(x * w + bias), bias (null: none) and ReLU if asked for.
template <class T>
void conv2d_forward(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* y,
                    Stream stream) {
  conv_forward_by<ConvDoubleBuffer>(s, x, w, bias, relu, y, stream);
}

/// dx from w and dy. Every element of dx is written.
template <class T>
void conv2d_backward_data(const ConvShape& s, const T* w, const T* dy, T* dx, Stream stream) {
  conv_backward_data_by<ConvDoubleBuffer>(s, w, dy, dx, stream);
}

/// Bytes of workspace (aligned to 16) that conv2d_backward_weights needs.
template <class T>
std::size_t conv2d_backward_weights_workspace(const ConvShape& s) {
  return conv_backward_weights_workspace_by<ConvDoubleBuffer, T>(s);
}

/// dw from x and dy; the same bits every time.
template <class T>
void conv2d_backward_weights(const ConvShape& s, const T* x, const T* dy, T* dw, void* workspace,
                             Stream stream) {
  conv_backward_weights_by<ConvDoubleBuffer>(s, x, dy, dw, workspace, stream);
}

KFER_KERNELS_END
