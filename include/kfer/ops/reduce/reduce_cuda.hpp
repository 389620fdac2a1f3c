// Sums over dimensions on a GPU.
#pragma once

#include "kfer/kernels/elementwise/shipped.cuh"
#include "kfer/kernels/reduce/shipped.cuh"
#include "kfer/ops/elementwise/broadcast_cuda.hpp"
#include "kfer/ops/reduce/reduce.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct reduce_impl<T, D> {
  using Tn = Tensor<T, D>;

  static Tn sum(const Tn& input, const Shape& kept, parameter_t<T> factor) {
    const Tn x = detail::unblocked(input);
    // The result has x's order of dimensions, in which those of extent 1 may stand anywhere.
    Tn y(kept, x.layout());
    kernels::Reduction shape;
    for (std::size_t i = 0; i < x.rank(); ++i) {
      const auto d = static_cast<std::size_t>(x.layout().order(i));
      shape.push(x.shape()[d], kept[d] == 1);
    }
    if (y.numel() == 0) return y;
    const Buffer<D> workspace(kernels::reduce_workspace<detail::kernel_t<T>>(shape));
    kernels::reduce<kernels::Sum>(detail::raw(x.data()), detail::raw(y.mutable_data()), shape, factor,
                                  workspace.data(), D::stream());
    return y;
  }

  static Tn expand(const Tn& grad, const Shape& shape, const Layout& wanted, parameter_t<T> factor) {
    const Tn dy = detail::unblocked(grad);
    Tn dx(shape, wanted.block_count() ? Layout::row_major(shape.rank()) : wanted);
    kernels::expand(detail::broadcast_to(shape, dx.layout(), dy, dy), detail::raw(dy.data()),
                    detail::raw(dx.mutable_data()), factor, D::stream());
    return dx;
  }
};

}  // namespace kfer
