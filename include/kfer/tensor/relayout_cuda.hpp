// Changes of memory order on a GPU.
#pragma once

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/relayout/shipped.cuh"
#include "kfer/tensor/tensor.hpp"

namespace kfer {
namespace detail {
/// The layout's axes in memory, slowest first, as kernels take them.
inline kernels::MemoryOrder memory_order(const Shape& shape, const Layout& layout) {
  kernels::MemoryOrder order;
  const auto push = [&](int dim, std::int64_t step, std::int64_t extent) {
    order.dim[order.axes] = dim;
    order.step[order.axes] = step;
    order.extent[order.axes++] = extent;
  };
  for (std::size_t i = 0; i < layout.rank(); ++i) {
    const int dim = layout.order(i);
    const std::int64_t block = layout.block_size(dim), n = shape[static_cast<std::size_t>(dim)];
    push(dim, block, n / block + (n % block != 0));
  }
  for (std::size_t b = 0; b < layout.block_count(); ++b) {
    std::int64_t inner = 1;  // blocks of the same dimension further in
    for (std::size_t k = b + 1; k < layout.block_count(); ++k)
      if (layout.block(k).dim == layout.block(b).dim) inner *= layout.block(k).size;
    push(layout.block(b).dim, inner, layout.block(b).size);
  }
  return order;
}

inline kernels::Extents extents(const Shape& shape) {
  kernels::Extents out;
  for (std::size_t d = 0; d < Shape::max_rank; ++d) out.v[d] = d < shape.rank() ? shape[d] : 1;
  return out;
}

/// The tensor itself if its layout is an order of dimensions, else a copy in row-major order: inner blocks
/// have no steps.
template <Element T, Gpu D>
Tensor<T, D> unblocked(const Tensor<T, D>& x) {
  return x.layout().block_count() ? x.row_major() : x;
}
}  // namespace detail

template <Element T, Gpu D>
struct relayout_impl<T, D> {
  static void run(const Tensor<T, D>& from, Tensor<T, D>& to) {
    const Shape& shape = from.shape();
    kernels::relayout(detail::raw(from.data()), detail::memory_order(shape, from.layout()),
                      detail::raw(to.mutable_data()), detail::memory_order(shape, to.layout()),
                      detail::extents(shape), D::stream());
  }
};

}  // namespace kfer
