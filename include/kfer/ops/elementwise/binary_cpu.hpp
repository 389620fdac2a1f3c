// Elementwise operations of two tensors on the Cpu.
#pragma once

#include <utility>

#include "kfer/ops/elementwise/binary.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"

namespace kfer {

template <class F, FloatingElement T>
struct binary_impl<F, T, Cpu> {
  using Tn = Tensor<T, Cpu>;

  static Tn forward(const Tn& a, const Tn& b) {
    if (a.shape() == b.shape() && !a.layout().has_padding(a.shape())) {
      const Tn other = b.to(a.layout());
      Tn out(a.shape(), a.layout());
      const T *p = a.data(), *q = other.data();
      T* y = out.mutable_data();
      parallel_ranges(out.storage_size(), detail::elementwise_grain,
                      [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
                        for (std::int64_t i = begin; i < end; ++i) y[i] = F::value(p[i], q[i]);
                      });
      return out;
    }
    Tn out(broadcast_shape("elementwise", a.shape(), b.shape()));
    const Tn x = a.row_major(), z = b.row_major();
    T* y = out.mutable_data();
    walk(out.shape(), a.shape(), b.shape(),
         [&, p = x.data(), q = z.data()](auto i, auto ia, auto ib) { y[i] = F::value(p[ia], q[ib]); });
    return out;
  }

  /// `dy` is passed by value: where shapes agree its memory becomes the first gradient.
  static std::pair<Tn, Tn> backward(const Tn& a, const Tn& b, Tn dy, bool wants_a, bool wants_b) {
    if (a.shape() == b.shape() && !dy.layout().has_padding(dy.shape()))
      return same_shape_backward(a, b, std::move(dy), wants_a, wants_b);
    const Tn x = a.row_major(), z = b.row_major(), g = dy.row_major();
    std::pair<Tn, Tn> grads;
    if (wants_a) grads.first = zeros<T, Cpu>(a.shape());
    if (wants_b) grads.second = zeros<T, Cpu>(b.shape());
    T *da = grads.first.mutable_data(), *db = grads.second.mutable_data();
    walk(g.shape(), a.shape(), b.shape(),
         [&, p = x.data(), q = z.data(), d = g.data()](auto i, auto ia, auto ib) {
           if (wants_a) da[ia] += d[i] * F::derivative_a(p[ia], q[ib]);
           if (wants_b) db[ib] += d[i] * F::derivative_b(p[ia], q[ib]);
         });
    return grads;
  }

 private:
  static std::pair<Tn, Tn> same_shape_backward(const Tn& a, const Tn& b, Tn dy, bool wants_a, bool wants_b) {
    std::pair<Tn, Tn> grads;
    if constexpr (std::is_same_v<F, AddFunctor>) {
      if (wants_b) grads.second = dy;
      if (wants_a) grads.first = std::move(dy);
      return grads;
    }
    const Layout layout = dy.layout();
    const std::int64_t n = dy.storage_size();
    if (wants_b) {
      const Tn x = a.to(layout), z = b.to(layout);
      grads.second = Tn(dy.shape(), layout);
      T* out = grads.second.mutable_data();
      const T *p = x.data(), *q = z.data(), *d = dy.data();
      parallel_ranges(n, detail::elementwise_grain, [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
        for (std::int64_t i = begin; i < end; ++i) out[i] = d[i] * F::derivative_b(p[i], q[i]);
      });
    }
    if (wants_a) {
      if constexpr (!std::is_same_v<F, SubtractFunctor>) {
        const Tn x = a.to(layout), z = b.to(layout);
        const T *p = x.data(), *q = z.data();
        T* d = dy.mutable_data();
        parallel_ranges(n, detail::elementwise_grain, [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
          for (std::int64_t i = begin; i < end; ++i) d[i] *= F::derivative_a(p[i], q[i]);
        });
      }
      grads.first = std::move(dy);
    }
    return grads;
  }

  /// Calls `visit(i, ia, ib)` with the positions of every element of the result and of the operands it comes
  /// from.
  template <class Visit>
  static void walk(const Shape& shape, const Shape& a, const Shape& b, const Visit& visit) {
    std::array<std::int64_t, Shape::max_rank> sa{}, sb{}, index{};
    strides(shape, a, sa);
    strides(shape, b, sb);
    std::int64_t ia = 0, ib = 0;
    for (std::int64_t i = 0, n = shape.numel(); i < n; ++i) {
      visit(i, ia, ib);
      for (std::size_t d = shape.rank(); d-- > 0;) {
        ia += sa[d];
        ib += sb[d];
        if (++index[d] < shape[d]) break;
        ia -= sa[d] * shape[d];
        ib -= sb[d] * shape[d];
        index[d] = 0;
      }
    }
  }
  /// Row-major strides of an operand along the result's dimensions; 0 where it repeats.
  static void strides(const Shape& shape, const Shape& operand,
                      std::array<std::int64_t, Shape::max_rank>& out) {
    std::int64_t step = 1;
    for (std::size_t k = 0; k < operand.rank(); ++k) {
      const std::size_t d = operand.rank() - 1 - k;
      out[shape.rank() - 1 - k] = operand[d] == 1 ? 0 : step;
      step *= operand[d];
    }
  }
};

}  // namespace kfer
