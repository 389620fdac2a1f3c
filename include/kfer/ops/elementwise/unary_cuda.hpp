// Elementwise operations of one tensor on a GPU.
#pragma once

#include <utility>

#include "kfer/kernels/elementwise/shipped.cuh"
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/ops/elementwise/unary.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {
/// Where a gradient computed from `dy`, element by element, goes: into dy's own memory if nobody shares it,
/// or into a tensor like it.
template <FloatingElement T, Gpu D>
Tensor<T, D> take_or_make(Tensor<T, D>& dy) {
  return dy.is_unique() ? std::move(dy) : Tensor<T, D>(dy.shape(), dy.layout());
}
}  // namespace detail

template <class F, FloatingElement T, Gpu D>
struct unary_impl<F, T, D> {
  using Tn = Tensor<T, D>;

  static Tn forward(F f, const Tn& input) {
    const Tn x = F::keeps_zero || !input.layout().has_padding(input.shape()) ? input : input.row_major();
    Tn y(x.shape(), x.layout());
    kernels::unary_forward(f, detail::raw(x.data()), detail::raw(y.mutable_data()), x.storage_size(),
                           D::stream());
    return y;
  }

  /// `dy` is passed by value: its memory becomes the gradient if nobody shares it.
  static Tn backward(F f, const Tn& input, const Tn& output, Tn dy) {
    const Tn x = input.to(output.layout());
    dy = dy.to(output.layout());
    const T* g = dy.data();
    Tn dx = detail::take_or_make(dy);
    kernels::unary_backward(f, detail::raw(g), detail::raw(x.data()), detail::raw(output.data()),
                            detail::raw(dx.mutable_data()), dx.storage_size(), D::stream());
    return dx;
  }
};

}  // namespace kfer
