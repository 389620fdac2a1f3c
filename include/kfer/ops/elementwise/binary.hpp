// Elementwise operations of two tensors, with NumPy's broadcasting: shapes are aligned at the last dimension,
// and an extent of 1 (or a missing one) repeats.
#pragma once

#include <concepts>

#include "kfer/autograd/variable.hpp"
#include "kfer/ops/elementwise/functors.hpp"
#include "kfer/ops/elementwise/unary.hpp"

namespace kfer {

/// forward(a, b) -> y of the broadcast shape; backward(a, b, dy, wants_a, wants_b) -> {da, db}, each summed
/// over the dimensions that were repeated.
template <class F, FloatingElement T, class D>
struct binary_impl;

/// The shape that `a` and `b` broadcast to. Throws ShapeError naming both if they do not.
inline Shape broadcast_shape(const char* what, const Shape& a, const Shape& b) {
  Shape out = a.rank() >= b.rank() ? a : b;
  const Shape& small = a.rank() >= b.rank() ? b : a;
  for (std::size_t i = 0; i < small.rank(); ++i) {
    const std::size_t at = out.rank() - small.rank() + i;
    const std::int64_t p = out[at], q = small[i];
    require<ShapeError>(p == q || p == 1 || q == 1, what, ": shapes ", a, " and ", b, " do not broadcast");
    out.set(at, p == 1 ? q : p);
  }
  return out;
}

namespace detail {
template <class F, FloatingElement T, class D>
struct BinaryBackward {
  Tensor<T, D> a, b;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    auto [da, db] = binary_impl<F, T, D>::backward(a, b, std::move(dy), grads.wants(0), grads.wants(1));
    grads.add(0, std::move(da));
    grads.add(1, std::move(db));
  }
};

/// Both inputs get the gradient where y > 0: one pass, and one tensor that they share.
template <FloatingElement T, class D>
struct AddReluBackward {
  Tensor<T, D> y;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    const Tensor<T, D> masked = unary_impl<ReluFunctor, T, D>::backward({}, y, y, std::move(dy));
    grads.add(0, masked);
    grads.add(1, masked);
  }
};

template <class F, FloatingElement T, class D>
Variable<T, D> binary(const char* what, const Variable<T, D>& a, const Variable<T, D>& b) {
  static_cast<void>(broadcast_shape(what, a.shape(), b.shape()));
  return record(binary_impl<F, T, D>::forward(a.value(), b.value()), {a, b},
                BinaryBackward<F, T, D>{a.value(), b.value()});
}
}  // namespace detail

template <FloatingElement T, class D>
Variable<T, D> operator+(const Variable<T, D>& a, const Variable<T, D>& b) {
  return detail::binary<AddFunctor>("add", a, b);
}
template <FloatingElement T, class D>
Variable<T, D> operator-(const Variable<T, D>& a, const Variable<T, D>& b) {
  return detail::binary<SubtractFunctor>("subtract", a, b);
}
template <FloatingElement T, class D>
Variable<T, D> operator*(const Variable<T, D>& a, const Variable<T, D>& b) {
  return detail::binary<MultiplyFunctor>("multiply", a, b);
}
template <FloatingElement T, class D>
Variable<T, D> operator/(const Variable<T, D>& a, const Variable<T, D>& b) {
  return detail::binary<DivideFunctor>("divide", a, b);
}

namespace detail {
template <class T, class D, class U, class E>
Variable<T, D> mixed() {
  static_assert(!std::same_as<D, E> || std::same_as<T, U>,
                "both operands need one element type: convert one of them with cast<T>()");
  static_assert(std::same_as<D, E>, "both operands need one device: copy one of them to the other's device");
  return {};
}
template <class T, class D, class U, class E>
concept Mixed = !(std::same_as<T, U> && std::same_as<D, E>);
}  // namespace detail

template <FloatingElement T, class D, FloatingElement U, class E>
requires detail::Mixed<T, D, U, E> Variable<T, D>
operator+(const Variable<T, D>&, const Variable<U, E>&) {
  return detail::mixed<T, D, U, E>();
}
template <FloatingElement T, class D, FloatingElement U, class E>
requires detail::Mixed<T, D, U, E> Variable<T, D>
operator-(const Variable<T, D>&, const Variable<U, E>&) {
  return detail::mixed<T, D, U, E>();
}
template <FloatingElement T, class D, FloatingElement U, class E>
requires detail::Mixed<T, D, U, E> Variable<T, D>
operator*(const Variable<T, D>&, const Variable<U, E>&) {
  return detail::mixed<T, D, U, E>();
}
template <FloatingElement T, class D, FloatingElement U, class E>
requires detail::Mixed<T, D, U, E> Variable<T, D>
operator/(const Variable<T, D>&, const Variable<U, E>&) {
  return detail::mixed<T, D, U, E>();
}

/// The larger of both, element by element.
template <FloatingElement T, class D>
Variable<T, D> maximum(const Variable<T, D>& a, const Variable<T, D>& b) {
  return detail::binary<MaximumFunctor>("maximum", a, b);
}

/// relu(a + b) in one pass, for two tensors of one shape. Throws ShapeError naming both shapes.
template <FloatingElement T, class D>
Variable<T, D> add_relu(const Variable<T, D>& a, const Variable<T, D>& b) {
  detail::require_same_shape("add_relu", a, b);
  Tensor<T, D> y = binary_impl<AddReluFunctor, T, D>::forward(a.value(), b.value());
  return record(y, {a, b}, detail::AddReluBackward<T, D>{y});
}

}  // namespace kfer
