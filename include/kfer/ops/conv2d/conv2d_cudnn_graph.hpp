// The graphs of cuDNN by which convolutions run on Cuda, and their names. Apart from what runs them, so that
// a machine without a GPU can ask which plans they have.
#pragma once

#include "kfer/device/cudnn/graph.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn_pattern.hpp"

namespace kfer::detail {

/// The tensors of such a graph.
struct ConvOperand {
  enum : std::int64_t {
    x = 1,
    w,
    y,
    dx,
    dw,
    dy,
    bias,
    scale,
    residual,
    mask,
    sum,
    sum_of_squares,
    input_scale,
    input_bias,
    sums
  };
};

/// The graph of a pattern for tensors of `type` (sums are float). Tensors lie channels-last.
inline cudnn::Graph conv_graph(const ConvPattern& pattern, const Conv2dShape& s, cudnnDataType_t type) {
  using Pass = ConvPattern::Pass;
  using Extents = cudnn::Graph::Extents;
  cudnn::Graph g;
  const Extents in{s.batch, s.in_channels, s.height, s.width},
      out{s.batch, s.out_channels, s.out_height, s.out_width},
      filter{s.out_channels, s.in_channels / s.groups, s.kernel_height, s.kernel_width};
  const cudnn::Window window{{s.padding.height, s.padding.width},
                             {s.stride.height, s.stride.width},
                             {s.dilation.height, s.dilation.width}};

  const auto normalized = [&] {
    const auto x = g.tensor(ConvOperand::x, in, type);
    if (!pattern.normalize_input) return x;
    const auto scaled = g.intermediate(in), shifted = g.intermediate(in), result = g.intermediate(in, type);
    g.pointwise(CUDNN_POINTWISE_MUL, x,
                g.per_channel(ConvOperand::input_scale, s.in_channels, CUDNN_DATA_FLOAT), scaled);
    g.pointwise(CUDNN_POINTWISE_ADD, scaled,
                g.per_channel(ConvOperand::input_bias, s.in_channels, CUDNN_DATA_FLOAT), shifted);
    g.pointwise(CUDNN_POINTWISE_RELU_FWD, shifted, result);
    return result;
  };

  if (pattern.pass == Pass::backward_weights) {
    const auto x = normalized();
    g.conv_backward_weights(g.tensor(ConvOperand::dy, out, type), x, g.tensor(ConvOperand::dw, filter, type),
                            window);
    return g;
  }
  if (pattern.pass == Pass::backward_data) {
    const auto dy = g.tensor(ConvOperand::dy, out, type), w = g.tensor(ConvOperand::w, filter, type),
               dx = g.tensor(ConvOperand::dx, in, type), sums = pattern.relu ? g.intermediate(in) : dx;
    g.conv_backward_data(dy, w, sums, window);
    if (pattern.relu) g.relu_backward(g.tensor(ConvOperand::mask, in, type), sums, dx);
    return g;
  }

  const auto y = g.tensor(ConvOperand::y, out, type);
  int left = pattern.scale + pattern.bias + pattern.residual + pattern.relu;  // steps between here and y
  const auto target = [&] { return left == 0 ? y : g.intermediate(out); };
  cudnn::Graph::Value value = y;
  if (pattern.pass == Pass::forward) {
    const auto x = normalized(), w = g.tensor(ConvOperand::w, filter, type);
    value = target();
    g.conv_forward(x, w, value, window);
  } else {
    value = g.tensor(ConvOperand::sums, out, type);
  }
  const auto follow = [&](cudnnPointwiseMode_t mode, std::optional<cudnn::Graph::Value> with) {
    --left;
    const auto result = target();
    with ? g.pointwise(mode, value, *with, result) : g.pointwise(mode, value, result);
    value = result;
  };
  const auto bias_type = pattern.scale ? CUDNN_DATA_FLOAT : type;
  if (pattern.scale)
    follow(CUDNN_POINTWISE_MUL, g.per_channel(ConvOperand::scale, s.out_channels, CUDNN_DATA_FLOAT));
  if (pattern.bias) follow(CUDNN_POINTWISE_ADD, g.per_channel(ConvOperand::bias, s.out_channels, bias_type));
  if (pattern.residual) follow(CUDNN_POINTWISE_ADD, g.tensor(ConvOperand::residual, out, type));
  if (pattern.relu) follow(CUDNN_POINTWISE_RELU_FWD, {});
  if (pattern.statistics)
    g.channel_statistics(y, g.per_channel(ConvOperand::sum, s.out_channels, CUDNN_DATA_FLOAT),
                         g.per_channel(ConvOperand::sum_of_squares, s.out_channels, CUDNN_DATA_FLOAT));
  return g;
}

}  // namespace kfer::detail
