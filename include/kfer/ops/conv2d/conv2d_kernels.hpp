// Convolutions of a GPU by kfer's own kernels: every type, every device, every shape.
#pragma once

#include "kfer/kernels/conv2d/shipped.cuh"
#include "kfer/ops/conv2d/conv2d.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer::detail {

/// An engine: the three passes of a convolution without what surrounds them. Tensors may come in any memory
/// order; results are channels-last.
template <FloatingElement T, Gpu D>
struct ConvKernels {
  using Tn = Tensor<T, D>;

  /// x [N, C, H, W], w [O, C / groups, KH, KW], bias [O] or null -> y [N, O, P, Q].
  static Tn forward(const Conv2dShape& shape, const Tn& x, const Tn& w, const Tn* bias, bool relu) {
    const auto s = sizes(shape);
    Tn y(shape.output(), order());
    const Tn in = x.to(order()), weight = w.to(order());
    kernels::conv2d_forward(s, raw(in.data()), raw(weight.data()), bias ? raw(bias->data()) : nullptr, relu,
                            raw(y.mutable_data()), D::stream(), tf32());
    return y;
  }

  /// The gradient of x.
  static Tn backward_data(const Conv2dShape& shape, const Tn& w, const Tn& dy) {
    const auto s = sizes(shape);
    Tn dx(shape.input(), order());
    const Tn weight = w.to(order()), in = dy.to(order());
    kernels::conv2d_backward_data(s, raw(weight.data()), raw(in.data()), raw(dx.mutable_data()), D::stream(),
                                  tf32());
    return dx;
  }

  /// The gradient of w, the same bits every time.
  static Tn backward_weights(const Conv2dShape& shape, const Tn& x, const Tn& dy) {
    const auto s = sizes(shape);
    Tn dw(shape.weight(), order());
    const Tn in = x.to(order()), out = dy.to(order());
    Buffer<D> workspace(kernels::conv2d_backward_weights_workspace<kernel_t<T>>(s, tf32()));
    kernels::conv2d_backward_weights(s, raw(in.data()), raw(out.data()), raw(dw.mutable_data()),
                                     workspace.data(), D::stream(), tf32());
    return dw;
  }

 private:
  static Layout order() { return Layout::channels_last(); }
  /// Whether products of float may be rounded to TF32.
  static bool tf32() {
    if constexpr (requires { D::math(); })
      return !D::math().strict_fp32;
    else
      return false;
  }

  /// The sizes as kernels take them. Throws ShapeError if they are past what the kernels count with.
  static kernels::ConvShape sizes(const Conv2dShape& s) {
    const auto fits = [](std::initializer_list<std::int64_t> factors) {
      std::int64_t product = 1;
      for (const std::int64_t f : factors)
        if (__builtin_mul_overflow(product, f, &product) || product > kernels::ConvShape::limit) return false;
      return true;
    };
    const auto n = [](std::int64_t v) { return static_cast<int>(v); };
    require<ShapeError>(
        fits({s.batch, s.height + 2 * s.padding.height, s.width + 2 * s.padding.width}) &&
            fits({s.height, s.width, s.in_channels}) && fits({s.batch, s.out_height, s.out_width}) &&
            fits({s.out_height, s.out_width, s.out_channels}) && fits({s.weight().numel()}) &&
            fits({s.stride.height, s.dilation.height}) && fits({s.stride.width, s.dilation.width}) &&
            fits({s.kernel_height, s.dilation.height}) && fits({s.kernel_width, s.dilation.width}),
        "conv2d: input ", s.input(), " and weight ", s.weight(),
        " have about 2^31 pixels, weights, or elements of one image, past what a GPU kernel "
        "counts with");
    return {n(s.batch),         n(s.height),          n(s.width),          n(s.in_channels),
            n(s.out_height),    n(s.out_width),       n(s.out_channels),   n(s.kernel_height),
            n(s.kernel_width),  n(s.stride.height),   n(s.stride.width),   n(s.padding.height),
            n(s.padding.width), n(s.dilation.height), n(s.dilation.width), n(s.groups)};
  }
};

}  // namespace kfer::detail
