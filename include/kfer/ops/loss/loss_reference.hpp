// The loops that define the losses.
#pragma once

#include <cmath>
#include <vector>

#include "kfer/ops/loss/loss.hpp"

namespace kfer::reference {

/// Cross-entropy of N rows of logits; `target(n, c)` is the share of class c, `weight(c)` its weight.
template <class T, class Target, class Weight>
double cross_entropy_rows(const T* x, T* gradient, std::int64_t samples, std::int64_t classes, double divisor,
                          const Target& target, const Weight& weight) {
  double total = 0;
  for (std::int64_t n = 0; n < samples; ++n) {
    const T* row = x + n * classes;
    double largest = row[0], sum = 0, share = 0, loss = 0;
    for (std::int64_t c = 1; c < classes; ++c) largest = row[c] > largest ? double(row[c]) : largest;
    for (std::int64_t c = 0; c < classes; ++c) sum += std::exp(row[c] - largest);
    const double log_sum = std::log(sum);
    for (std::int64_t c = 0; c < classes; ++c) {
      const double q = weight(c) * target(n, c);
      share += q;
      if (q != 0) loss -= q * (row[c] - largest - log_sum);
    }
    total += loss + largest * 0;  // a NaN among the logits is a NaN in the loss
    if (!gradient) continue;
    for (std::int64_t c = 0; c < classes; ++c)
      gradient[n * classes + c] =
          static_cast<T>((std::exp(row[c] - largest) / sum * share - weight(c) * target(n, c)) / divisor);
  }
  return total / divisor;
}

template <FloatingElement T>
T bce_value(T x, T t, T w) {
  const T softplus = std::log1p(std::exp(-std::abs(x)));
  return (T(1) - t) * x + (T(1) + (w - T(1)) * t) * (softplus + (x < T(0) ? -x : T(0)));
}
template <FloatingElement T>
T bce_derivative(T x, T t, T w) {
  const T e = std::exp(-std::abs(x));
  const T sigmoid = (x < T(0) ? e : T(1)) / (T(1) + e);
  return (T(1) - t) * sigmoid - w * t * (T(1) - sigmoid);
}

}  // namespace kfer::reference
