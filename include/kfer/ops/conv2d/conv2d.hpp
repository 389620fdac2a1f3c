// 2-D convolution (cross-correlation, as in every deep-learning framework), with what usually follows it
// fused in: bias, the sum with a residual, ReLU, dropout.
#pragma once

#include <optional>

#include "kfer/autograd/variable.hpp"
#include "kfer/core/extent2d.hpp"
#include "kfer/core/random.hpp"
#include "kfer/ops/elementwise/binary.hpp"

namespace kfer {

struct Conv2dOptions {
  Extent2d stride = 1;
  Extent2d padding = 0;  ///< zeros added on each side
  Extent2d dilation = 1;
  std::int64_t groups = 1;
  bool relu = false;  ///< y = max(0, y), after the residual was added
  std::optional<DropoutMask> dropout =
      {};  ///< applied last; needs relu, whose zeros tell backward what was dropped
};

/// All sizes of one convolution, checked.
struct Conv2dShape {
  std::int64_t batch, in_channels, height, width, out_channels, kernel_height, kernel_width, out_height,
      out_width;
  Extent2d stride, padding, dilation;
  std::int64_t groups;

  Shape input() const { return {batch, in_channels, height, width}; }
  Shape weight() const { return {out_channels, in_channels / groups, kernel_height, kernel_width}; }
  Shape output() const { return {batch, out_channels, out_height, out_width}; }
  /// Multiplications and additions of the direct method, forward.
  double flops() const {
    return 2.0 * static_cast<double>(output().numel()) * static_cast<double>(in_channels / groups) *
           static_cast<double>(kernel_height * kernel_width);
  }
  bool pointwise() const { return kernel_height == 1 && kernel_width == 1; }
  friend bool operator==(const Conv2dShape&, const Conv2dShape&) = default;

  /// Throws ShapeError or ValueError naming both shapes and what does not fit.
  static Conv2dShape of(const Shape& x, const Shape& w, const Conv2dOptions& o) {
    require<ShapeError>(x.rank() == 4, "conv2d: expected input [N, C, H, W], got ", x);
    require<ShapeError>(w.rank() == 4, "conv2d: expected weight [O, C / groups, KH, KW], got ", w);
    require(o.groups >= 1 && x[1] % o.groups == 0 && w[0] % o.groups == 0, "conv2d: ", o.groups,
            " groups do not divide the channels of input ", x, " and weight ", w);
    require<ShapeError>(x[1] / o.groups == w[1], "conv2d: input ", x, " has ", x[1], " channels in ",
                        o.groups, " group(s), weight ", w, " takes ", w[1], " a group");
    require(o.stride.height >= 1 && o.stride.width >= 1, "conv2d: stride must be at least 1, got ",
            o.stride.height, " x ", o.stride.width);
    require(o.dilation.height >= 1 && o.dilation.width >= 1, "conv2d: dilation must be at least 1, got ",
            o.dilation.height, " x ", o.dilation.width);
    require(o.padding.height >= 0 && o.padding.width >= 0, "conv2d: padding must not be negative, got ",
            o.padding.height, " x ", o.padding.width);
    require<ShapeError>(w[2] >= 1 && w[3] >= 1, "conv2d: the kernel of weight ", w, " is empty");
    const auto sum = [&](std::int64_t a, std::int64_t b, std::int64_t c) {  // a b + c
      std::int64_t out = 0;
      const bool fits = !__builtin_mul_overflow(a, b, &out) && !__builtin_add_overflow(out, c, &out);
      require<ShapeError>(fits, "conv2d: padding ", o.padding.height, " x ", o.padding.width, " or dilation ",
                          o.dilation.height, " x ", o.dilation.width, " is too large for ", x, " and ", w);
      return out;
    };
    const std::int64_t kh = sum(o.dilation.height, w[2] - 1, 1), kw = sum(o.dilation.width, w[3] - 1, 1);
    const std::int64_t h = sum(2, o.padding.height, x[2]), width = sum(2, o.padding.width, x[3]);
    require<ShapeError>(h >= kh && width >= kw, "conv2d: the kernel of weight ", w, " (", kh, " x ", kw,
                        " with dilation) is larger than the padded input (", h, " x ", width, ") of ", x);
    return {x[0],
            x[1],
            x[2],
            x[3],
            w[0],
            w[2],
            w[3],
            (h - kh) / o.stride.height + 1,
            (width - kw) / o.stride.width + 1,
            o.stride,
            o.padding,
            o.dilation,
            o.groups};
  }
};

/// What follows the sum in the same pass over memory. `at_rest`: the call is not recorded, so its weights
/// stay as they are, and a backend may keep forms of its own of them (Tensor::derived).
struct Conv2dEpilogue {
  bool relu = false;
  std::optional<DropoutMask> dropout = {};
  bool at_rest = false;
};

/// The three passes of a device and type:
///   forward(shape, x, w, bias or nullptr, residual or nullptr, epilogue) -> y
///   backward(shape, x, w, y or nullptr, dy, epilogue, wants) -> {dx, dw, db, dr}; y is given if the epilogue
///   has a ReLU
///   weight_layout(shape) -> the memory order in which the weights are best kept
template <FloatingElement T, class D>
struct conv2d_impl;

struct Conv2dWants {
  bool x = true, w = true, bias = true, residual = false;
};

template <FloatingElement T, class D>
struct Conv2dGrads {
  Tensor<T, D> x, w, bias, residual;
};

namespace detail {
/// Whether an operation on these inputs, some of which may be null, is recorded.
template <class... Inputs>
bool any_recorded(const Inputs*... inputs) {
  return ((inputs && will_record(*inputs)) || ...);
}

/// y + residual, then ReLU if asked for: for code that does not fuse them.
template <FloatingElement T, class D>
Tensor<T, D> add_residual(const Tensor<T, D>& y, const Tensor<T, D>& residual, bool relu) {
  return relu ? binary_impl<AddReluFunctor, T, D>::forward(y, residual)
              : binary_impl<AddFunctor, T, D>::forward(y, residual);
}

template <FloatingElement T, class D>
struct Conv2dBackward {
  Conv2dShape shape;
  Conv2dEpilogue epilogue;
  Tensor<T, D> x, w, y;
  bool has_bias, has_residual;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    const std::size_t residual = has_bias ? 3 : 2;
    const Conv2dWants wants{grads.wants(0), grads.wants(1), has_bias && grads.wants(2),
                            has_residual && grads.wants(residual)};
    auto d = conv2d_impl<T, D>::backward(shape, x, w, epilogue.relu ? &y : nullptr, std::move(dy), epilogue,
                                         wants);
    if (wants.x) grads.add(0, std::move(d.x));
    if (wants.w) grads.add(1, std::move(d.w));
    if (wants.bias) grads.add(2, std::move(d.bias));
    if (wants.residual) grads.add(residual, std::move(d.residual));
  }
};
}  // namespace detail

/// y[n, o, i, j] = bias[o] + sum over c, u, v of x[n, c, i*s + u*d - p, j*s + v*d - p] * w[o, c, u, v], plus
/// the residual, then ReLU, then dropout, as the options say. x: [N, C, H, W]; weight: [O, C / groups, KH,
/// KW]; bias: [O] or none; residual: of the result's shape, or none. The result is [N, O, (H + 2p - d(KH - 1)
/// - 1) / s + 1, ...]. Differentiable in x, weight, bias and residual. Throws ShapeError or ValueError naming
/// the shapes that do not fit.
template <FloatingElement T, class D>
Variable<T, D> conv2d(const Variable<T, D>& x, const Variable<T, D>& weight, const Variable<T, D>* bias,
                      const Conv2dOptions& options = {}, const Variable<T, D>* residual = nullptr) {
  const auto shape = Conv2dShape::of(x.shape(), weight.shape(), options);
  if (bias)
    require<ShapeError>(bias->shape() == Shape{shape.out_channels}, "conv2d: expected bias of shape ",
                        Shape{shape.out_channels}, ", got ", bias->shape());
  if (residual)
    require<ShapeError>(residual->shape() == shape.output(), "conv2d: the residual's shape ",
                        residual->shape(), " is not the result's, ", shape.output());
  if (options.dropout) {
    require(options.relu, "conv2d: dropout is fused only behind a ReLU; use dropout() for anything else");
    require(options.dropout->p >= 0 && options.dropout->p < 1, "conv2d: dropout must be in [0, 1), got ",
            options.dropout->p);
  }
  const Conv2dEpilogue epilogue{options.relu, options.dropout,
                                !detail::any_recorded(&x, &weight, bias, residual)};
  const Tensor<T, D> w = weight.settled(conv2d_impl<T, D>::weight_layout(shape), epilogue.at_rest);
  Tensor<T, D> y = conv2d_impl<T, D>::forward(shape, x.value(), w, bias ? &bias->value() : nullptr,
                                              residual ? &residual->value() : nullptr, epilogue);
  std::vector<Variable<T, D>> inputs{x, weight};
  if (bias) inputs.push_back(*bias);
  if (residual) inputs.push_back(*residual);
  return record(y, std::move(inputs),
                detail::Conv2dBackward<T, D>{shape, epilogue, x.value(), w, options.relu ? y : Tensor<T, D>(),
                                             bias != nullptr, residual != nullptr});
}
template <FloatingElement T, class D>
Variable<T, D> conv2d(const Variable<T, D>& x, const Variable<T, D>& weight, const Variable<T, D>& bias,
                      const Conv2dOptions& options = {}) {
  return conv2d(x, weight, &bias, options);
}
template <FloatingElement T, class D>
Variable<T, D> conv2d(const Variable<T, D>& x, const Variable<T, D>& weight,
                      const Conv2dOptions& options = {}) {
  return conv2d(x, weight, static_cast<const Variable<T, D>*>(nullptr), options);
}

}  // namespace kfer
