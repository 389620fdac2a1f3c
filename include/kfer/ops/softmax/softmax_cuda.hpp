// Softmax on a GPU. The kernels know rows; another dimension is brought to the end first, and back
// afterwards.
#pragma once

#include "kfer/kernels/softmax/shipped.cuh"
#include "kfer/ops/softmax/softmax.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct softmax_impl<T, D> {
  using Tn = Tensor<T, D>;

  static Tn forward(const Tn& input, std::size_t dim, bool logarithm) {
    const Tn x = rows(input, dim);
    Tn y(x.shape(), x.layout());
    const std::int64_t n = x.shape()[1];
    kernels::softmax_forward(detail::raw(x.data()), detail::raw(y.mutable_data()), n ? x.numel() / n : 0, n,
                             logarithm, D::stream());
    return y.reshape(input.shape());
  }
  static Tn backward(const Tn& result, const Tn& grad, std::size_t dim, bool logarithm) {
    const Tn y = rows(result, dim), dy = rows(grad, dim);
    Tn dx(y.shape(), y.layout());
    const std::int64_t n = y.shape()[1];
    kernels::softmax_backward(detail::raw(y.data()), detail::raw(dy.data()), detail::raw(dx.mutable_data()),
                              n ? y.numel() / n : 0, n, logarithm, D::stream());
    return dx.reshape(result.shape());
  }

 private:
  /// x as [outer, n, inner], n the extent of `dim`, with n the fastest in memory.
  static Tn rows(const Tn& x, std::size_t dim) {
    std::int64_t outer = 1, inner = 1;
    for (std::size_t d = 0; d < dim; ++d) outer *= x.shape()[d];
    for (std::size_t d = dim + 1; d < x.rank(); ++d) inner *= x.shape()[d];
    return x.reshape({outer, x.shape()[dim], inner}).to(Layout{0, 2, 1});
  }
};

}  // namespace kfer
