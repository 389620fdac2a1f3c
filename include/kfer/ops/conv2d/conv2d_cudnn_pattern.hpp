// Which graphs of cuDNN convolutions run by on Cuda, as plain values, apart from cuDNN itself.
#pragma once

#include <array>

#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer::detail {

/// A convolution pass and what is fused to it, in the order of its members.
struct ConvPattern {
  enum class Pass { none, forward, backward_data, backward_weights };

  /// x is first turned into relu(x * input_scale + input_bias), a batch norm's result; no operation uses this
  /// yet
  bool normalize_input = false;
  Pass pass = Pass::forward;  ///< none: what follows works on `sums`, an earlier convolution's result
  bool scale = false;         ///< times one float a channel
  bool bias = false;          ///< plus one number a channel: float behind a scale, else of the tensors' type
  bool residual = false;      ///< plus a tensor
  bool relu = false;  ///< forward: max(0, .); backward_data: the gradient through the ReLU that gave `mask`
  bool statistics = false;  ///< besides y, the sum and the sum of squares of each of its channels, in float;
                            ///< no operation uses this yet

  bool has_epilogue() const { return scale || bias || residual || relu || statistics; }
};

/// "forward+bias+relu"
inline std::string to_string(const ConvPattern& p) {
  static constexpr std::array passes{"epilogue", "forward", "backward_data", "backward_weights"};
  return text(p.normalize_input ? "scale+bias+relu->" : "", passes[static_cast<std::size_t>(p.pass)],
              p.scale ? "+scale" : "", p.bias ? "+bias" : "", p.residual ? "+residual" : "",
              p.relu ? "+relu" : "", p.statistics ? "+statistics" : "");
}

/// Everything on which the graph of a convolution depends, in one line:
/// "forward+bias float32 x 64,3,64,64 w ...".
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

/// The shape with its input channels padded as cuDNN is given them; `in_channels` channels of zeros change no
/// sum.
///
/// Tensor cores take bfloat16 channels in eights. With the 3 of an image the first engines that cuDNN 9.19
/// proposes for sm_90 copy x into a workspace of 8 channels at each call (103 MB for the first layer of
/// ResNet50 at 128 x 224 x 224; none if x has 8) or are none of the tensor cores (ConvNet's first layer with
/// its bias), and some fused graphs have no engine at all. So kfer gives it such an x in 8. Those for float
/// copy x whether it has 3, 4 or 8: there the padding would only be more to copy.
template <FloatingElement T>
Conv2dShape conv_padded(Conv2dShape s) {
  if (std::same_as<T, bfloat16> && s.groups == 1 && s.in_channels < 8) s.in_channels = 8;
  return s;
}

}  // namespace kfer::detail
