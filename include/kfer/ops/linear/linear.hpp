// The fully connected layer: y = x w^T + b, with the ReLU and dropout that often follow fused in.
#pragma once

#include <optional>

#include "kfer/autograd/variable.hpp"
#include "kfer/core/random.hpp"

namespace kfer {

struct LinearOptions {
  bool relu = false;  ///< y = max(0, y)
  std::optional<DropoutMask> dropout =
      {};  ///< applied last; needs relu, whose zeros tell backward what was dropped
};

/// All sizes, checked: x is seen as [batch, in].
struct LinearShape {
  std::int64_t batch, in, out;
  Shape result;  ///< x's shape with `out` as its last extent

  static LinearShape of(const Shape& x, const Shape& w) {
    require<ShapeError>(w.rank() == 2, "linear: expected weight [out, in], got ", w);
    require<ShapeError>(x.rank() >= 1 && x.at(-1) == w[1], "linear: expected input [*, ", w[1],
                        "] for weight ", w, ", got ", x);
    Shape result = x;
    result.set(x.rank() - 1, w[0]);
    std::int64_t batch = 1;
    for (std::size_t i = 0; i + 1 < x.rank(); ++i) batch *= x[i];
    return {batch, w[1], w[0], result};
  }
};

struct LinearWants {
  bool x = true, w = true, bias = true;
};

template <FloatingElement T, class D>
struct LinearGrads {
  Tensor<T, D> x, w, bias;
};

/// The passes of a device and type; matrices are row-major, of any rank with the sizes of `shape`:
///   forward(shape, x, w, bias or nullptr, options) -> y [batch, out]
///   backward(shape, x, w, y or nullptr, dy, options, wants) -> {dx [batch, in], dw, db}; y is given if there
///   is a ReLU
template <FloatingElement T, class D>
struct linear_impl;

namespace detail {
template <FloatingElement T, class D>
struct LinearBackward {
  LinearShape shape;
  LinearOptions options;
  Tensor<T, D> x, w, y;
  bool has_bias;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    const LinearWants wants{grads.wants(0), grads.wants(1), has_bias && grads.wants(2)};
    auto d = linear_impl<T, D>::backward(shape, x.row_major(), w, options.relu ? &y : nullptr, dy.row_major(),
                                         options, wants);
    if (wants.x) grads.add(0, d.x.reshape(x.shape()));
    if (wants.w) grads.add(1, std::move(d.w));
    if (wants.bias) grads.add(2, std::move(d.bias));
  }
};
}  // namespace detail

/// y[n, o] = bias[o] + sum over i of x[n, i] * weight[o, i], then ReLU, then dropout (which counts elements
/// of [batch, out]), as the options say. x: [..., in]; weight: [out, in]; bias: [out] or none. The result is
/// [..., out]. Differentiable in x, weight and bias. Throws ShapeError or ValueError naming what does not
/// fit.
template <FloatingElement T, class D>
Variable<T, D> linear(const Variable<T, D>& x, const Variable<T, D>& weight, const Variable<T, D>* bias,
                      const LinearOptions& options = {}) {
  const auto shape = LinearShape::of(x.shape(), weight.shape());
  if (bias)
    require<ShapeError>(bias->shape() == Shape{shape.out}, "linear: expected bias of shape ",
                        Shape{shape.out}, " for weight ", weight.shape(), ", got ", bias->shape());
  if (options.dropout) {
    require(options.relu, "linear: dropout is fused only behind a ReLU; use dropout() for anything else");
    require(options.dropout->p >= 0 && options.dropout->p < 1, "linear: dropout must be in [0, 1), got ",
            options.dropout->p);
  }
  const bool at_rest = !(will_record(x, weight) || (bias && will_record(*bias)));
  const Tensor<T, D> input = x.value().row_major(),
                     w = weight.settled(Layout::row_major(2), at_rest).row_major();
  Tensor<T, D> y = linear_impl<T, D>::forward(shape, input, w, bias ? &bias->value() : nullptr, options)
                       .reshape(shape.result);
  std::vector<Variable<T, D>> inputs{x, weight};
  if (bias) inputs.push_back(*bias);
  return record(y, std::move(inputs),
                detail::LinearBackward<T, D>{shape, options, input, w, options.relu ? y : Tensor<T, D>(),
                                             bias != nullptr});
}
template <FloatingElement T, class D>
Variable<T, D> linear(const Variable<T, D>& x, const Variable<T, D>& weight, const Variable<T, D>& bias,
                      const LinearOptions& options = {}) {
  return linear(x, weight, &bias, options);
}
template <FloatingElement T, class D>
Variable<T, D> linear(const Variable<T, D>& x, const Variable<T, D>& weight,
                      const LinearOptions& options = {}) {
  return linear(x, weight, static_cast<const Variable<T, D>*>(nullptr), options);
}

}  // namespace kfer
