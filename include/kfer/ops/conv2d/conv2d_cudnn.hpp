// 2-D convolution on Cuda by cuDNN: float (TF32 unless strict_fp32) and bfloat16, sums in float.
#pragma once

#include "kfer/device/cudnn/context.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn_graph.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {

/// The tensor in an order, at an address that cuDNN's vector accesses can take.
template <FloatingElement T>
Tensor<T, Cuda> cudnn_operand(const Tensor<T, Cuda>& x, const Layout& layout) {
  Tensor<T, Cuda> out = x.to(layout);
  if (reinterpret_cast<std::uintptr_t>(out.data()) % 16 == 0) return out;
  Tensor<T, Cuda> aligned(out.shape(), layout);  // `out` begins inside of another tensor
  Cuda::copy(aligned.mutable_data(), out.data(), static_cast<std::size_t>(out.storage_size()) * sizeof(T));
  return aligned;
}

/// Queues one graph of a convolution; false if cuDNN has no plan for it.
template <FloatingElement T>
bool try_conv(const ConvPattern& pattern, const Conv2dShape& s, std::span<const cudnn::Operand> operands) {
  cudnn::PlanFilter filter{.math = Cuda::math()};
  // bfloat16 is products of tensor cores by nature; an epilogue alone has no products to be strict about.
  if (!std::same_as<T, float> || pattern.pass == ConvPattern::Pass::none) filter.math.strict_fp32 = false;
  return cudnn::Context::instance().run(
      conv_key(pattern, s, dtype_name<T>()), [&] { return conv_graph(pattern, s, cudnn::data_type<T>()); },
      operands, filter);
}
/// Throws NoPlanError, naming the graph, if cuDNN has no plan for it.
template <FloatingElement T>
void run_conv(const ConvPattern& pattern, const Conv2dShape& s, std::span<const cudnn::Operand> operands) {
  if (!try_conv<T>(pattern, s, operands))
    throw cudnn::NoPlanError(text("cudnn: no engine for ", conv_key(pattern, s, dtype_name<T>()),
                                  cudnn::to_string(cudnn::PlanFilter{.math = Cuda::math()}),
                                  " on this device"));
}

/// A forward pass with its epilogue: one graph where cuDNN has it, or else the convolution and the epilogue
/// behind it. `operands` are those of the fused graph, y among them.
template <FloatingElement T>
void run_conv_forward(const ConvPattern& pattern, const Conv2dShape& s, Tensor<T, Cuda>& y,
                      std::vector<cudnn::Operand> operands) {
  operands.emplace_back(ConvOperand::y, y.mutable_data());
  if (!pattern.has_epilogue()) return run_conv<T>(pattern, s, operands);
  if (try_conv<T>(pattern, s, operands)) return;
  const auto is_input = [](const cudnn::Operand& o) {
    return o.uid == ConvOperand::x || o.uid == ConvOperand::w;
  };
  Tensor<T, Cuda> sums(s.output(), Layout::channels_last());
  std::vector<cudnn::Operand> of_sums{{ConvOperand::y, sums.mutable_data()}};
  std::ranges::copy_if(operands, std::back_inserter(of_sums), is_input);
  run_conv<T>({}, s, of_sums);
  std::erase_if(operands, is_input);
  operands.emplace_back(ConvOperand::sums, sums.data());
  ConvPattern epilogue = pattern;
  epilogue.pass = ConvPattern::Pass::none;
  run_conv<T>(epilogue, s, operands);
}

/// The passes of conv2d. Activations and their gradients lie channels-last, weights and theirs OHWI
/// (Layout::channels_last() of [O, I / groups, KH, KW]); operands in another order are changed to these
/// first. No extent is zero. Throws cudnn::NoPlanError if cuDNN has no engine for a shape, cudnn::Error if
/// one fails.
template <FloatingElement T>
struct ConvCudnn {
  static_assert(!std::same_as<T, double>, "cuDNN's convolutions are float and bfloat16");
  using Tn = Tensor<T, Cuda>;

  /// The order in which x suits forward and backward_weights best: an input kept so is not copied.
  static Layout input_layout(const Conv2dShape& s) {
    return conv_padded<T>(s) == s ? Layout::channels_last() : Layout::channel_blocked(8);
  }

  /// y = x convolved with w, plus bias[o] if given, then max(0, .) if `relu`, in one kernel.
  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, bool relu) {
    const Tn xs = cudnn_operand(x, input_layout(s)), ws = cudnn_operand(w, input_layout(s));
    const Tn bs = bias ? cudnn_operand(*bias, Layout::row_major(1)) : Tn();
    Tn y(s.output(), Layout::channels_last());
    std::vector<cudnn::Operand> operands{{ConvOperand::x, xs.data()}, {ConvOperand::w, ws.data()}};
    if (bias) operands.emplace_back(ConvOperand::bias, bs.data());
    run_conv_forward({.bias = bias != nullptr, .relu = relu}, conv_padded<T>(s), y, std::move(operands));
    return y;
  }

  /// The gradient with respect to x.
  static Tn backward_data(const Conv2dShape& s, const Tn& w, const Tn& dy) {
    const Tn ws = cudnn_operand(w, Layout::channels_last()), dys = cudnn_operand(dy, Layout::channels_last());
    Tn dx(s.input(), Layout::channels_last());
    run_conv<T>({.pass = ConvPattern::Pass::backward_data}, s,
                std::array<cudnn::Operand, 3>{{{ConvOperand::w, ws.data()},
                                               {ConvOperand::dy, dys.data()},
                                               {ConvOperand::dx, dx.mutable_data()}}});
    return dx;
  }

  /// The gradient with respect to w.
  static Tn backward_weights(const Conv2dShape& s, const Tn& x, const Tn& dy) {
    const Tn xs = cudnn_operand(x, input_layout(s)), dys = cudnn_operand(dy, Layout::channels_last());
    Tn dw(s.weight(), input_layout(s));
    run_conv<T>({.pass = ConvPattern::Pass::backward_weights}, conv_padded<T>(s),
                std::array<cudnn::Operand, 3>{{{ConvOperand::x, xs.data()},
                                               {ConvOperand::dy, dys.data()},
                                               {ConvOperand::dw, dw.mutable_data()}}});
    return dw.to(Layout::channels_last());
  }
};

}  // namespace detail

/// Inference: y = max(0, (x convolved with w) * scale[o] + bias[o] + residual), in one kernel where cuDNN has
/// it.
///
/// This is a convolution with its batch norm folded, scale = gamma / sqrt(variance + eps) and bias = beta -
/// mean * scale (plus scale times the convolution's own bias), followed by the sum with a shortcut and a
/// ReLU: the end of a residual block. No operation uses this yet. Without a shortcut, `residual` is null.
/// scale, bias: float [O]; x, w, residual as in conv2d; y lies channels-last.
template <FloatingElement T>
Tensor<T, Cuda> conv_scale_bias_residual_relu(const Conv2dShape& s, const Tensor<T, Cuda>& x,
                                              const Tensor<T, Cuda>& w, const Tensor<float, Cuda>& scale,
                                              const Tensor<float, Cuda>& bias,
                                              const Tensor<T, Cuda>* residual) {
  using detail::ConvOperand;
  const Shape channels{s.out_channels};
  require<ShapeError>(scale.shape() == channels && bias.shape() == channels,
                      "conv_scale_bias_residual_relu: expected scale and bias of shape ", channels, ", got ",
                      scale.shape(), " and ", bias.shape());
  require<ShapeError>(
      x.shape() == s.input() && w.shape() == s.weight() && (!residual || residual->shape() == s.output()),
      "conv_scale_bias_residual_relu: expected x ", s.input(), ", w ", s.weight(), ", residual ", s.output(),
      ", got ", x.shape(), ", ", w.shape(), ", ", residual ? residual->shape() : s.output());
  const Layout layout = detail::ConvCudnn<T>::input_layout(s);
  const auto xs = detail::cudnn_operand(x, layout), ws = detail::cudnn_operand(w, layout),
             rs = residual ? detail::cudnn_operand(*residual, Layout::channels_last()) : Tensor<T, Cuda>();
  const auto scales = detail::cudnn_operand(scale, Layout::row_major(1)),
             biases = detail::cudnn_operand(bias, Layout::row_major(1));
  Tensor<T, Cuda> y(s.output(), Layout::channels_last());
  std::vector<cudnn::Operand> operands{{ConvOperand::x, xs.data()},
                                       {ConvOperand::w, ws.data()},
                                       {ConvOperand::scale, scales.data()},
                                       {ConvOperand::bias, biases.data()}};
  if (residual) operands.emplace_back(ConvOperand::residual, rs.data());
  detail::run_conv_forward({.scale = true, .bias = true, .residual = residual != nullptr, .relu = true},
                           detail::conv_padded<T>(s), y, std::move(operands));
  return y;
}

}  // namespace kfer
