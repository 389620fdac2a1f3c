// permute, concat and slice on the Cpu: copies of contiguous runs. They are their own reference.
#pragma once

#include "kfer/ops/shape/shape.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <Element T>
struct rearrange_impl<T, Cpu> {
  using Tn = Tensor<T, Cpu>;

  static Tn permute(const Tn& input, const std::vector<int>& dims) {
    const Tn x = input.row_major();
    const std::size_t rank = x.rank();
    Shape shape;
    for (const int d : dims) shape.push_back(x.shape()[static_cast<std::size_t>(d)]);
    Tn y(shape);
    if (y.numel() == 0) return y;
    if (rank == 2 && dims[0] == 1) {
      detail::transpose_planes(x.data(), y.mutable_data(), 1, x.shape()[0], x.shape()[1]);
      return y;
    }
    std::array<std::int64_t, Shape::max_rank> stride{}, step{};
    std::int64_t product = 1;
    for (std::size_t d = rank; d-- > 0; product *= x.shape()[d]) stride[d] = product;
    for (std::size_t i = 0; i < rank; ++i) step[i] = stride[static_cast<std::size_t>(dims[i])];
    const std::int64_t inner = rank ? shape[rank - 1] : 1, inner_step = rank ? step[rank - 1] : 1;
    const T* from = x.data();
    T* to = y.mutable_data();
    parallel_ranges(y.numel() / inner, std::max<std::int64_t>(1, 4096 / inner),
                    [&](int, std::int64_t r0, std::int64_t r1) {
                      for (std::int64_t r = r0; r < r1; ++r) {
                        std::int64_t at = 0, left = r;
                        for (std::size_t i = rank ? rank - 1 : 0; i-- > 0; left /= shape[i])
                          at += left % shape[i] * step[i];
                        for (std::int64_t j = 0; j < inner; ++j)
                          to[r * inner + j] = from[at + j * inner_step];
                      }
                    });
    return y;
  }

  static Tn concat(const std::vector<Tn>& inputs, std::size_t dim) {
    return detail::concat(
        inputs, dim, [&](const Tn& part) { return keeps(part, dim); },
        [&](const Tn& part, Tn& y, std::int64_t begin) { copy(part, y, dim, 0, begin, part.shape()[dim]); });
  }

  static Tn slice(const Tn& input, std::size_t dim, std::int64_t begin, std::int64_t count) {
    const std::int64_t unit = unit_of(input.layout(), dim);
    const bool keep = keeps(input, dim) && begin % unit == 0 && count % unit == 0;
    const Tn x = keep ? input : input.row_major();
    Shape shape = x.shape();
    shape.set(dim, count);
    Tn y(shape, x.layout());
    copy(x, y, dim, begin, 0, count);
    return y;
  }

  static Tn pad(const Tn& input, const Shape& shape, std::size_t dim, std::int64_t begin) {
    const std::int64_t unit = unit_of(input.layout(), dim);
    const bool keep = keeps(input, dim) && begin % unit == 0 && shape[dim] % unit == 0;
    const Tn dy = keep ? input : input.row_major();
    Tn dx = zeros<T, Cpu>(shape, dy.layout());
    copy(dy, dx, dim, 0, begin, dy.shape()[dim]);
    return dx;
  }

 private:
  /// Whether a piece along `dim` is a run of memory in the tensor's own order.
  static bool keeps(const Tn& x, std::size_t dim) {
    return x.layout().is_row_major() || (dim <= 1 && detail::Planes::fits(x.shape(), x.layout()));
  }
  static std::int64_t unit_of(const Layout& layout, std::size_t dim) {
    return layout.block_size(static_cast<int>(dim));
  }

  /// Memory as [outer][extent of dim][inner].
  struct Runs {
    std::int64_t outer = 1, extent = 1, inner = 1;
    static Runs of(const Tn& x, std::size_t dim) {
      Runs r;
      const Shape& s = x.shape();
      r.extent = s[dim];
      if (dim == 1 && !x.layout().is_row_major()) {
        const auto planes = detail::Planes::of(s, x.layout());
        const bool last = x.layout() == Layout::channels_last();
        r.outer = last ? s[0] * planes.pixels : s[0];
        r.inner = last ? 1 : planes.pixels;
      } else {
        for (std::size_t d = 0; d < s.rank(); ++d) (d < dim ? r.outer : r.inner) *= d == dim ? 1 : s[d];
      }
      return r;
    }
  };
  /// Elements [from_begin, ... + count) of `from` to [to_begin, ...) of `to`, which has the same memory
  /// order.
  static void copy(const Tn& from, Tn& to, std::size_t dim, std::int64_t from_begin, std::int64_t to_begin,
                   std::int64_t count) {
    if (from.numel() == 0 || to.numel() == 0) return;
    const Runs a = Runs::of(from, dim), b = Runs::of(to, dim);
    const T* src = from.data() + from_begin * a.inner;
    T* dst = to.mutable_data() + to_begin * b.inner;
    const std::int64_t run = count * a.inner;
    if (run == 0) return;
    parallel_ranges(a.outer, std::max<std::int64_t>(1, 16384 / run),
                    [&](int, std::int64_t o0, std::int64_t o1) {
                      for (std::int64_t o = o0; o < o1; ++o)
                        std::memcpy(dst + o * b.extent * b.inner, src + o * a.extent * a.inner,
                                    static_cast<std::size_t>(run) * sizeof(T));
                    });
  }
};

}  // namespace kfer
