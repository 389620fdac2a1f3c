// Softmax on the Cpu: the rows of the definition, in parallel.
#pragma once

#include "kfer/ops/softmax/softmax_reference.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <>
struct softmax_impl<float, Cpu> {
  using Tn = Tensor<float, Cpu>;

  static Tn forward(const Tn& input, std::size_t dim, bool logarithm) {
    const Tn x = input.row_major();
    Tn y(x.shape());
    const float* in = x.data();
    float* out = y.mutable_data();
    const reference::SoftmaxRows rows(x.shape(), dim);
    parallel_ranges(rows.rows, grain(rows), [&](int, std::int64_t r0, std::int64_t r1) {
      for (std::int64_t r = r0; r < r1; ++r)
        reference::softmax_row(in + rows.start(r), out + rows.start(r), rows.n, rows.step, logarithm);
    });
    return y;
  }

  static Tn backward(const Tn& y, const Tn& grad, std::size_t dim, bool logarithm) {
    const Tn dy = grad.row_major();
    Tn dx(y.shape());
    const float *p = y.data(), *d = dy.data();
    float* out = dx.mutable_data();
    const reference::SoftmaxRows rows(y.shape(), dim);
    parallel_ranges(rows.rows, grain(rows), [&](int, std::int64_t r0, std::int64_t r1) {
      for (std::int64_t r = r0; r < r1; ++r) {
        const std::int64_t at = rows.start(r);
        reference::softmax_row_backward(p + at, d + at, out + at, rows.n, rows.step, logarithm);
      }
    });
    return dx;
  }

 private:
  static std::int64_t grain(const reference::SoftmaxRows& rows) {
    return std::max<std::int64_t>(1, 4096 / (rows.n + 1));
  }
};

template <>
struct softmax_impl<double, Cpu> {
  using Tn = Tensor<double, Cpu>;
  static Tn forward(const Tn& x, std::size_t dim, bool logarithm) {
    return reference::softmax_forward(x, dim, logarithm);
  }
  static Tn backward(const Tn& y, const Tn& dy, std::size_t dim, bool logarithm) {
    return reference::softmax_backward(y, dy, dim, logarithm);
  }
};

}  // namespace kfer
