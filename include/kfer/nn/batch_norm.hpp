// BatchNorm2d: batch normalisation over N, H, W (Ioffe and Szegedy 2015).
#pragma once

#include "kfer/nn/observe.hpp"
#include "kfer/ops/batch_norm/batch_norm.hpp"

namespace kfer {

struct BatchNorm2dConfig {
  double momentum =
      0.1;  ///< share of the new batch in the running statistics (Keras' momentum is 1 minus this)
  double eps = 1e-5;
  bool relu = false;  ///< y = max(0, y), after the residual
  double gamma = 1;   ///< first value of `weight`; 0 makes a residual block start as the identity
};

/// y = (x - mean) / sqrt(variance + eps) * weight + bias, with the batch's own statistics in training and
/// with the running ones in inference or while `frozen`. x: [N, C, H, W]; all parameters and buffers: [C],
/// float where x is bfloat16.
template <FloatingElement T = float, class D = Cpu>
struct BatchNorm2d {
  using parameter_type = Variable<parameter_t<T>, D>;

  parameter_type weight, bias;
  Tensor<parameter_t<T>, D> running_mean, running_var;
  double momentum, eps;
  bool relu;
  bool training = true;
  bool frozen = false;

  explicit BatchNorm2d(std::int64_t channels, const BatchNorm2dConfig& config = {})
      : weight(full<parameter_t<T>, D>({channels}, static_cast<parameter_t<T>>(config.gamma)), true),
        bias(zeros<parameter_t<T>, D>({channels}), true),
        running_mean(zeros<parameter_t<T>, D>({channels})),
        running_var(ones<parameter_t<T>, D>({channels})),
        momentum(config.momentum),
        eps(config.eps),
        relu(config.relu) {}

  Variable<T, D> operator()(const Variable<T, D>& x) { return apply(x, nullptr); }
  /// The same plus a residual of x's shape, added before the ReLU.
  Variable<T, D> operator()(const Variable<T, D>& x, const Variable<T, D>& residual) {
    return apply(x, &residual);
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("weight", weight);
    v("bias", bias);
    v("running_mean", running_mean);
    v("running_var", running_var);
    v("training", training);
    v("frozen", frozen);
  }

 private:
  Variable<T, D> apply(const Variable<T, D>& x, const Variable<T, D>* residual) {
    const BatchNormOptions options{
        .training = training && !frozen, .momentum = momentum, .eps = eps, .relu = relu};
    return detail::observed(this, batch_norm(x, weight, bias, running_mean, running_var, options, residual));
  }
};

}  // namespace kfer
