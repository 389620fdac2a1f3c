// 2-D convolution on a GPU: an engine for the products, and in one pass each what surrounds them.
#pragma once

#include "kfer/kernels/reduce/shipped.cuh"
#include "kfer/ops/conv2d/conv2d_kernels.hpp"
#include "kfer/ops/dropout/dropout_cuda.hpp"
#include "kfer/ops/elementwise/binary_cuda.hpp"

namespace kfer {
namespace detail {

/// Who computes the products: kfer's kernels, except for float and bfloat16 on Cuda (conv2d_engine.hpp).
template <FloatingElement T, Gpu D>
struct ConvEngine : ConvKernels<T, D> {};

/// [N, C, H, W], channels-last, -> [C]: sums over images and pixels, the same bits every time.
template <FloatingElement T, Gpu D>
Tensor<T, D> channel_sums(const Tensor<T, D>& dy) {
  using E = kernel_t<T>;
  const std::int64_t channels = dy.size(1), pixels = dy.size(0) * dy.size(2) * dy.size(3);
  Tensor<T, D> sums({channels});
  Buffer<D> workspace(kernels::channel_sums_workspace<E>(pixels, channels));
  kernels::channel_sums(raw(dy.data()), raw(sums.mutable_data()), pixels, channels, workspace.data(),
                        D::stream());
  return sums;
}

}  // namespace detail

template <FloatingElement T, Gpu D>
struct conv2d_impl<T, D> {
  using Tn = Tensor<T, D>;
  using Engine = detail::ConvEngine<T, D>;

  /// [O, KH, KW, I / groups] in memory.
  static Layout weight_layout(const Conv2dShape&) { return Layout::channels_last(); }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, const Tn* residual,
                    const Conv2dEpilogue& epilogue) {
    Tn y = Engine::forward(s, x, w, bias, epilogue.relu && !residual);
    if (residual) y = detail::add_residual(y, *residual, epilogue.relu);
    detail::bias_relu_dropout<T, D>(y, nullptr, false, epilogue.dropout);
    return y;
  }

  static Conv2dGrads<T, D> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                    const Conv2dEpilogue& epilogue, Conv2dWants wants) {
    const float scale = epilogue.dropout ? epilogue.dropout->scale() : 1.f;
    if (y) dy = detail::relu_dropout_backward(*y, std::move(dy), scale);
    dy = dy.to(Layout::channels_last());
    Conv2dGrads<T, D> grads;
    if (wants.bias) grads.bias = detail::channel_sums(dy);
    if (wants.w) grads.w = Engine::backward_weights(s, x, dy);
    if (wants.x) grads.x = Engine::backward_data(s, w, dy);
    if (wants.residual) grads.residual = std::move(dy);
    return grads;
  }
};

}  // namespace kfer

#if defined(__CUDACC__)
#include "kfer/ops/conv2d/conv2d_engine.hpp"
#endif
