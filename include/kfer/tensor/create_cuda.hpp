// Constants and casts on a GPU.
#pragma once

#include "kfer/kernels/elementwise/shipped.cuh"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <Element T, Gpu D>
struct fill_impl<T, D> {
  static void run(T* p, std::int64_t n, T value) {
    kernels::fill(detail::raw(p), *detail::raw(&value), n, D::stream());
  }
};

template <FloatingElement U, Element T, Gpu D>
struct cast_impl<U, T, D> {
  static Tensor<U, D> run(const Tensor<T, D>& x, const Layout& layout) {
    const Shape& shape = x.shape();
    Tensor<U, D> y(shape, layout);
    if (Layout::same_order(shape, x.layout(), layout))
      kernels::cast(detail::raw(x.data()), detail::raw(y.mutable_data()), x.storage_size(), D::stream());
    else
      kernels::relayout(detail::raw(x.data()), detail::memory_order(shape, x.layout()),
                        detail::raw(y.mutable_data()), detail::memory_order(shape, layout),
                        detail::extents(shape), D::stream());
    return y;
  }
};

}  // namespace kfer
