// 2-D convolution on the Cpu: float by oneDNN, Winograd or a direct loop, double by the reference loops.
#pragma once

#include "kfer/ops/conv2d/conv2d_dnnl.hpp"
#include "kfer/ops/conv2d/conv2d_narrow.hpp"
#include "kfer/ops/conv2d/conv2d_reference.hpp"
#include "kfer/ops/conv2d/conv2d_winograd.hpp"
#include "kfer/ops/dropout/dropout_cpu.hpp"

namespace kfer {

template <>
struct conv2d_impl<double, Cpu> {
  static Layout weight_layout(const Conv2dShape&) { return Layout::row_major(4); }
  static Tensor<double, Cpu> forward(const Conv2dShape& s, const Tensor<double, Cpu>& x,
                                     const Tensor<double, Cpu>& w, const Tensor<double, Cpu>* bias,
                                     const Conv2dEpilogue& epilogue) {
    return reference::conv2d_forward(s, x, w, bias, epilogue);
  }
  static Conv2dGrads<double, Cpu> backward(const Conv2dShape& s, const Tensor<double, Cpu>& x,
                                           const Tensor<double, Cpu>& w, const Tensor<double, Cpu>* y,
                                           const Tensor<double, Cpu>& dy, const Conv2dEpilogue& epilogue,
                                           Conv2dWants wants) {
    return reference::conv2d_backward(s, x, w, y, dy, epilogue, wants);
  }
};

template <>
struct conv2d_impl<float, Cpu> {
  using Tn = Tensor<float, Cpu>;

  /// Which code does a shape: a rule, not a timing, so that a run repeats itself.
  template <class Run>
  static auto with_algorithm(const Conv2dShape& s, const Run& run) {
    if (detail::ConvNarrow::applies(s)) return run(detail::ConvNarrow{});
    if (detail::ConvWinograd::applies(s)) return run(detail::ConvWinograd{});
    return run(detail::ConvDnnl{});
  }

  static Layout weight_layout(const Conv2dShape& s) {
    if (empty(s) || detail::ConvNarrow::applies(s)) return Layout::row_major(4);
    return detail::ConvWinograd::applies(s) ? detail::ConvWinograd::weight_layout()
                                            : detail::ConvDnnl::weight_layout(s);
  }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Conv2dEpilogue& epilogue) {
    if (empty(s)) return reference::conv2d_forward(s, x, w, bias, epilogue);
    Tn y = with_algorithm(s, [&](auto algorithm) { return algorithm.forward(s, x, w, bias, epilogue.relu); });
    if (epilogue.dropout)
      dropout_apply(y.mutable_data(), detail::Planes::of(y.shape(), y.layout()), *epilogue.dropout);
    return y;
  }

  static Conv2dGrads<float, Cpu> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                          const Conv2dEpilogue& epilogue, Conv2dWants wants) {
    if (empty(s)) return reference::conv2d_backward(s, x, w, y, dy, epilogue, wants);
    if (y) dy = relu_dropout_mask(*y, std::move(dy), epilogue.dropout ? epilogue.dropout->scale() : 1.f);
    Conv2dGrads<float, Cpu> grads;
    with_algorithm(s, [&](auto algorithm) {
      if (wants.w || wants.bias)
        std::tie(grads.w, grads.bias) = algorithm.backward_weights(s, x, dy, wants.bias);
      if (wants.x) grads.x = algorithm.backward_data(s, w, dy);
    });
    return grads;
  }

 private:
  static bool empty(const Conv2dShape& s) {
    return s.input().numel() == 0 || s.output().numel() == 0 || s.weight().numel() == 0;
  }
};

}  // namespace kfer
