// ConvTranspose2d: the transposed convolution layer.
#pragma once

#include "kfer/nn/init.hpp"
#include "kfer/nn/observe.hpp"
#include "kfer/nn/rounded.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d.hpp"

namespace kfer {

struct ConvTranspose2dConfig {
  Extent2d stride = 1;
  Extent2d padding = 0;
  Extent2d output_padding = 0;
  bool bias = true;
  bool relu = false;  ///< fused behind the sum
  Initializer init = init::glorot_uniform;
};

/// See conv_transpose2d. weight: [in, out, KH, KW]; bias: [out], from 0. For activations in bfloat16 the
/// parameters are float, as those of Conv2d.
template <FloatingElement T = float, class D = Cpu>
struct ConvTranspose2d {
  using P = parameter_t<T>;
  using parameter_type = Variable<P, D>;

  Variable<P, D> weight;
  std::optional<Variable<P, D>> bias;
  ConvTranspose2dOptions options;

  ConvTranspose2d(std::int64_t in, std::int64_t out, Extent2d kernel, RandomStream& random,
                  const ConvTranspose2dConfig& config = {})
      : weight(detail::make_parameter<Variable<P, D>>({in, out, kernel.height, kernel.width}, config.init,
                                                      random)) {
    options.stride = config.stride;
    options.padding = config.padding;
    options.output_padding = config.output_padding;
    options.relu = config.relu;
    if (config.bias) bias.emplace(zeros<P, D>({out}), true);
  }

  Variable<T, D> operator()(const Variable<T, D>& x) const {
    if constexpr (!std::same_as<P, T> &&
                  requires(const Conv2dShape& s) { conv_transpose2d_impl<T, D>::weight_layout(s); })
      weight.settle(conv_transpose2d_impl<T, D>::weight_layout(
          conv_transpose2d_shape(x.shape(), weight.shape(), options)));
    const auto b = detail::rounded<T>(bias);
    return detail::observed(this, conv_transpose2d(x, cast<T>(weight), b ? &*b : nullptr, options));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

}  // namespace kfer
