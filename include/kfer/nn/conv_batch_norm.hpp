// ConvBatchNorm2d: a convolution and the batch norm behind it, which inference runs as one convolution.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/nn/batch_norm.hpp"
#include "kfer/nn/conv2d.hpp"

namespace kfer {

/// norm(conv(x)), with the batch norm's ReLU: [N, in, H, W] -> [N, out, H', W'] of the convolution. Its parts
/// are called "0" and "1".
template <FloatingElement T = float, class D = Cpu>
struct ConvBatchNorm2d {
  using parameter_type = Variable<parameter_t<T>, D>;

  Conv2d<T, D> conv;
  std::optional<BatchNorm2d<T, D>> norm;  ///< none once it is folded

  ConvBatchNorm2d(std::int64_t in, std::int64_t out, Extent2d kernel, RandomStream& random,
                  const Conv2dConfig& conv_config, const BatchNorm2dConfig& norm_config)
      : conv(in, out, kernel, random, conv_config), norm(std::in_place, out, norm_config) {}

  Variable<T, D> operator()(const Variable<T, D>& x) { return norm ? (*norm)(conv(x)) : conv(x); }
  /// The same plus a residual of the result's shape, added before the ReLU.
  Variable<T, D> operator()(const Variable<T, D>& x, const Variable<T, D>& residual) {
    return norm ? (*norm)(conv(x), residual) : conv(x, residual);
  }

  /// Makes the batch norm of inference part of the convolution: with s = gamma / sqrt(running_var + eps), the
  /// weights become w s, the bias (bias - running_mean) s + beta, computed in double and rounded once. They
  /// are new parameters that ask for no gradient. The norm's names are gone then, and a bias may be new:
  /// weights saved from here do not load into a layer that is not folded. Throws ValueError for a batch norm
  /// in training mode, and for a convolution that has a ReLU of its own.
  void fold() {
    if (!norm) return;
    require(!norm->training || norm->frozen,
            "fold: the batch norm is in training mode: call set_training(model, false)");
    require(!conv.options.relu, "fold: there is a ReLU between convolution and batch norm");
    using P = parameter_t<T>;
    const auto gamma = norm->weight.value().to_vector(), beta = norm->bias.value().to_vector(),
               mean = norm->running_mean.to_vector(), variance = norm->running_var.to_vector();
    auto weight = conv.weight.value().to_vector();
    auto bias = conv.bias ? conv.bias->value().to_vector() : std::vector<P>(gamma.size());
    const std::size_t taps = weight.size() / std::max<std::size_t>(gamma.size(), 1);  // that make one output
    for (std::size_t c = 0; c < gamma.size(); ++c) {
      const double scale = gamma[c] / std::sqrt(double{variance[c]} + norm->eps);
      for (std::size_t i = c * taps; i < (c + 1) * taps; ++i) weight[i] = static_cast<P>(weight[i] * scale);
      bias[c] = static_cast<P>((double{bias[c]} - mean[c]) * scale + beta[c]);
    }
    conv.weight = parameter_type(Tensor<P, D>(conv.weight.shape(), std::span<const P>(weight)));
    conv.bias.emplace(Tensor<P, D>(norm->bias.shape(), std::span<const P>(bias)));
    conv.options.relu = norm->relu;
    norm.reset();
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("0", conv);
    v("1", norm);
  }
};

namespace detail {
template <class X>
inline constexpr bool is_conv_batch_norm = false;
template <FloatingElement T, class D>
inline constexpr bool is_conv_batch_norm<ConvBatchNorm2d<T, D>> = true;
}  // namespace detail

/// `model` for inference alone: the same function, with every ConvBatchNorm2d folded into one convolution
/// (a Conv2d and a BatchNorm2d that are members of their own stay as they are). Names and number of its
/// tensors change, so weights saved from it do not load into the model that is not folded.
/// Its parameters are its own; those that folding does not change share memory with the original's until
/// either side is written. Throws ValueError unless the batch norms are in inference mode.
template <Module M>
M fold_batch_norm(M model) {
  for_each_parameter(model, [](const std::string&, auto& p) { p = p.detach(); });
  for_each_module(model, [](const std::string&, auto& m) {
    if constexpr (detail::is_conv_batch_norm<std::remove_reference_t<decltype(m)>>) m.fold();
  });
  return model;
}

}  // namespace kfer
