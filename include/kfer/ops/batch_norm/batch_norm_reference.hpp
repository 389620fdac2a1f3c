// The loops that define batch normalisation.
#pragma once

#include <cmath>

#include "kfer/ops/batch_norm/batch_norm.hpp"

namespace kfer::reference {

/// Calls `visit(channel, index)` for every element of [N, C, ...] in row-major order.
template <class Visit>
void channel_elements(const Shape& s, const Visit& visit) {
  const std::int64_t n = s.numel(), pixels = n ? n / (s[0] * s[1]) : 0;
  for (std::int64_t i = 0; i < n; ++i) visit(i / pixels % s[1], i);
}

template <FloatingElement T>
Tensor<T, Cpu> batch_norm_forward(const Tensor<T, Cpu>& input, const Tensor<T, Cpu>& gamma,
                                  const Tensor<T, Cpu>& beta, const Tensor<T, Cpu>* residual,
                                  Tensor<T, Cpu>& running_mean, Tensor<T, Cpu>& running_var,
                                  const BatchNormOptions& options, BatchNormStatistics<T, Cpu>& statistics) {
  const Tensor<T, Cpu> x = input.row_major(), r = residual ? residual->row_major() : Tensor<T, Cpu>();
  const Shape& s = x.shape();
  const std::int64_t channels = s[1];
  Tensor<T, Cpu> mean = running_mean, variance = running_var;
  if (options.training && s.numel()) {
    const T count = static_cast<T>(s.numel() / channels);
    mean = zeros<T, Cpu>({channels}), variance = zeros<T, Cpu>({channels});
    T *m = mean.mutable_data(), *v = variance.mutable_data();
    channel_elements(s, [&](auto c, auto i) { m[c] += x.data()[i] / count; });
    channel_elements(s, [&](auto c, auto i) { v[c] += (x.data()[i] - m[c]) * (x.data()[i] - m[c]) / count; });
    T *rm = running_mean.mutable_data(), *rv = running_var.mutable_data();
    const T momentum = static_cast<T>(options.momentum);
    for (std::int64_t c = 0; c < channels; ++c) {
      rm[c] += momentum * (m[c] - rm[c]);
      rv[c] += momentum * (v[c] * count / (count - 1) - rv[c]);
    }
  }
  Tensor<T, Cpu> inverse({channels});
  T* k = inverse.mutable_data();
  for (std::int64_t c = 0; c < channels; ++c)
    k[c] = 1 / std::sqrt(variance.data()[c] + static_cast<T>(options.eps));
  Tensor<T, Cpu> y(s);
  T* out = y.mutable_data();
  channel_elements(s, [&](auto c, auto i) {
    T v = (x.data()[i] - mean.data()[c]) * k[c] * gamma.data()[c] + beta.data()[c];
    if (residual) v += r.data()[i];
    out[i] = options.relu && v < T(0) ? T(0) : v;
  });
  statistics = {mean, inverse};
  return y;
}

template <FloatingElement T>
BatchNormGrads<T, Cpu> batch_norm_backward(const Tensor<T, Cpu>& input, const Tensor<T, Cpu>& gamma,
                                           const Tensor<T, Cpu>* result,
                                           const BatchNormStatistics<T, Cpu>& statistics,
                                           const Tensor<T, Cpu>& grad, bool training) {
  const Tensor<T, Cpu> x = input.row_major();
  Tensor<T, Cpu> g = grad.row_major();
  const Shape& s = x.shape();
  T* d = g.mutable_data();
  if (result) {
    const Tensor<T, Cpu> y = result->row_major();
    for (std::int64_t i = 0; i < g.numel(); ++i) d[i] = y.data()[i] > T(0) ? d[i] : T(0);
  }
  const T *mean = statistics.mean.data(), *k = statistics.inverse_deviation.data();
  BatchNormGrads<T, Cpu> grads{Tensor<T, Cpu>(s), zeros<T, Cpu>({s[1]}), zeros<T, Cpu>({s[1]}), g};
  T *dx = grads.x.mutable_data(), *dgamma = grads.gamma.mutable_data(), *dbeta = grads.beta.mutable_data();
  channel_elements(s, [&](auto c, auto i) {
    dgamma[c] += d[i] * (x.data()[i] - mean[c]) * k[c];
    dbeta[c] += d[i];
  });
  const T count = s.numel() ? static_cast<T>(s.numel() / s[1]) : T(1);
  channel_elements(s, [&](auto c, auto i) {
    const T centred =
        training ? d[i] - (dbeta[c] + (x.data()[i] - mean[c]) * k[c] * dgamma[c]) / count : d[i];
    dx[i] = gamma.data()[c] * k[c] * centred;
  });
  return grads;
}

}  // namespace kfer::reference
