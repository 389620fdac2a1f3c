// The sum of gradients on a GPU.
#pragma once

#include "kfer/autograd/variable.hpp"
#include "kfer/kernels/elementwise/shipped.cuh"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct accumulate_impl<T, D> {
  static void run(Tensor<T, D>& sum, const Tensor<T, D>& more) {
    const Tensor<T, D> other = more.to(sum.layout());
    kernels::accumulate(detail::raw(sum.mutable_data()), detail::raw(other.data()), sum.storage_size(),
                        D::stream());
  }
};

}  // namespace kfer
