// Comparison of tensors, for tests and for checks of one implementation against another. A NaN never passes.
#pragma once

#include <cmath>

#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// Largest |a - b| / (1 + |b|) over all elements; infinity if any pair is not comparable (a NaN on either
/// side, or an infinity that the other side lacks). Throws ShapeError if the shapes differ.
template <Element T, class D, Element U, class E>
double largest_difference(const Tensor<T, D>& a, const Tensor<U, E>& b) {
  detail::require_same_shape("largest_difference", a, b);
  const auto x = a.to_vector();
  const auto y = b.to_vector();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double p = static_cast<double>(x[i]), q = static_cast<double>(y[i]);
    if (p == q) continue;
    const double d = std::abs(p - q) / (1 + std::abs(q));
    worst = d <= worst ? worst : (std::isfinite(d) ? d : HUGE_VAL);
  }
  return worst;
}

/// Root mean square of a - b relative to that of b; infinity if it is not a number.
template <Element T, class D, Element U, class E>
double relative_rms(const Tensor<T, D>& a, const Tensor<U, E>& b) {
  detail::require_same_shape("relative_rms", a, b);
  const auto x = a.to_vector();
  const auto y = b.to_vector();
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double p = static_cast<double>(x[i]), q = static_cast<double>(y[i]);
    difference += (p - q) * (p - q);
    norm += q * q;
  }
  const double r = difference == 0 ? 0 : std::sqrt(difference / norm);
  return std::isfinite(r) ? r : HUGE_VAL;
}

}  // namespace kfer
