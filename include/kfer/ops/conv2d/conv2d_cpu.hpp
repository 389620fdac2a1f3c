// 2-D convolution on the Cpu: float by oneDNN, Winograd or a direct loop, double by the reference loops.
#pragma once

#include "kfer/ops/conv2d/conv2d_dnnl.hpp"
#include "kfer/ops/conv2d/conv2d_narrow.hpp"
#include "kfer/ops/conv2d/conv2d_reference.hpp"
#include "kfer/ops/conv2d/conv2d_winograd.hpp"
#include "kfer/ops/dropout/dropout_cpu.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"

namespace kfer {

template <>
struct conv2d_impl<double, Cpu> {
  static Layout weight_layout(const Conv2dShape&) { return Layout::row_major(4); }
  static Tensor<double, Cpu> forward(const Conv2dShape& s, const Tensor<double, Cpu>& x,
                                     const Tensor<double, Cpu>& w, const Tensor<double, Cpu>* bias,
                                     const Tensor<double, Cpu>* residual, const Conv2dEpilogue& epilogue) {
    return reference::conv2d_forward(s, x, w, bias, residual, epilogue);
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

  static Layout weight_layout(const Conv2dShape& s) {
    if (empty(s) || ConvNarrow::applies(s)) return Layout::row_major(4);
    const bool blocks = s.groups == 1 && s.in_channels % simd_width == 0 && s.out_channels % simd_width == 0;
    return blocks ? ConvWinograd::weight_layout() : ConvDnnl::weight_layout(s);
  }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, const Tn* residual,
                    const Conv2dEpilogue& epilogue) {
    if (empty(s)) return reference::conv2d_forward(s, x, w, bias, residual, epilogue);
    Tn y = sums(s, x, w, bias, residual, epilogue);
    if (epilogue.dropout)
      dropout_apply(y.mutable_data(), detail::Planes::of(y.shape(), y.layout()), *epilogue.dropout);
    return y;
  }

  static Conv2dGrads<float, Cpu> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                          const Conv2dEpilogue& epilogue, Conv2dWants wants) {
    if (empty(s)) return reference::conv2d_backward(s, x, w, y, dy, epilogue, wants);
    if (y) dy = relu_dropout_mask(*y, std::move(dy), epilogue.dropout ? epilogue.dropout->scale() : 1.f);
    Conv2dGrads<float, Cpu> grads;
    if (wants.w || wants.bias) std::tie(grads.w, grads.bias) = weight_gradients(s, x, dy, wants.bias);
    if (wants.x) grads.x = input_gradient(s, w, dy);
    if (wants.residual) grads.residual = std::move(dy);
    return grads;
  }

 private:
  using ConvDnnl = detail::ConvDnnl;
  using ConvNarrow = detail::ConvNarrow;
  using ConvWinograd = detail::ConvWinograd;

  // Which code does a pass of a shape is a rule, not a timing, so that a run repeats itself.

  static Tn sums(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, const Tn* residual,
                 const Conv2dEpilogue& epilogue) {
    const bool relu = epilogue.relu;
    if (ConvNarrow::applies(s)) {
      Tn y = ConvNarrow::forward(s, x, w, bias, relu && !residual, epilogue.at_rest);
      return residual ? detail::add_residual(y, *residual, relu) : y;
    }
    if (const auto tile = ConvWinograd::tile(s, winograd::Pass::forward))
      return ConvWinograd::forward(*tile, s, x, w, bias, residual, relu, epilogue.at_rest);
    return ConvDnnl::forward(s, x, w, bias, residual, relu);
  }
  static Tn input_gradient(const Conv2dShape& s, const Tn& w, const Tn& dy) {
    if (ConvNarrow::applies(s)) return ConvNarrow::backward_data(s, w, dy);
    if (const auto tile = ConvWinograd::tile(s, winograd::Pass::backward_data))
      return ConvWinograd::backward_data(*tile, s, w, dy);
    return ConvDnnl::backward_data(s, w, dy);
  }
  static std::pair<Tn, Tn> weight_gradients(const Conv2dShape& s, const Tn& x, const Tn& dy, bool bias) {
    if (ConvNarrow::applies(s)) return ConvNarrow::backward_weights(s, x, dy, bias);
    if (const auto tile = ConvWinograd::tile(s, winograd::Pass::backward_weights))
      return ConvWinograd::backward_weights(*tile, s, x, dy, bias);
    return ConvDnnl::backward_weights(s, x, dy, bias);
  }

  static bool empty(const Conv2dShape& s) {
    return s.input().numel() == 0 || s.output().numel() == 0 || s.weight().numel() == 0;
  }
};

}  // namespace kfer
