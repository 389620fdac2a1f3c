// Linear: the fully connected layer.
#pragma once

#include "kfer/nn/init.hpp"
#include "kfer/nn/observe.hpp"
#include "kfer/nn/rounded.hpp"
#include "kfer/ops/linear/linear.hpp"

namespace kfer {

struct LinearConfig {
  bool bias = true;
  bool relu = false;  ///< y = max(0, y), in the same pass
  Initializer init = init::glorot_uniform;
};

/// y = x weight^T + bias, then ReLU if asked for. x: [N, in]; y: [N, out]; weight: [out, in]; bias: [out],
/// from 0. For activations in bfloat16 the parameters are float, as those of Conv2d.
template <FloatingElement T = float, class D = Cpu>
struct Linear {
  using P = parameter_t<T>;
  using parameter_type = Variable<P, D>;

  Variable<P, D> weight;
  std::optional<Variable<P, D>> bias;
  bool relu = false;

  Linear(std::int64_t in, std::int64_t out, RandomStream& random, const LinearConfig& config = {})
      : weight(detail::make_parameter<Variable<P, D>>({out, in}, config.init, random)), relu(config.relu) {
    if (config.bias) bias.emplace(zeros<P, D>({out}), true);
  }

  Variable<T, D> operator()(const Variable<T, D>& x) const { return (*this)(x, std::nullopt); }
  /// The same followed by dropout, fused; pass a Dropout layer's `mask()`. Needs `relu`.
  Variable<T, D> operator()(const Variable<T, D>& x, const std::optional<DropoutMask>& dropout) const {
    const auto b = detail::rounded<T>(bias);
    return detail::observed(
        this, linear(x, cast<T>(weight), b ? &*b : nullptr, LinearOptions{.relu = relu, .dropout = dropout}));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

}  // namespace kfer
