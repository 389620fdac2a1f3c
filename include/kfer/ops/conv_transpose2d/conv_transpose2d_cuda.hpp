// 2-D transposed convolution on a GPU, by the passes of the ordinary one: its forward pass is the other's
// gradient of the data, and the other way round.
#pragma once

#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct conv_transpose2d_impl<T, D> {
  using Tn = Tensor<T, D>;
  using Engine = detail::ConvEngine<T, D>;

  /// As the ordinary convolution's.
  static Layout weight_layout(const Conv2dShape&) { return Layout::channels_last(); }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Conv2dEpilogue& epilogue) {
    Tn y = Engine::backward_data(s, w, x);
    detail::bias_relu_dropout<T, D>(y, bias, epilogue.relu, std::nullopt);
    return y;
  }

  static Conv2dGrads<T, D> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                    Conv2dWants wants) {
    if (y) dy = detail::relu_dropout_backward(*y, std::move(dy), 1.f);
    dy = dy.to(Layout::channels_last());
    Conv2dGrads<T, D> grads;
    if (wants.x) grads.x = Engine::forward(s, dy, w, nullptr, false);
    if (wants.w) grads.w = Engine::backward_weights(s, dy, x);
    if (wants.bias) grads.bias = detail::channel_sums(dy);
    return grads;
  }
};

}  // namespace kfer
