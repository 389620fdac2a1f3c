// The arithmetic of elementwise operations: one functor each, with its derivative, for every device and type.
//
// Their functions are constexpr, which CUDA compilers (with --expt-relaxed-constexpr) take as leave to
// compile them for the device too: the same text is the Cpu's loop body and the GPU's kernel.
#pragma once

#include <cmath>

namespace kfer {

/// What a functor of one argument offers: y = value(x), and dy/dx from x and y. `keeps_zero` says value(0) ==
/// 0, so that it may run over a layout's padding.
struct ReluFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return x < T(0) ? T(0) : x;  // a NaN stays one
  }
  template <class T>
  static constexpr T derivative(T, T y) {
    return y > T(0) ? T(1) : T(0);
  }
};

/// 1 / (1 + exp(-x)), without overflow on either side.
struct SigmoidFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static constexpr T value(T x) {
    return T(1) / (T(1) + std::exp(-x));  // exp overflows to infinity, and 1 / infinity is the right 0
  }
  template <class T>
  static constexpr T derivative(T, T y) {
    return y * (T(1) - y);
  }
};

struct TanhFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return std::tanh(x);
  }
  template <class T>
  static constexpr T derivative(T, T y) {
    return T(1) - y * y;
  }
};

struct ExpFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static constexpr T value(T x) {
    return std::exp(x);
  }
  template <class T>
  static constexpr T derivative(T, T y) {
    return y;
  }
};

struct LogFunctor {
  static constexpr bool keeps_zero = false;
  template <class T>
  static constexpr T value(T x) {
    return std::log(x);
  }
  template <class T>
  static constexpr T derivative(T x, T) {
    return T(1) / x;
  }
};

struct SquareFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return x * x;
  }
  template <class T>
  static constexpr T derivative(T x, T) {
    return T(2) * x;
  }
};

struct SqrtFunctor {
  static constexpr bool keeps_zero = false;  // its derivative there is infinite
  template <class T>
  static constexpr T value(T x) {
    return std::sqrt(x);
  }
  template <class T>
  static constexpr T derivative(T, T y) {
    return T(0.5) / y;
  }
};

struct AbsFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return std::abs(x);
  }
  template <class T>
  static constexpr T derivative(T x, T) {
    return x > T(0) ? T(1) : (x < T(0) ? T(-1) : T(0));
  }
};

/// x where it is positive, else slope * x.
template <class S>
struct LeakyReluFunctor {
  static constexpr bool keeps_zero = true;
  S slope;
  template <class T>
  constexpr T value(T x) const {
    return x > T(0) ? x : T(slope) * x;
  }
  template <class T>
  constexpr T derivative(T x, T) const {
    return x > T(0) ? T(1) : T(slope);
  }
};

/// x * Phi(x), Phi being the normal distribution function (Hendrycks and Gimpel, 2016), in the exact form.
struct GeluFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return T(0.5) * x * std::erfc(-x * T(0.70710678118654752));
  }
  template <class T>
  static constexpr T derivative(T x, T) {
    return T(0.5) * std::erfc(-x * T(0.70710678118654752)) +
           x * T(0.39894228040143268) * std::exp(T(-0.5) * x * x);
  }
};

/// x * sigmoid(x), also called swish.
struct SiluFunctor {
  static constexpr bool keeps_zero = true;
  template <class T>
  static constexpr T value(T x) {
    return x * SigmoidFunctor::value(x);
  }
  template <class T>
  static constexpr T derivative(T x, T) {
    const T s = SigmoidFunctor::value(x);
    return s * (T(1) + x * (T(1) - s));
  }
};

/// x raised to a constant power.
template <class S>
struct PowFunctor {
  static constexpr bool keeps_zero = false;
  S exponent;
  template <class T>
  constexpr T value(T x) const {
    return std::pow(x, T(exponent));
  }
  template <class T>
  constexpr T derivative(T x, T) const {
    return T(exponent) * std::pow(x, T(exponent) - T(1));
  }
};

/// x limited to [low, high]; the gradient passes where x lies inside.
template <class S>
struct ClampFunctor {
  static constexpr bool keeps_zero = false;
  S low, high;
  template <class T>
  constexpr T value(T x) const {
    return x < T(low) ? T(low) : (x > T(high) ? T(high) : x);
  }
  template <class T>
  constexpr T derivative(T x, T) const {
    return x >= T(low) && x <= T(high) ? T(1) : T(0);
  }
};

/// x * factor + shift.
template <class S>
struct AffineFunctor {
  static constexpr bool keeps_zero = false;
  S factor, shift;
  template <class T>
  constexpr T value(T x) const {
    return x * T(factor) + T(shift);
  }
  template <class T>
  constexpr T derivative(T, T) const {
    return T(factor);
  }
};

/// Functors of two arguments: value(a, b), and the partial derivatives.
struct AddFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return a + b;
  }
  template <class T>
  static constexpr T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  static constexpr T derivative_b(T, T) {
    return T(1);
  }
};

struct SubtractFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return a - b;
  }
  template <class T>
  static constexpr T derivative_a(T, T) {
    return T(1);
  }
  template <class T>
  static constexpr T derivative_b(T, T) {
    return T(-1);
  }
};

struct MultiplyFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return a * b;
  }
  template <class T>
  static constexpr T derivative_a(T, T b) {
    return b;
  }
  template <class T>
  static constexpr T derivative_b(T a, T) {
    return a;
  }
};

struct DivideFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return a / b;
  }
  template <class T>
  static constexpr T derivative_a(T, T b) {
    return T(1) / b;
  }
  template <class T>
  static constexpr T derivative_b(T a, T b) {
    return -a / (b * b);
  }
};

/// The larger of both; equal ones share the gradient, and a NaN on either side is the result.
struct MaximumFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return a > b || a != a ? a : b;
  }
  template <class T>
  static constexpr T derivative_a(T a, T b) {
    return a > b ? T(1) : (a == b ? T(0.5) : T(0));
  }
  template <class T>
  static constexpr T derivative_b(T a, T b) {
    return b > a ? T(1) : (a == b ? T(0.5) : T(0));
  }
};

/// max(0, a + b): the end of a residual block.
struct AddReluFunctor {
  template <class T>
  static constexpr T value(T a, T b) {
    return ReluFunctor::value(a + b);
  }
  template <class T>
  static constexpr T derivative_a(T a, T b) {
    return a + b > T(0) ? T(1) : T(0);
  }
  template <class T>
  static constexpr T derivative_b(T a, T b) {
    return derivative_a(a, b);
  }
};

}  // namespace kfer
