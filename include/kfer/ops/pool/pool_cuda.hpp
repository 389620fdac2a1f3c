// Pooling on a GPU, in NHWC.
#pragma once

#include "kfer/kernels/pool/shipped.cuh"
#include "kfer/ops/pool/pool.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {
inline kernels::Pool2d raw(const Pool2dShape& s) {
  return {s.batch,         s.channels,     s.height,         s.width,
          s.out_height,    s.out_width,    s.kernel.height,  s.kernel.width,
          s.stride.height, s.stride.width, s.padding.height, s.padding.width};
}
}  // namespace detail

template <FloatingElement T, Gpu D>
struct max_pool2d_impl<T, D> {
  static Tensor<T, D> forward(const Pool2dShape& s, const Tensor<T, D>& input, MaxPoolIndex<D>* index) {
    const Tensor<T, D> x = input.to(Layout::channels_last());
    Tensor<T, D> y(s.output(), Layout::channels_last());
    const auto run = [&](auto& cells) {
      using Cells = std::remove_reference_t<decltype(cells)>;
      if (index) cells = Cells(s.output(), Layout::channels_last());
      kernels::max_pool_forward(detail::raw(x.data()), detail::raw(y.mutable_data()),
                                index ? cells.mutable_data() : nullptr, detail::raw(s), D::stream());
    };
    MaxPoolIndex<D> none;
    MaxPoolIndex<D>& kept = index ? *index : none;
    if (s.window() <= 256)
      run(kept.narrow);
    else
      run(kept.wide);
    return y;
  }

  static Tensor<T, D> backward(const Pool2dShape& s, const MaxPoolIndex<D>& index, const Tensor<T, D>& grad) {
    const Tensor<T, D> dy = grad.to(Layout::channels_last());
    Tensor<T, D> dx(s.input(), Layout::channels_last());
    const auto run = [&](const auto& cells) {
      kernels::max_pool_backward(detail::raw(dy.data()), cells.data(), detail::raw(dx.mutable_data()),
                                 detail::raw(s), D::stream());
    };
    if (s.window() <= 256)
      run(index.narrow);
    else
      run(index.wide);
    return dx;
  }
};

template <FloatingElement T, Gpu D>
struct avg_pool2d_impl<T, D> {
  static Tensor<T, D> forward(const Pool2dShape& s, bool count_include_pad, const Tensor<T, D>& input) {
    const Tensor<T, D> x = input.to(Layout::channels_last());
    Tensor<T, D> y(s.output(), Layout::channels_last());
    kernels::avg_pool_forward(detail::raw(x.data()), detail::raw(y.mutable_data()), detail::raw(s),
                              count_include_pad, D::stream());
    return y;
  }
  static Tensor<T, D> backward(const Pool2dShape& s, bool count_include_pad, const Tensor<T, D>& grad) {
    const Tensor<T, D> dy = grad.to(Layout::channels_last());
    Tensor<T, D> dx(s.input(), Layout::channels_last());
    kernels::avg_pool_backward(detail::raw(dy.data()), detail::raw(dx.mutable_data()), detail::raw(s),
                               count_include_pad, D::stream());
    return dx;
  }
};

template <FloatingElement T, Gpu D>
struct global_avg_pool_impl<T, D> {
  static Tensor<T, D> forward(const Tensor<T, D>& input) {
    const Tensor<T, D> x = input.to(Layout::channels_last());
    const Shape& s = x.shape();
    Tensor<T, D> y({s[0], s[1]});
    kernels::global_avg_pool_forward(detail::raw(x.data()), detail::raw(y.mutable_data()), s[0], s[2] * s[3],
                                     s[1], D::stream());
    return y;
  }
  static Tensor<T, D> backward(const Tensor<T, D>& grad, const Shape& s, const Layout&) {
    const Tensor<T, D> dy = grad.row_major();
    Tensor<T, D> dx(s, Layout::channels_last());
    kernels::global_avg_pool_backward(detail::raw(dy.data()), detail::raw(dx.mutable_data()), s[0],
                                      s[2] * s[3], s[1], D::stream());
    return dx;
  }
};

}  // namespace kfer
