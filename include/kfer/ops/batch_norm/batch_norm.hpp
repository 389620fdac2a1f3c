// Batch normalisation (Ioffe and Szegedy, ICML 2015), with the residual sum and ReLU that follow it fused in.
#pragma once

#include "kfer/autograd/variable.hpp"

namespace kfer {

struct BatchNormOptions {
  bool training =
      true;  ///< statistics of the batch; otherwise the running ones ("frozen" layers, evaluation)
  double momentum = 0.1;  ///< running = (1 - momentum) * running + momentum * batch
  double eps = 1e-5;      ///< added to the variance
  bool relu = false;      ///< y = max(0, y), after the residual was added
};

/// What a channel of activations of T was normalised with: its mean and 1 / sqrt(variance + eps). Both [C].
template <FloatingElement T, class D>
struct BatchNormStatistics {
  Tensor<parameter_t<T>, D> mean, inverse_deviation;
};

struct BatchNormWants {
  bool x = true, gamma = true, beta = true, residual = true;
};

template <FloatingElement T, class D>
struct BatchNormGrads {
  Tensor<T, D> x;
  Tensor<parameter_t<T>, D> gamma, beta;
  Tensor<T, D> residual;
};

/// The passes of a device and type. Parameters and statistics are parameter_t<T>: float where x is bfloat16.
///   forward(x, gamma, beta, residual or nullptr, running_mean, running_var, options, statistics) -> y;
///     fills the statistics and, in training, updates the running ones
///   backward(x, gamma, beta or nullptr, y or nullptr, statistics, dy, training, wants) -> gradients;
///     y is given if there is a ReLU, beta if in addition there was no residual: then the sign of y follows
///     from x alone, and need not be read
template <FloatingElement T, class D>
struct batch_norm_impl;

namespace detail {
template <FloatingElement T, class D>
struct BatchNormBackward {
  using P = parameter_t<T>;
  bool training;
  Tensor<T, D> x;
  Tensor<P, D> gamma, beta;
  Tensor<T, D> y;
  BatchNormStatistics<T, D> statistics;
  bool relu, has_residual;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& inputs, InputGrads<P, D>& parameters) {
    const BatchNormWants wants{inputs.wants(0), parameters.wants(0), parameters.wants(1),
                               has_residual && inputs.wants(1)};
    auto d = batch_norm_impl<T, D>::backward(x, gamma, relu && !has_residual ? &beta : nullptr,
                                             relu ? &y : nullptr, statistics, std::move(dy), training, wants);
    if (wants.x) inputs.add(0, std::move(d.x));
    if (wants.residual) inputs.add(1, std::move(d.residual));
    if (wants.gamma) parameters.add(0, std::move(d.gamma));
    if (wants.beta) parameters.add(1, std::move(d.beta));
  }
};
}  // namespace detail

/// y = (x - mean) / sqrt(variance + eps) * gamma + beta for each channel, then + residual, then ReLU, as
/// asked. x: [N, C, ...] of rank 2 or more; gamma, beta, running_mean, running_var: [C], float where x is
/// bfloat16; residual: x's shape or nullptr. In training, mean and variance are those of the batch (the
/// variance divided by the number of values a channel), and the running statistics move towards them (there
/// the variance is the unbiased one, divided by that number less one). Otherwise they are the running ones.
/// Differentiable in x, gamma, beta and residual, in both modes. Throws ShapeError naming the shapes that do
/// not fit, ValueError when training on fewer than two values a channel.
template <FloatingElement T, class D>
Variable<T, D> batch_norm(const Variable<T, D>& x, const Variable<parameter_t<T>, D>& gamma,
                          const Variable<parameter_t<T>, D>& beta, Tensor<parameter_t<T>, D>& running_mean,
                          Tensor<parameter_t<T>, D>& running_var, const BatchNormOptions& options = {},
                          const Variable<T, D>* residual = nullptr) {
  const Shape& s = x.shape();
  require<ShapeError>(s.rank() >= 2, "batch_norm: expected input [N, C, ...], got ", s);
  const Shape channels{s[1]};
  const auto fits = [&](const char* name, const Shape& shape) {
    require<ShapeError>(shape == channels, "batch_norm: expected ", name, " of shape ", channels,
                        " for input ", s, ", got ", shape);
  };
  fits("gamma", gamma.shape());
  fits("beta", beta.shape());
  fits("running_mean", running_mean.shape());
  fits("running_var", running_var.shape());
  if (residual)
    require<ShapeError>(residual->shape() == s, "batch_norm: the residual's shape ", residual->shape(),
                        " is not the input's, ", s);
  require(options.eps >= 0 && options.momentum >= 0 && options.momentum <= 1,
          "batch_norm: eps must not be negative and momentum be in [0, 1], got ", options.eps, " and ",
          options.momentum);
  if (options.training && s.numel() > 0)
    require(s.numel() / s[1] >= 2, "batch_norm: training needs at least two values a channel, got input ", s);
  BatchNormStatistics<T, D> statistics;
  Tensor<T, D> y = batch_norm_impl<T, D>::forward(x.value(), gamma.value(), beta.value(),
                                                  residual ? &residual->value() : nullptr, running_mean,
                                                  running_var, options, statistics);
  std::vector inputs{x};
  if (residual) inputs.push_back(*residual);
  return record(y, std::tuple(std::move(inputs), std::vector{gamma, beta}),
                detail::BatchNormBackward<T, D>{options.training, x.value(), gamma.value(), beta.value(),
                                                options.relu ? y : Tensor<T, D>(), std::move(statistics),
                                                options.relu, residual != nullptr});
}

}  // namespace kfer
