// The graphs of cuDNN by which convolutions run on Cuda, and their names. Apart from what runs them, so that a machine
// without a GPU can ask which plans they have.
#pragma once

#include "kfer/device/cudnn/graph.hpp"
#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer::detail {

/// A convolution pass and what is fused to it, in the order of its members.
struct ConvPattern {
  enum class Pass { none, forward, backward_data, backward_weights };

  bool normalize_input = false;  ///< x is first turned into relu(x * input_scale + input_bias), a batch norm's result
  Pass pass = Pass::forward;     ///< none: what follows works on `sums`, an earlier convolution's result
  bool scale = false;            ///< times one float a channel
  bool bias = false;             ///< plus one number a channel: float behind a scale, else of the tensors' type
  bool residual = false;         ///< plus a tensor
  bool relu = false;             ///< forward: max(0, .); backward_data: the gradient through the ReLU that gave `mask`
  bool statistics = false;       ///< besides y, the sum and the sum of squares of each of its channels, in float

  bool has_epilogue() const { return scale || bias || residual || relu || statistics; }
};

/// "forward+bias+relu"
inline std::string to_string(const ConvPattern& p) {
  static constexpr std::array passes{"epilogue", "forward", "backward_data", "backward_weights"};
  return text(p.normalize_input ? "scale+bias+relu->" : "", passes[static_cast<std::size_t>(p.pass)],
              p.scale ? "+scale" : "", p.bias ? "+bias" : "", p.residual ? "+residual" : "", p.relu ? "+relu" : "",
              p.statistics ? "+statistics" : "");
}

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

/// Everything on which the graph of a convolution depends, in one line: "forward+bias float32 x 64,3,64,64 w ...".
inline std::string conv_key(const ConvPattern& pattern, const Conv2dShape& s, std::string_view type) {
  std::string out = text(to_string(pattern), ' ', type);
  const auto numbers = [&](const char* name, std::initializer_list<std::int64_t> values) {
    out += text(' ', name);
    char before = ' ';
    for (const auto value : values) out += text(std::exchange(before, ','), value);
  };
  numbers("x", {s.batch, s.in_channels, s.height, s.width});
  numbers("w", {s.out_channels, s.in_channels / s.groups, s.kernel_height, s.kernel_width});
  numbers("y", {s.out_height, s.out_width});
  numbers("stride", {s.stride.height, s.stride.width});
  numbers("padding", {s.padding.height, s.padding.width});
  numbers("dilation", {s.dilation.height, s.dilation.width});
  return out;
}

/// The graph of a pattern for tensors of `type` (sums are float). Tensors lie channels-last.
inline cudnn::Graph conv_graph(const ConvPattern& pattern, const Conv2dShape& s, cudnnDataType_t type) {
  using Pass = ConvPattern::Pass;
  using Extents = cudnn::Graph::Extents;
  cudnn::Graph g;
  const Extents in{s.batch, s.in_channels, s.height, s.width}, out{s.batch, s.out_channels, s.out_height, s.out_width},
      filter{s.out_channels, s.in_channels / s.groups, s.kernel_height, s.kernel_width};
  const cudnn::Window window{{s.padding.height, s.padding.width},
                             {s.stride.height, s.stride.width},
                             {s.dilation.height, s.dilation.width}};

  const auto normalized = [&] {
    const auto x = g.tensor(ConvOperand::x, in, type);
    if (!pattern.normalize_input) return x;
    const auto scaled = g.intermediate(in), shifted = g.intermediate(in), result = g.intermediate(in, type);
    g.pointwise(CUDNN_POINTWISE_MUL, x, g.per_channel(ConvOperand::input_scale, s.in_channels, CUDNN_DATA_FLOAT), scaled);
    g.pointwise(CUDNN_POINTWISE_ADD, scaled, g.per_channel(ConvOperand::input_bias, s.in_channels, CUDNN_DATA_FLOAT),
                shifted);
    g.pointwise(CUDNN_POINTWISE_RELU_FWD, shifted, result);
    return result;
  };

  if (pattern.pass == Pass::backward_weights) {
    const auto x = normalized();
    g.conv_backward_weights(g.tensor(ConvOperand::dy, out, type), x, g.tensor(ConvOperand::dw, filter, type), window);
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
