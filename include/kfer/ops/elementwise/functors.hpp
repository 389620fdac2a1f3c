// The arithmetic of elementwise operations: one functor each, with its derivative, for every device and type.
#pragma once

#include <cmath>

namespace kfer {

/// What a functor of one argument offers: y = value(x), and dy/dx from x and y. `keeps_zero` says value(0) ==
/// 0, so that it may run over a layout's padding.
struct ReluFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static T value(T x) {
    return x < T(0) ? T(0) : x;  // a NaN stays one
  }
  template <class T>
  static T derivative(T, T y) {
    return y > T(0) ? T(1) : T(0);
  }
};

/// 1 / (1 + exp(-x)), without overflow on either side.
struct SigmoidFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static T value(T x) {
    return T(1) / (T(1) + std::exp(-x));  // exp overflows to infinity, and 1 / infinity is the right 0
  }
  template <class T>
  static T derivative(T, T y) {
    return y * (T(1) - y);
  }
};

struct TanhFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static T value(T x) {
    return std::tanh(x);
  }
  template <class T>
  static T derivative(T, T y) {
    return T(1) - y * y;
  }
};

struct ExpFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static T value(T x) {
    return std::exp(x);
  }
  template <class T>
  static T derivative(T, T y) {
    return y;
  }
};

struct LogFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static T value(T x) {
    return std::log(x);
  }
  template <class T>
  static T derivative(T x, T) {
    return T(1) / x;
  }
};

struct SquareFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static T value(T x) {
    return x * x;
  }
  template <class T>
  static T derivative(T x, T) {
    return T(2) * x;
  }
};

struct SqrtFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static T value(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static T derivative(T, T y) {
    return T(0.5) / y;
  }
};

/// x * factor + shift.
template <class S>
struct AffineFunctor {
  static constexpr bool keeps_zero = false;
  S factor, shift;
  template <class T>
  T value(T x) const {
    return x * T(factor) + T(shift);
  }
  template <class T>
  T derivative(T, T) const {
    return T(factor);
  }
};

/// Functors of two arguments: value(a, b), and the partial derivatives.
struct AddFunctor {
  template <class T>
  static T value(T a, T b) {
    return a + b;
  }
  template <class T>
  static T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  static T derivative_b(T, T) {
    return T(1);
  }
};

struct SubtractFunctor {
  template <class T>
  static T value(T a, T b) {
    return a - b;
  }
  template <class T>
  static T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  static T derivative_b(T, T) {
    return T(-1);
  }
};

struct MultiplyFunctor {
  template <class T>
  static T value(T a, T b) {
    return a * b;
  }
  template <class T>
  static T derivative_a(T, T b) {
    return b;
  }
  template <class T>
  static T derivative_b(T a, T) {
    return a;
  }
};

struct DivideFunctor {
  template <class T>
  static T value(T a, T b) {
    return a / b;
  }
  template <class T>
  static T derivative_a(T, T b) {
    return T(1) / b;
  }
  template <class T>
  static T derivative_b(T a, T b) {
    return -a / (b * b);
  }
};

}  // namespace kfer
