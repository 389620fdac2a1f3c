// Elementwise operations of two tensors on a GPU.
#pragma once

#include <type_traits>
#include <utility>

#include "kfer/ops/elementwise/binary.hpp"
#include "kfer/ops/elementwise/broadcast_cuda.hpp"
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/ops/reduce/reduce_cuda.hpp"

namespace kfer {

template <class F, FloatingElement T, Gpu D>
struct binary_impl<F, T, D> {
  using Tn = Tensor<T, D>;

  static Tn forward(const Tn& a, const Tn& b) {
    const Shape shape = broadcast_shape("elementwise", a.shape(), b.shape());
    const auto [p, q] = aligned(a, b, a.layout());
    Tn y(shape, p.shape() == shape   ? p.layout()
                : q.shape() == shape ? q.layout()
                                     : Layout::row_major(shape.rank()));
    kernels::binary_forward(F{}, detail::broadcast_to(shape, y.layout(), p, q), detail::raw(p.data()),
                            detail::raw(q.data()), detail::raw(y.mutable_data()), D::stream());
    return y;
  }

  /// `dy` is passed by value: where nobody shares its memory, that becomes the last gradient's.
  static std::pair<Tn, Tn> backward(const Tn& a, const Tn& b, Tn dy, bool wants_a, bool wants_b) {
    dy = detail::unblocked(dy);
    const auto [p, q] = aligned(a, b, dy.layout());
    std::pair<Tn, Tn> grads;
    if (wants_b) grads.second = gradient<false>(p, q, wants_a ? dy : std::exchange(dy, {}));
    if (wants_a) grads.first = gradient<true>(p, q, std::move(dy));
    return grads;
  }

 private:
  /// Both operands without inner blocks; operands of one shape in one memory order, that of `layout` if it
  /// has no blocks.
  static std::pair<Tn, Tn> aligned(const Tn& a, const Tn& b, const Layout& layout) {
    if (a.shape() != b.shape()) return {detail::unblocked(a), detail::unblocked(b)};
    const Layout common = layout.block_count() ? Layout::row_major(layout.rank()) : layout;
    return {a.to(common), b.to(common)};
  }

  /// dy * the derivative with respect to a or b, summed over the dimensions along which that one repeats.
  template <bool of_a>
  static Tn gradient(const Tn& a, const Tn& b, Tn dy) {
    const Shape& target = of_a ? a.shape() : b.shape();
    if constexpr (std::is_same_v<F, AddFunctor> || (of_a && std::is_same_v<F, SubtractFunctor>)) {
      return sum_to(dy, target);
    } else {
      const kernels::Broadcast shape = detail::broadcast_to(dy.shape(), dy.layout(), a, b);
      const auto *g = detail::raw(dy.data()), *p = detail::raw(a.data()), *q = detail::raw(b.data());
      Tn full = detail::take_or_make(dy);
      if constexpr (of_a)
        kernels::binary_backward_a(F{}, shape, g, p, q, detail::raw(full.mutable_data()), D::stream());
      else
        kernels::binary_backward_b(F{}, shape, g, p, q, detail::raw(full.mutable_data()), D::stream());
      return sum_to(full, target);
    }
  }

  /// x summed over the dimensions that `target`, which broadcasts to x's shape, lacks or repeats along.
  static Tn sum_to(const Tn& x, const Shape& target) {
    if (x.shape() == target) return x;
    Shape kept = x.shape();
    const std::size_t missing = x.rank() - target.rank();
    for (std::size_t d = 0; d < x.rank(); ++d) kept.set(d, d < missing ? 1 : target[d - missing]);
    return reduce_impl<T, D>::sum(x, kept, 1).reshape(target);
  }
};

}  // namespace kfer
