// The convolutions that ship: 5_tensor_core for bf16 and, as TF32, for float; 4_double_buffer for double, for
// float that must stay float, and under the host executor.
#pragma once

#include "4_double_buffer.cuh"
#include "passes.cuh"

KFER_KERNELS_BEGIN

/// Calls `visit` with the step that computes T. `tf32`: float may be rounded to TF32 where there are tensor
/// cores for it.
template <class T>
struct ShippedConv {
  template <class Visit>
  static auto with(bool /*tf32*/, const Visit& visit) {
    return visit(ConvDoubleBuffer{});
  }
};

KFER_KERNELS_END

#if defined(__CUDACC__)
#include "shipped_gpu.cuh"
#endif

KFER_KERNELS_BEGIN

/// y = relu(x * w + bias), bias (null: none) and ReLU if asked for.
template <class T>
void conv2d_forward(const ConvShape& s, const T* x, const T* w, const T* bias, bool relu, T* y, Stream stream,
                    bool tf32 = true) {
  ShippedConv<T>::with(tf32,
                       [&]<class Step>(Step) { conv_forward_by<Step>(s, x, w, bias, relu, y, stream); });
}

/// dx from w and dy. Every element of dx is written.
template <class T>
void conv2d_backward_data(const ConvShape& s, const T* w, const T* dy, T* dx, Stream stream,
                          bool tf32 = true) {
  ShippedConv<T>::with(tf32, [&]<class Step>(Step) { conv_backward_data_by<Step>(s, w, dy, dx, stream); });
}

/// Bytes of workspace (aligned to 16) that conv2d_backward_weights needs.
template <class T>
std::size_t conv2d_backward_weights_workspace(const ConvShape& s, bool tf32 = true) {
  return ShippedConv<T>::with(
      tf32, [&]<class Step>(Step) { return conv_backward_weights_workspace_by<Step, T>(s); });
}

/// dw from x and dy; the same bits every time.
template <class T>
void conv2d_backward_weights(const ConvShape& s, const T* x, const T* dy, T* dw, void* workspace,
                             Stream stream, bool tf32 = true) {
  ShippedConv<T>::with(
      tf32, [&]<class Step>(Step) { conv_backward_weights_by<Step>(s, x, dy, dw, workspace, stream); });
}

KFER_KERNELS_END
