// 2-D transposed convolution: the gradient of a convolution with respect to its input, used as a layer of its
// own.
#pragma once

#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer {

struct ConvTranspose2dOptions {
  Extent2d stride = 1;
  Extent2d padding = 0;         ///< rows and columns cut off each side of the full result
  Extent2d output_padding = 0;  ///< rows and columns added at the far side; less than the stride
  Extent2d dilation = 1;
  std::int64_t groups = 1;
  bool relu = false;  ///< y = max(0, y)
};

/// The convolution that a transposed one is the gradient of: it maps the *result* [N, O, H', W'] to the
/// *input* [N, I, H, W] with the same weight [I, O / groups, KH, KW]. Throws ShapeError or ValueError naming
/// what does not fit.
inline Conv2dShape conv_transpose2d_shape(const Shape& x, const Shape& w, const ConvTranspose2dOptions& o) {
  require<ShapeError>(x.rank() == 4, "conv_transpose2d: expected input [N, I, H, W], got ", x);
  require<ShapeError>(w.rank() == 4, "conv_transpose2d: expected weight [I, O / groups, KH, KW], got ", w);
  require<ShapeError>(x[1] == w[0], "conv_transpose2d: input ", x, " has ", x[1], " channels, weight ", w,
                      " takes ", w[0]);
  require(o.groups >= 1 && w[0] % o.groups == 0, "conv_transpose2d: ", o.groups,
          " groups do not divide the channels of ", x);
  require(o.stride.height >= 1 && o.stride.width >= 1 && o.dilation.height >= 1 && o.dilation.width >= 1 &&
              o.padding.height >= 0 && o.padding.width >= 0,
          "conv_transpose2d: stride and dilation must be at least 1 and padding at least 0");
  require(o.output_padding.height >= 0 && o.output_padding.width >= 0 &&
              o.output_padding.height < o.stride.height && o.output_padding.width < o.stride.width,
          "conv_transpose2d: output_padding must be less than the stride");
  const auto extent = [&](std::int64_t in, std::int64_t k, std::int64_t s, std::int64_t p, std::int64_t d,
                          std::int64_t e) {  // (in - 1) s - 2 p + d (k - 1) + e + 1
    if (in == 0) return in;
    std::int64_t spread = 0, kernel = 0, cut = 0, out = 0;
    const bool fits = !__builtin_mul_overflow(in - 1, s, &spread) &&
                      !__builtin_mul_overflow(d, k - 1, &kernel) && !__builtin_mul_overflow(2, p, &cut) &&
                      !__builtin_add_overflow(spread, kernel, &out) &&
                      !__builtin_add_overflow(out, e + 1, &out) && !__builtin_sub_overflow(out, cut, &out);
    require<ShapeError>(fits, "conv_transpose2d: stride ", s, ", padding ", p, " or dilation ", d,
                        " is too large for ", x, " and ", w);
    return out;
  };
  const std::int64_t h =
      extent(x[2], w[2], o.stride.height, o.padding.height, o.dilation.height, o.output_padding.height);
  const std::int64_t width =
      extent(x[3], w[3], o.stride.width, o.padding.width, o.dilation.width, o.output_padding.width);
  require<ShapeError>(h >= 1 && width >= 1, "conv_transpose2d: input ", x, " and weight ", w,
                      " give an empty result (", h, " x ", width, ")");
  return {x[0], w[1] * o.groups, h,         width,      x[1],    w[2], w[3], x[2],
          x[3], o.stride,        o.padding, o.dilation, o.groups};
}

/// forward(shape, x, w, bias or nullptr, epilogue without dropout) -> y; backward(shape, x, w, y or nullptr,
/// dy, wants) -> {dx, dw, db}, where `shape` is conv_transpose2d_shape's and y is given if there was a ReLU.
/// A backend that keeps weights in a memory order of its own has weight_layout(shape).
template <FloatingElement T, class D>
struct conv_transpose2d_impl;

namespace detail {
template <FloatingElement T, class D>
struct ConvTranspose2dBackward {
  Conv2dShape shape;
  bool relu, has_bias;
  Tensor<T, D> x, w, y;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    const Conv2dWants wants{grads.wants(0), grads.wants(1), has_bias && grads.wants(2)};
    auto d = conv_transpose2d_impl<T, D>::backward(shape, x, w, relu ? &y : nullptr, std::move(dy), wants);
    if (wants.x) grads.add(0, std::move(d.x));
    if (wants.w) grads.add(1, std::move(d.w));
    if (wants.bias) grads.add(2, std::move(d.bias));
  }
};
}  // namespace detail

/// y[n, o, i*s + u*d - p, j*s + v*d - p] += x[n, c, i, j] * w[c, o, u, v], plus bias[o], then ReLU if asked
/// for. x: [N, I, H, W]; weight: [I, O / groups, KH, KW]; bias: [O] or nullptr. The result has (H - 1) s - 2
/// p + d (KH - 1) + output_padding + 1 rows. Throws ShapeError or ValueError naming what does not fit.
template <FloatingElement T, class D>
Variable<T, D> conv_transpose2d(const Variable<T, D>& x, const Variable<T, D>& weight,
                                const Variable<T, D>* bias, const ConvTranspose2dOptions& options = {}) {
  const auto shape = conv_transpose2d_shape(x.shape(), weight.shape(), options);
  if (bias)
    require<ShapeError>(bias->shape() == Shape{shape.in_channels},
                        "conv_transpose2d: expected bias of shape ", Shape{shape.in_channels}, ", got ",
                        bias->shape());
  const bool at_rest = !detail::any_recorded(&x, &weight, bias);
  Tensor<T, D> w = weight.value();
  if constexpr (requires { conv_transpose2d_impl<T, D>::weight_layout(shape); })
    w = weight.settled(conv_transpose2d_impl<T, D>::weight_layout(shape), at_rest);
  Tensor<T, D> y = conv_transpose2d_impl<T, D>::forward(shape, x.value(), w, bias ? &bias->value() : nullptr,
                                                        {.relu = options.relu, .at_rest = at_rest});
  std::vector<Variable<T, D>> inputs{x, weight};
  if (bias) inputs.push_back(*bias);
  return record(y, std::move(inputs),
                detail::ConvTranspose2dBackward<T, D>{shape, options.relu, bias != nullptr, x.value(), w,
                                                      options.relu ? y : Tensor<T, D>()});
}
template <FloatingElement T, class D>
Variable<T, D> conv_transpose2d(const Variable<T, D>& x, const Variable<T, D>& weight,
                                const Variable<T, D>& bias, const ConvTranspose2dOptions& options = {}) {
  return conv_transpose2d(x, weight, &bias, options);
}

}  // namespace kfer
