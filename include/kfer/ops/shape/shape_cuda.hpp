// permute, concat, slice and its inverse on a GPU: one change of memory order, or copies of runs.
#pragma once

#include "kfer/kernels/relayout/shipped.cuh"
#include "kfer/ops/shape/shape.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <Element T, Gpu D>
struct rearrange_impl<T, D> {
  using Tn = Tensor<T, D>;

  /// y in row-major order is x with its dimensions in the order `dims`.
  static Tn permute(const Tn& x, const std::vector<int>& dims) {
    Shape shape;
    kernels::MemoryOrder order;
    for (const int d : dims) {
      const std::int64_t n = x.shape()[static_cast<std::size_t>(d)];
      shape.push_back(n);
      order.dim[order.axes] = d;
      order.step[order.axes] = 1;
      order.extent[order.axes++] = n;
    }
    Tn y(shape);
    kernels::relayout(detail::raw(x.data()), detail::memory_order(x.shape(), x.layout()),
                      detail::raw(y.mutable_data()), order, detail::extents(x.shape()), D::stream());
    return y;
  }

  static Tn concat(const std::vector<Tn>& inputs, std::size_t dim) {
    return detail::concat(
        inputs, dim, [](const Tn& part) { return part.layout().block_count() == 0; },
        [&](const Tn& part, Tn& y, std::int64_t begin) { copy(part, y, dim, 0, begin, part.shape()[dim]); });
  }

  static Tn slice(const Tn& input, std::size_t dim, std::int64_t begin, std::int64_t count) {
    const Tn x = detail::unblocked(input);
    Shape shape = x.shape();
    shape.set(dim, count);
    Tn y(shape, x.layout());
    copy(x, y, dim, begin, 0, count);
    return y;
  }

  static Tn pad(const Tn& input, const Shape& shape, std::size_t dim, std::int64_t begin) {
    const Tn dy = detail::unblocked(input);
    Tn dx = zeros<T, D>(shape, dy.layout());
    copy(dy, dx, dim, 0, begin, dy.shape()[dim]);
    return dx;
  }

 private:
  /// Bytes between neighbours along `dim`.
  static std::int64_t step(const Tn& x, std::size_t dim) {
    std::int64_t bytes = sizeof(T);
    for (std::size_t i = x.rank(); i-- > 0;) {
      const auto d = static_cast<std::size_t>(x.layout().order(i));
      if (d == dim) break;
      bytes *= x.shape()[d];
    }
    return bytes;
  }
  /// Elements [from_begin, ... + count) of `from` to [to_begin, ...) of `to`, which has the same memory
  /// order: memory is [outer][extent of dim][inner] in both.
  static void copy(const Tn& from, Tn& to, std::size_t dim, std::int64_t from_begin, std::int64_t to_begin,
                   std::int64_t count) {
    if (from.numel() == 0 || to.numel() == 0 || count == 0) return;
    const std::int64_t inner = step(from, dim), from_pitch = inner * from.shape()[dim],
                       to_pitch = inner * to.shape()[dim],
                       outer = from.numel() * std::int64_t{sizeof(T)} / from_pitch;
    kernels::pitched_copy(reinterpret_cast<const char*>(from.data()) + from_begin * inner, from_pitch,
                          reinterpret_cast<char*>(to.mutable_data()) + to_begin * inner, to_pitch, outer,
                          count * inner, D::stream());
  }
};

}  // namespace kfer
