// The loops that define pooling.
#pragma once

#include <limits>

#include "kfer/ops/pool/pool.hpp"

namespace kfer::reference {

/// Calls `visit(y_index, x_index, cell)` for every cell of every window that lies inside the input, in
/// row-major order.
template <class Visit>
void pool_cells(const Pool2dShape& s, const Visit& visit) {
  for (std::int64_t plane = 0; plane < s.batch * s.channels; ++plane)
    for (std::int64_t i = 0; i < s.out_height; ++i)
      for (std::int64_t j = 0; j < s.out_width; ++j)
        for (std::int64_t u = 0; u < s.kernel.height; ++u)
          for (std::int64_t v = 0; v < s.kernel.width; ++v) {
            const std::int64_t h = i * s.stride.height + u - s.padding.height;
            const std::int64_t w = j * s.stride.width + v - s.padding.width;
            if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
            visit((plane * s.out_height + i) * s.out_width + j, (plane * s.height + h) * s.width + w,
                  u * s.kernel.width + v);
          }
}

template <FloatingElement T>
Tensor<T, Cpu> max_pool2d_forward(const Pool2dShape& s, const Tensor<T, Cpu>& input,
                                  MaxPoolIndex<Cpu>* index) {
  const Tensor<T, Cpu> x = input.row_major();
  Tensor<T, Cpu> y(s.output());
  T* out = y.mutable_data();
  Tensor<std::int32_t, Cpu> from(s.output());
  std::int32_t* cells = from.mutable_data();
  std::fill_n(out, y.numel(), -std::numeric_limits<T>::infinity());
  std::fill_n(cells, y.numel(), -1);
  pool_cells(s, [&](auto iy, auto ix, auto cell) {
    const T v = x.data()[ix];
    if (cells[iy] >= 0 && !(v > out[iy]) && v == v) return;
    out[iy] = v;
    cells[iy] = static_cast<std::int32_t>(cell);
  });
  if (index && s.window() <= 256) {
    index->narrow = Tensor<std::uint8_t, Cpu>(s.output());
    std::copy_n(cells, y.numel(), index->narrow.mutable_data());
  } else if (index) {
    index->wide = from;
  }
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> max_pool2d_backward(const Pool2dShape& s, const MaxPoolIndex<Cpu>& index,
                                   const Tensor<T, Cpu>& grad) {
  const Tensor<T, Cpu> dy = grad.row_major();
  Tensor<T, Cpu> dx = zeros<T, Cpu>(s.input());
  T* d = dx.mutable_data();
  const bool narrow = s.window() <= 256;
  const auto narrow_cells = index.narrow.to_vector();
  const auto wide_cells = index.wide.to_vector();
  pool_cells(s, [&](auto iy, auto ix, auto cell) {
    const auto at = static_cast<std::size_t>(iy);
    if (cell == (narrow ? std::int64_t{narrow_cells[at]} : std::int64_t{wide_cells[at]}))
      d[ix] += dy.data()[iy];
  });
  return dx;
}

/// What the sum of window (i, j) is divided by.
inline std::int64_t pool_divisor(const Pool2dShape& s, bool count_include_pad, std::int64_t i,
                                 std::int64_t j) {
  const auto extent = [=](std::int64_t at, std::int64_t k, std::int64_t p, std::int64_t size) {
    const std::int64_t begin = at - p, end = std::min(begin + k, size + p);
    return count_include_pad ? end - begin : std::min(end, size) - std::max<std::int64_t>(begin, 0);
  };
  return extent(i * s.stride.height, s.kernel.height, s.padding.height, s.height) *
         extent(j * s.stride.width, s.kernel.width, s.padding.width, s.width);
}

template <FloatingElement T>
Tensor<T, Cpu> avg_pool2d_forward(const Pool2dShape& s, bool count_include_pad, const Tensor<T, Cpu>& input) {
  const Tensor<T, Cpu> x = input.row_major();
  Tensor<T, Cpu> y = zeros<T, Cpu>(s.output());
  T* out = y.mutable_data();
  pool_cells(s, [&](auto iy, auto ix, auto) { out[iy] += x.data()[ix]; });
  for (std::int64_t i = 0; i < y.numel(); ++i)
    out[i] /=
        static_cast<T>(pool_divisor(s, count_include_pad, i / s.out_width % s.out_height, i % s.out_width));
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> avg_pool2d_backward(const Pool2dShape& s, bool count_include_pad, const Tensor<T, Cpu>& grad) {
  const Tensor<T, Cpu> dy = grad.row_major();
  Tensor<T, Cpu> dx = zeros<T, Cpu>(s.input());
  T* d = dx.mutable_data();
  pool_cells(s, [&](auto iy, auto ix, auto) {
    const auto divisor =
        pool_divisor(s, count_include_pad, iy / s.out_width % s.out_height, iy % s.out_width);
    d[ix] += dy.data()[iy] / static_cast<T>(divisor);
  });
  return dx;
}

template <FloatingElement T>
Tensor<T, Cpu> global_avg_pool_forward(const Tensor<T, Cpu>& input) {
  const Tensor<T, Cpu> x = input.row_major();
  const std::int64_t pixels = x.shape()[2] * x.shape()[3];
  Tensor<T, Cpu> y({x.shape()[0], x.shape()[1]});
  T* out = y.mutable_data();
  for (std::int64_t i = 0; i < y.numel(); ++i) {
    T sum = 0;
    for (std::int64_t p = 0; p < pixels; ++p) sum += x.data()[i * pixels + p];
    out[i] = sum / static_cast<T>(pixels);
  }
  return y;
}

template <FloatingElement T>
Tensor<T, Cpu> global_avg_pool_backward(const Tensor<T, Cpu>& dy, const Shape& shape) {
  const std::int64_t pixels = shape[2] * shape[3];
  const Tensor<T, Cpu> g = dy.row_major();
  Tensor<T, Cpu> dx(shape);
  T* d = dx.mutable_data();
  for (std::int64_t i = 0; i < dx.numel(); ++i) d[i] = g.data()[i / pixels] / static_cast<T>(pixels);
  return dx;
}

}  // namespace kfer::reference
