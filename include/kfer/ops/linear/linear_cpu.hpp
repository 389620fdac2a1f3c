// The fully connected layer on the Cpu.
#pragma once

#include "kfer/device/cpu_gemm.hpp"
#include "kfer/ops/dropout/dropout_cpu.hpp"
#include "kfer/ops/linear/linear_reference.hpp"

namespace kfer {

template <>
struct linear_impl<float, Cpu> {
  using Tn = Tensor<float, Cpu>;

  static Tn forward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const LinearOptions& options) {
    Tn y({s.batch, s.out});
    float* out = y.mutable_data();
    cpu::gemm(false, true, s.batch, s.out, s.in, x.data(), s.in, w.data(), s.in, out, s.out);
    if (bias || options.relu) {
      const float* b = bias ? bias->data() : nullptr;
      parallel_ranges(s.batch, std::max<std::int64_t>(1, 16384 / (s.out + 1)),
                      [&](int, std::int64_t n0, std::int64_t n1) {
                        for (std::int64_t n = n0; n < n1; ++n) {
                          float* row = out + n * s.out;
                          if (b)
                            for (std::int64_t o = 0; o < s.out; ++o) row[o] += b[o];
                          if (options.relu)
                            for (std::int64_t o = 0; o < s.out; ++o) row[o] = row[o] < 0 ? 0.0f : row[o];
                        }
                      });
    }
    if (options.dropout) dropout_apply(out, {1, 1, y.numel(), 1}, *options.dropout);
    return y;
  }

  static LinearGrads<float, Cpu> backward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                          const LinearOptions& options, const LinearWants& wants) {
    if (y) dy = relu_dropout_mask(*y, std::move(dy), options.dropout ? options.dropout->scale() : 1.0f);
    LinearGrads<float, Cpu> grads;
    if (wants.x) {
      grads.x = Tn({s.batch, s.in});
      cpu::gemm(false, false, s.batch, s.in, s.out, dy.data(), s.out, w.data(), s.in, grads.x.mutable_data(),
                s.in);
    }
    if (wants.w) {
      grads.w = Tn({s.out, s.in});
      cpu::gemm(true, false, s.out, s.in, s.batch, dy.data(), s.out, x.data(), s.in, grads.w.mutable_data(),
                s.in);
    }
    if (wants.bias) {
      grads.bias = zeros<float, Cpu>({s.out});
      float* db = grads.bias.mutable_data();
      const float* d = dy.data();
      parallel_ranges(s.out, 64, [&](int, std::int64_t o0, std::int64_t o1) {
        for (std::int64_t n = 0; n < s.batch; ++n)
          for (std::int64_t o = o0; o < o1; ++o) db[o] += d[n * s.out + o];
      });
    }
    return grads;
  }
};

template <>
struct linear_impl<double, Cpu> {
  using Tn = Tensor<double, Cpu>;
  static Tn forward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const LinearOptions& options) {
    return reference::linear_forward(s, x, w, bias, options);
  }
  static LinearGrads<double, Cpu> backward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                           const LinearOptions& options, const LinearWants&) {
    return reference::linear_backward(s, x, w, y, std::move(dy), options);
  }
};

}  // namespace kfer
