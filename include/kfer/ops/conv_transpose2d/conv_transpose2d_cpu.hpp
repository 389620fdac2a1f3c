// 2-D transposed convolution on the Cpu, by the passes of the ordinary one.
//
// With stride 1 it *is* an ordinary convolution, of the flipped kernel, with everything that can be fused
// there (and faster than oneDNN's own); otherwise its forward pass is the other's backward pass, and the
// other way round.
#pragma once

#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"

namespace kfer {

template <FloatingElement T>
struct conv_transpose2d_impl<T, Cpu> {
  using Tn = Tensor<T, Cpu>;
  using Conv = conv2d_impl<T, Cpu>;

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Conv2dEpilogue& epilogue) {
    if (const auto flat = as_convolution(s)) {
      const Layout layout = Conv::weight_layout(*flat);
      const auto make = [&] { return detail::ConvNarrow::flip(w).to(layout); };
      const Tn flipped = epilogue.at_rest ? *w.template derived<Tn>(layout, make) : make();
      return Conv::forward(*flat, x, flipped, bias, nullptr, epilogue);
    }
    Tn y = Conv::backward(s, {}, w, nullptr, x, {}, {.x = true, .w = false, .bias = false}).x;
    if (bias) y = binary_impl<AddFunctor, T, Cpu>::forward(y, bias->reshape({s.in_channels, 1, 1}));
    return epilogue.relu ? unary_impl<ReluFunctor, T, Cpu>::forward({}, y) : y;
  }

  static Conv2dGrads<T, Cpu> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                      Conv2dWants wants) {
    if (const auto flat = as_convolution(s)) {
      const Tn flipped = detail::ConvNarrow::flip(w).to(Conv::weight_layout(*flat));
      auto grads = Conv::backward(*flat, x, flipped, y, std::move(dy), {.relu = y != nullptr}, wants);
      if (wants.w) grads.w = detail::ConvNarrow::flip(grads.w);
      return grads;
    }
    if (y) dy = unary_impl<ReluFunctor, T, Cpu>::backward({}, *y, *y, std::move(dy));
    Conv2dGrads<T, Cpu> grads;
    if (wants.x) grads.x = Conv::forward(s, dy, w, nullptr, nullptr, {});
    if (wants.w) grads.w = Conv::backward(s, dy, w, nullptr, x, {}, {.x = false, .w = true, .bias = false}).w;
    if (wants.bias) grads.bias = detail::channel_sums(dy);
    return grads;
  }

 private:
  /// The ordinary convolution with the flipped kernel that equals this one, if there is one.
  static std::optional<Conv2dShape> as_convolution(const Conv2dShape& s) {
    const Extent2d p{s.kernel_height - 1 - s.padding.height, s.kernel_width - 1 - s.padding.width};
    if (s.stride != Extent2d(1) || s.dilation != Extent2d(1) || s.groups != 1 || p.height < 0 || p.width < 0)
      return std::nullopt;
    return Conv2dShape{s.batch,
                       s.out_channels,
                       s.out_height,
                       s.out_width,
                       s.in_channels,
                       s.kernel_height,
                       s.kernel_width,
                       s.height,
                       s.width,
                       1,
                       p,
                       1,
                       1};
  }
};

}  // namespace kfer
