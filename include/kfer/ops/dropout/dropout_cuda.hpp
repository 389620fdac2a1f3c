// Dropout on a GPU, and the parts of it that convolutions and linear layers run behind themselves.
#pragma once

#include <optional>

#include "kfer/kernels/dropout/shipped.cuh"
#include "kfer/ops/dropout/dropout.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {

/// The order that dropout numbers elements in: channels-last for rank 4, else row-major.
inline Layout dropout_order(std::size_t rank) {
  return rank == 4 ? Layout::channels_last() : Layout::row_major(rank);
}
/// The extent of the fastest dimension of that order, at least 1.
inline std::int64_t dropout_channels(const Shape& shape) {
  const std::int64_t channels = shape.rank() == 4 ? shape[1] : shape.rank() ? shape.at(-1) : 1;
  return channels ? channels : 1;
}
/// Whether `x` lies in memory in that order.
template <FloatingElement T, Gpu D>
bool in_dropout_order(const Tensor<T, D>& x) {
  return Layout::same_order(x.shape(), x.layout(), dropout_order(x.rank()));
}

/// Makes `x` writable without a copy of its elements: if its memory is shared, x gets new memory, and what it
/// was is returned (else an empty tensor).
template <FloatingElement T, Gpu D>
Tensor<T, D> own_or_fresh(Tensor<T, D>& x) {
  if (x.is_unique()) return {};
  return std::exchange(x, Tensor<T, D>(x.shape(), x.layout()));
}

/// y = dropout(relu(y + bias)) in place, in one pass; each part is optional. y: channels-last, or row-major
/// if its rank is not 4; bias: one number a channel. Throws ShapeError otherwise.
template <FloatingElement T, Gpu D>
void bias_relu_dropout(Tensor<T, D>& y, const Tensor<T, D>* bias, bool relu,
                       const std::optional<DropoutMask>& dropout) {
  require<ShapeError>(in_dropout_order(y), "bias_relu_dropout: expected the memory order ",
                      dropout_order(y.rank()), " of a tensor ", y.shape(), ", got ", y.layout());
  const std::int64_t channels = dropout_channels(y.shape());
  if (bias)
    require<ShapeError>(bias->shape() == Shape{channels}, "bias_relu_dropout: expected a bias of shape ",
                        Shape{channels}, " for ", y.shape(), ", got ", bias->shape());
  if (!bias && !relu && !dropout) return;
  std::optional<kernels::Dropout> mask;
  if (dropout) mask = raw<D>(*dropout);
  auto* p = raw(y.mutable_data());
  kernels::bias_activation_dropout<kernel_t<T>>(p, bias ? raw(bias->data()) : nullptr, p, y.numel(), channels,
                                                relu ? kernels::Activation::relu : kernels::Activation::none,
                                                mask ? &*mask : nullptr, D::stream());
}

/// dy * scale where y > 0, else 0, in y's memory order and in place of dy: the gradient of ReLU (scale 1) and
/// of ReLU with dropout, whose zeros tell what was dropped.
template <FloatingElement T, Gpu D>
Tensor<T, D> relu_dropout_backward(const Tensor<T, D>& y, Tensor<T, D> dy, float scale) {
  dy = dy.to(y.layout());
  const Tensor<T, D> in = own_or_fresh(dy);
  const T* from = in.numel() ? in.data() : dy.data();
  kernels::relu_dropout_backward<kernel_t<T>>(raw(y.data()), raw(from), raw(dy.mutable_data()),
                                              y.storage_size(), kernels::accum_t<kernel_t<T>>(scale),
                                              D::stream());
  return dy;
}

}  // namespace detail

template <FloatingElement T, Gpu D>
struct dropout_impl<T, D> {
  using Tn = Tensor<T, D>;

  static Tn forward(const Tn& input, const DropoutMask& mask, bool relu) {
    const Tn x = input.to(detail::dropout_order(input.rank()));
    Tn y(x.shape(), x.layout());
    run(y, x.data(), mask, relu);
    return input.layout().is_row_major() ? y.row_major() : y;
  }
  static Tn backward(Tn dy, const DropoutMask& mask) {
    const bool plain = dy.layout().is_row_major();
    dy = dy.to(detail::dropout_order(dy.rank()));
    const Tn in = detail::own_or_fresh(dy);
    run(dy, in.numel() ? in.data() : dy.data(), mask, false);
    return plain ? dy.row_major() : dy;
  }
  static Tn relu_backward(const Tn& y, Tn dy, float scale) {
    return detail::relu_dropout_backward(y, std::move(dy), scale);
  }

 private:
  static void run(Tn& y, const T* x, const DropoutMask& dropout, bool relu) {
    const kernels::Dropout mask = detail::raw<D>(dropout);
    kernels::bias_activation_dropout<detail::kernel_t<T>>(
        detail::raw(x), nullptr, detail::raw(y.mutable_data()), y.numel(),
        detail::dropout_channels(y.shape()), relu ? kernels::Activation::relu : kernels::Activation::none,
        &mask, D::stream());
  }
};

}  // namespace kfer
