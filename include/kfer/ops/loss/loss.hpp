// Loss functions. Each yields its value and the gradient of its first argument in one pass.
#pragma once

#include <optional>

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// What the sum over a batch is divided by.
enum class Reduction {
  mean,  ///< the number of samples; with class weights and integer labels, the sum of the samples' weights
  batch_mean,  ///< the number of samples, whatever their weights (as Keras does)
  sum,         ///< nothing
};

template <FloatingElement T, class D>
struct CrossEntropyOptions {
  std::optional<Tensor<T, D>> class_weights = {};  ///< [C]
  double label_smoothing = 0;                      ///< the share of a target that is spread over all classes
  Reduction reduction = Reduction::mean;
};

template <FloatingElement T, class D>
struct BceOptions {
  std::optional<Tensor<T, D>> positive_weights =
      {};  ///< [C], for the last dimension: the weight of targets of 1
};

/// The passes of a device and type. Each returns the loss (shape []), and its gradient unless `gradient` is
/// null:
///   cross_entropy(logits, labels, options, gradient), cross_entropy(logits, probabilities, options,
///   gradient) bce_with_logits(logits, targets, options, gradient), mse(x, target, gradient) scale(gradient,
///   factor of shape []) -> gradient * factor
template <FloatingElement T, class D>
struct loss_impl;

namespace detail {
template <FloatingElement T, class D>
struct LossBackward {
  Tensor<T, D> gradient;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, loss_impl<T, D>::scale(std::move(gradient), dy));
  }
};

template <FloatingElement T, class D>
void check_cross_entropy(const Shape& x, const Shape& target, const Shape& expected,
                         const CrossEntropyOptions<T, D>& options) {
  require<ShapeError>(x.rank() == 2 && x[1] >= 1, "softmax_cross_entropy: expected logits [N, C], got ", x);
  require<ShapeError>(target == expected, "softmax_cross_entropy: expected targets of shape ", expected,
                      " for logits ", x, ", got ", target);
  require(x[0] >= 1, "softmax_cross_entropy: there is no mean over no samples, got logits ", x);
  if (options.class_weights)
    require<ShapeError>(options.class_weights->shape() == Shape{x[1]},
                        "softmax_cross_entropy: expected class weights of shape ", Shape{x[1]},
                        " for logits ", x, ", got ", options.class_weights->shape());
  require(options.label_smoothing >= 0 && options.label_smoothing <= 1,
          "softmax_cross_entropy: label smoothing must be in [0, 1], got ", options.label_smoothing);
}

/// Runs `pass(gradient or nullptr)` and records its gradient.
template <FloatingElement T, class D, class Pass>
Variable<T, D> loss(const Variable<T, D>& x, const Pass& pass) {
  LossBackward<T, D> backward;
  Tensor<T, D> value = pass(will_record(x) ? &backward.gradient : nullptr);
  return record(std::move(value), {x}, std::move(backward));
}
}  // namespace detail

/// The mean over samples of -sum over c of w[c] * t[n, c] * log softmax(logits)[n, c], a tensor of shape [].
/// logits: [N, C]; labels: [N], classes in [0, C). t is 1 at the label, or with label smoothing s it is
/// (1 - s) there and s / C more everywhere; w are the class weights, or 1. Differentiable in logits.
/// Throws ShapeError, or ValueError naming the first label that is no class.
template <FloatingElement T, class D>
Variable<T, D> softmax_cross_entropy(const Variable<T, D>& logits, const Tensor<std::int64_t, D>& labels,
                                     const CrossEntropyOptions<T, D>& options = {}) {
  const Shape& s = logits.shape();
  detail::check_cross_entropy(s, labels.shape(), Shape{s.rank() ? s[0] : 0}, options);
  return detail::loss(logits, [&](Tensor<T, D>* gradient) {
    return loss_impl<T, D>::cross_entropy(logits.value(), labels, options, gradient);
  });
}
/// The same with a distribution over classes for every sample: targets [N, C].
template <FloatingElement T, class D>
Variable<T, D> softmax_cross_entropy(const Variable<T, D>& logits, const Tensor<T, D>& targets,
                                     const CrossEntropyOptions<T, D>& options = {}) {
  detail::check_cross_entropy(logits.shape(), targets.shape(), logits.shape(), options);
  return detail::loss(logits, [&](Tensor<T, D>* gradient) {
    return loss_impl<T, D>::cross_entropy(logits.value(), targets, options, gradient);
  });
}

/// The mean over all elements of the binary cross-entropy of sigmoid(logits) against targets in [0, 1]:
/// -(w t log s + (1 - t) log(1 - s)), a tensor of shape []; w are the positive weights, or 1. Stable for any
/// logit. Throws ShapeError naming both shapes, or ValueError naming the first target outside of [0, 1].
template <FloatingElement T, class D>
Variable<T, D> bce_with_logits(const Variable<T, D>& logits, const Tensor<T, D>& targets,
                               const BceOptions<T, D>& options = {}) {
  detail::require_same_shape("bce_with_logits: logits and targets", logits, targets);
  require(logits.numel() >= 1, "bce_with_logits: there is no mean over no elements, got logits ",
          logits.shape());
  if (options.positive_weights)
    require<ShapeError>(
        logits.shape().rank() >= 1 && options.positive_weights->shape() == Shape{logits.shape().at(-1)},
        "bce_with_logits: expected one positive weight for each class of logits ", logits.shape(),
        ", got shape ", options.positive_weights->shape());
  return detail::loss(logits, [&](Tensor<T, D>* gradient) {
    return loss_impl<T, D>::bce_with_logits(logits.value(), targets, options, gradient);
  });
}

/// The mean over all elements of (x - target)^2, a tensor of shape []. Throws ShapeError naming both shapes.
template <FloatingElement T, class D>
Variable<T, D> mse_loss(const Variable<T, D>& x, const Tensor<T, D>& target) {
  detail::require_same_shape("mse_loss: input and target", x, target);
  require(x.numel() >= 1, "mse_loss: there is no mean over no elements, got input ", x.shape());
  return detail::loss(
      x, [&](Tensor<T, D>* gradient) { return loss_impl<T, D>::mse(x.value(), target, gradient); });
}

}  // namespace kfer
