// Conv2d: the convolution layer.
#pragma once

#include "kfer/nn/init.hpp"
#include "kfer/nn/observe.hpp"
#include "kfer/nn/rounded.hpp"
#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer {

struct Conv2dConfig {
  Extent2d stride = 1;
  Extent2d padding = 0;
  Extent2d dilation = 1;
  std::int64_t groups = 1;
  bool bias = true;
  bool relu = false;  ///< fused behind the sum
  Initializer init = init::glorot_uniform;
};

/// See conv2d. weight: [out, in / groups, KH, KW]; bias: [out], from 0. For activations in bfloat16 the
/// parameters are float, and are rounded on their way into the operation.
template <FloatingElement T = float, class D = Cpu>
struct Conv2d {
  using P = parameter_t<T>;
  using parameter_type = Variable<P, D>;

  Variable<P, D> weight;
  std::optional<Variable<P, D>> bias;
  Conv2dOptions options;

  Conv2d(std::int64_t in, std::int64_t out, Extent2d kernel, RandomStream& random,
         const Conv2dConfig& config = {})
      : options{.stride = config.stride,
                .padding = config.padding,
                .dilation = config.dilation,
                .groups = config.groups,
                .relu = config.relu,
                .dropout = {}} {
    require(config.groups >= 1 && in % config.groups == 0 && out % config.groups == 0,
            "Conv2d: ", config.groups, " groups do not divide ", in, " input and ", out, " output channels");
    weight = detail::make_parameter<Variable<P, D>>({out, in / config.groups, kernel.height, kernel.width},
                                                    config.init, random);
    if (config.bias) bias.emplace(zeros<P, D>({out}), true);
  }

  Variable<T, D> operator()(const Variable<T, D>& x) const { return apply(x, std::nullopt, nullptr); }
  /// The same followed by dropout, fused; pass a Dropout layer's `mask()`. Needs `relu`.
  Variable<T, D> operator()(const Variable<T, D>& x, const std::optional<DropoutMask>& dropout) const {
    return apply(x, dropout, nullptr);
  }
  /// The same plus a residual of the result's shape, added before the ReLU.
  Variable<T, D> operator()(const Variable<T, D>& x, const Variable<T, D>& residual) const {
    return apply(x, std::nullopt, &residual);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("weight", weight);
    v("bias", bias);
  }

 private:
  Variable<T, D> apply(const Variable<T, D>& x, const std::optional<DropoutMask>& dropout,
                       const Variable<T, D>* residual) const {
    Conv2dOptions all = options;
    all.dropout = dropout;
    // In the operation's order before it is rounded, so that this is done once and not at every use.
    if constexpr (!std::same_as<P, T>)
      weight.settle(conv2d_impl<T, D>::weight_layout(Conv2dShape::of(x.shape(), weight.shape(), all)));
    const auto b = detail::rounded<T>(bias);
    return detail::observed(this, conv2d(x, cast<T>(weight), b ? &*b : nullptr, all, residual));
  }
};

}  // namespace kfer
