// Linear: the fully connected layer.
#pragma once

#include "kfer/nn/init.hpp"
#include "kfer/nn/observe.hpp"
#include "kfer/ops/linear/linear.hpp"

namespace kfer {

struct LinearConfig {
  bool bias = true;
  bool relu = false;  ///< y = max(0, y), in the same pass
  Initializer init = init::glorot_uniform;
};

/// y = x weight^T + bias, then ReLU if asked for. x: [N, in]; y: [N, out]; weight: [out, in]; bias: [out],
/// from 0.
template <FloatingElement T = float, class D = Cpu>
struct Linear {
  using parameter_type = Variable<T, D>;

  Variable<T, D> weight;
  std::optional<Variable<T, D>> bias;
  bool relu = false;

  Linear(std::int64_t in, std::int64_t out, RandomStream& random, const LinearConfig& config = {})
      : weight(detail::make_parameter<Variable<T, D>>({out, in}, config.init, random)), relu(config.relu) {
    if (config.bias) bias.emplace(zeros<T, D>({out}), true);
  }

  Variable<T, D> operator()(const Variable<T, D>& x) const { return (*this)(x, std::nullopt); }
  /// The same followed by dropout, fused; pass a Dropout layer's `mask()`. Needs `relu`.
  Variable<T, D> operator()(const Variable<T, D>& x, const std::optional<DropoutMask>& dropout) const {
    return detail::observed(
        this, linear(x, weight, bias ? &*bias : nullptr, LinearOptions{.relu = relu, .dropout = dropout}));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("weight", weight);
    v("bias", bias);
  }
};

}  // namespace kfer
