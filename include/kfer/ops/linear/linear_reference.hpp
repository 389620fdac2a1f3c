// The loops that define the fully connected layer.
#pragma once

#include "kfer/ops/linear/linear.hpp"

namespace kfer::reference {

template <FloatingElement T>
Tensor<T, Cpu> linear_forward(const LinearShape& s, const Tensor<T, Cpu>& x, const Tensor<T, Cpu>& w,
                              const Tensor<T, Cpu>* bias, const LinearOptions& options) {
  Tensor<T, Cpu> y({s.batch, s.out});
  T* out = y.mutable_data();
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out; ++o) {
      T sum = bias ? bias->data()[o] : T(0);
      for (std::int64_t i = 0; i < s.in; ++i) sum += x.data()[n * s.in + i] * w.data()[o * s.in + i];
      if (options.relu && sum < T(0)) sum = T(0);
      const std::int64_t at = n * s.out + o;
      if (options.dropout)
        sum =
            options.dropout->keeps(static_cast<std::uint64_t>(at)) ? sum * T(options.dropout->scale()) : T(0);
      out[at] = sum;
    }
  return y;
}

template <FloatingElement T>
LinearGrads<T, Cpu> linear_backward(const LinearShape& s, const Tensor<T, Cpu>& x, const Tensor<T, Cpu>& w,
                                    const Tensor<T, Cpu>* y, Tensor<T, Cpu> g, const LinearOptions& options) {
  if (y) {
    const T scale = options.dropout ? T(options.dropout->scale()) : T(1);
    T* d = g.mutable_data();
    for (std::int64_t i = 0, n = g.numel(); i < n; ++i) d[i] = y->data()[i] > T(0) ? d[i] * scale : T(0);
  }
  LinearGrads<T, Cpu> grads{zeros<T, Cpu>({s.batch, s.in}), zeros<T, Cpu>({s.out, s.in}),
                            zeros<T, Cpu>({s.out})};
  T *dx = grads.x.mutable_data(), *dw = grads.w.mutable_data(), *db = grads.bias.mutable_data();
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out; ++o) {
      const T d = g.data()[n * s.out + o];
      db[o] += d;
      for (std::int64_t i = 0; i < s.in; ++i) {
        dx[n * s.in + i] += d * w.data()[o * s.in + i];
        dw[o * s.in + i] += d * x.data()[n * s.in + i];
      }
    }
  return grads;
}

}  // namespace kfer::reference
