// Elementwise operations of one tensor: y[i] = f(x[i]), any shape and memory order, which the result keeps.
#pragma once

#include "kfer/autograd/variable.hpp"
#include "kfer/ops/elementwise/functors.hpp"

namespace kfer {

/// forward(f, x) -> y; backward(f, x, y, dy) -> dx. One specialisation a device.
template <class F, FloatingElement T, class D>
struct unary_impl;

namespace detail {
template <class F, FloatingElement T, class D>
struct UnaryBackward {
  F f;
  Tensor<T, D> x, y;
  void operator()(Tensor<T, D> dy, InputGrads<T, D>& grads) {
    grads.add(0, unary_impl<F, T, D>::backward(f, x, y, std::move(dy)));
  }
};
}  // namespace detail

/// y = f(x) for any functor of the form in functors.hpp.
template <class F, FloatingElement T, class D>
Variable<T, D> unary(F f, const Variable<T, D>& x) {
  Tensor<T, D> y = unary_impl<F, T, D>::forward(f, x.value());
  return record(y, {x}, detail::UnaryBackward<F, T, D>{f, x.value(), y});
}

template <FloatingElement T, class D>
Variable<T, D> relu(const Variable<T, D>& x) {
  return unary(ReluFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> sigmoid(const Variable<T, D>& x) {
  return unary(SigmoidFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> tanh(const Variable<T, D>& x) {
  return unary(TanhFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> exp(const Variable<T, D>& x) {
  return unary(ExpFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> log(const Variable<T, D>& x) {
  return unary(LogFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> square(const Variable<T, D>& x) {
  return unary(SquareFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> sqrt(const Variable<T, D>& x) {
  return unary(SqrtFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> abs(const Variable<T, D>& x) {
  return unary(AbsFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> gelu(const Variable<T, D>& x) {
  return unary(GeluFunctor{}, x);
}
template <FloatingElement T, class D>
Variable<T, D> silu(const Variable<T, D>& x) {
  return unary(SiluFunctor{}, x);
}
/// x where it is positive, else slope * x.
template <FloatingElement T, class D>
Variable<T, D> leaky_relu(const Variable<T, D>& x, parameter_t<T> slope = parameter_t<T>(0.01)) {
  return unary(LeakyReluFunctor<parameter_t<T>>{slope}, x);
}
/// x raised to a constant power.
template <FloatingElement T, class D>
Variable<T, D> pow(const Variable<T, D>& x, parameter_t<T> exponent) {
  return unary(PowFunctor<parameter_t<T>>{exponent}, x);
}
/// x limited to [low, high]. Throws ValueError unless low <= high.
template <FloatingElement T, class D>
Variable<T, D> clamp(const Variable<T, D>& x, parameter_t<T> low, parameter_t<T> high) {
  require(low <= high, "clamp: the lower limit ", low, " is above the upper one, ", high);
  return unary(ClampFunctor<parameter_t<T>>{low, high}, x);
}
/// x * factor + shift, with numbers.
template <FloatingElement T, class D>
Variable<T, D> affine(const Variable<T, D>& x, parameter_t<T> factor, parameter_t<T> shift = 0) {
  return unary(AffineFunctor<parameter_t<T>>{factor, shift}, x);
}

}  // namespace kfer
