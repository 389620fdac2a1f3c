// The loops that define softmax.
#pragma once

#include <cmath>

#include "kfer/ops/softmax/softmax.hpp"

namespace kfer::reference {

/// One row of n elements that lie `step` apart.
template <class T>
void softmax_row(const T* x, T* y, std::int64_t n, std::int64_t step, bool logarithm) {
  T largest = x[0], sum = 0;
  for (std::int64_t i = 1; i < n; ++i) largest = x[i * step] > largest ? x[i * step] : largest;
  for (std::int64_t i = 0; i < n; ++i) sum += std::exp(x[i * step] - largest);
  const T log_sum = std::log(sum);
  for (std::int64_t i = 0; i < n; ++i)
    y[i * step] = logarithm ? x[i * step] - largest - log_sum : std::exp(x[i * step] - largest) / sum;
}

template <class T>
void softmax_row_backward(const T* y, const T* dy, T* dx, std::int64_t n, std::int64_t step, bool logarithm) {
  T sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += logarithm ? dy[i * step] : dy[i * step] * y[i * step];
  for (std::int64_t i = 0; i < n; ++i)
    dx[i * step] =
        logarithm ? dy[i * step] - std::exp(y[i * step]) * sum : y[i * step] * (dy[i * step] - sum);
}

/// Calls `visit(start, n, step)` for every row along `dim` of a row-major tensor.
struct SoftmaxRows {
  std::int64_t rows = 0, n = 0, step = 1;
  SoftmaxRows(const Shape& shape, std::size_t dim) : n(shape[dim]) {
    for (std::size_t d = dim + 1; d < shape.rank(); ++d) step *= shape[d];
    rows = n ? shape.numel() / n : 0;
  }
  std::int64_t start(std::int64_t row) const { return row / step * step * n + row % step; }
};

template <FloatingElement T>
Tensor<T, Cpu> softmax_forward(const Tensor<T, Cpu>& input, std::size_t dim, bool logarithm) {
  const Tensor<T, Cpu> x = input.row_major();
  Tensor<T, Cpu> y(x.shape());
  T* out = y.mutable_data();
  const SoftmaxRows rows(x.shape(), dim);
  for (std::int64_t r = 0; r < rows.rows; ++r)
    softmax_row(x.data() + rows.start(r), out + rows.start(r), rows.n, rows.step, logarithm);
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> softmax_backward(const Tensor<T, Cpu>& y, const Tensor<T, Cpu>& grad, std::size_t dim,
                                bool logarithm) {
  const Tensor<T, Cpu> dy = grad.row_major();
  Tensor<T, Cpu> dx(y.shape());
  T* out = dx.mutable_data();
  const SoftmaxRows rows(y.shape(), dim);
  for (std::int64_t r = 0; r < rows.rows; ++r) {
    const std::int64_t at = rows.start(r);
    softmax_row_backward(y.data() + at, dy.data() + at, out + at, rows.n, rows.step, logarithm);
  }
  return dx;
}

}  // namespace kfer::reference
