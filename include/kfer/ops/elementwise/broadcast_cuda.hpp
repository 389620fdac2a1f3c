// How operands of an elementwise operation lie in memory, as kernels take it.
#pragma once

#include <array>

#include "kfer/kernels/elementwise/broadcast.cuh"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer::detail {

/// Elements between neighbours along each dimension of an unblocked tensor; 0 along an extent of 1.
template <Element T, Gpu D>
std::array<std::int64_t, Shape::max_rank> steps_of(const Tensor<T, D>& x) {
  std::array<std::int64_t, Shape::max_rank> steps{};
  std::int64_t step = 1;
  for (std::size_t i = x.rank(); i-- > 0;) {
    const auto d = static_cast<std::size_t>(x.layout().order(i));
    steps[d] = x.shape()[d] == 1 ? 0 : step;
    step *= x.shape()[d];
  }
  return steps;
}

/// a and b, both unblocked, repeated to `shape` in the order of `layout`.
template <Element T, Gpu D>
kernels::Broadcast broadcast_to(const Shape& shape, const Layout& layout, const Tensor<T, D>& a,
                                const Tensor<T, D>& b) {
  const auto along = [&](const Tensor<T, D>& x, std::size_t dim) {
    const std::size_t missing = shape.rank() - x.rank();
    return dim < missing ? 0 : steps_of(x)[dim - missing];
  };
  kernels::Broadcast out;
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const auto d = static_cast<std::size_t>(layout.order(i));
    out.push(shape[d], along(a, d), along(b, d));
  }
  return out;
}

}  // namespace kfer::detail
