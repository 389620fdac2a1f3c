// 2-D convolution on a GPU: an engine for the products, and in one pass each what surrounds them.
#pragma once

#include "kfer/kernels/conv2d/channel_sums.cuh"
#include "kfer/ops/conv2d/conv2d_kernels.hpp"
#include "kfer/ops/dropout/dropout_cuda.hpp"

namespace kfer {
namespace detail {

/// What computes the convolutions of a type on a device.
template <FloatingElement T, Gpu D>
struct ConvEngine {
  using type = ConvKernels<T, D>;
};

/// [N, C, H, W], channels-last, -> [C]: sums over images and pixels.
template <FloatingElement T, Gpu D>
Tensor<T, D> channel_sums(const Tensor<T, D>& dy) {
  Tensor<T, D> sums({dy.size(1)});
  if (sums.numel())
    kernels::launch(kernels::conv_channel_sums<kernel_t<T>>, dim3(static_cast<unsigned>(dy.size(1))),
                    dim3(128), 0, D::stream(), raw(dy.data()), raw(sums.mutable_data()),
                    dy.size(0) * dy.size(2) * dy.size(3), static_cast<int>(dy.size(1)));
  return sums;
}

}  // namespace detail

template <FloatingElement T, Gpu D>
struct conv2d_impl<T, D> {
  using Tn = Tensor<T, D>;
  using Engine = typename detail::ConvEngine<T, D>::type;

  /// [O, KH, KW, I / groups] in memory.
  static Layout weight_layout(const Conv2dShape&) { return Layout::channels_last(); }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Conv2dEpilogue& epilogue) {
    Tn y = Engine::forward(s, x, w, bias, epilogue.relu);
    detail::bias_relu_dropout<T, D>(y, nullptr, false, epilogue.dropout);
    return y;
  }

  static Conv2dGrads<T, D> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                    const Conv2dEpilogue& epilogue, Conv2dWants wants) {
    if (y)
      dy = detail::relu_dropout_backward(*y, std::move(dy),
                                         epilogue.dropout ? epilogue.dropout->scale() : 1.f);
    dy = dy.to(Layout::channels_last());
    Conv2dGrads<T, D> grads;
    if (wants.bias) grads.bias = detail::channel_sums(dy);
    if (wants.w) grads.w = Engine::backward_weights(s, x, dy);
    if (wants.x) grads.x = Engine::backward_data(s, w, dy);
    return grads;
  }
};

}  // namespace kfer
