// The loops that define 2-D convolution. Tensor<double, Cpu> runs them; every other implementation is
// compared with them.
#pragma once

#include "kfer/ops/conv2d/conv2d.hpp"

namespace kfer::reference {

/// Calls `visit(y_index, x_index, w_index)` for every product of the convolution, all in row-major order.
template <class Visit>
void conv2d_products(const Conv2dShape& s, const Visit& visit) {
  const std::int64_t group_in = s.in_channels / s.groups, group_out = s.out_channels / s.groups;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t i = 0; i < s.out_height; ++i)
        for (std::int64_t j = 0; j < s.out_width; ++j) {
          const std::int64_t y = ((n * s.out_channels + o) * s.out_height + i) * s.out_width + j;
          for (std::int64_t c = 0; c < group_in; ++c)
            for (std::int64_t u = 0; u < s.kernel_height; ++u)
              for (std::int64_t v = 0; v < s.kernel_width; ++v) {
                const std::int64_t h = i * s.stride.height + u * s.dilation.height - s.padding.height;
                const std::int64_t w = j * s.stride.width + v * s.dilation.width - s.padding.width;
                if (h < 0 || h >= s.height || w < 0 || w >= s.width) continue;
                const std::int64_t channel = o / group_out * group_in + c;
                visit(y, ((n * s.in_channels + channel) * s.height + h) * s.width + w,
                      ((o * group_in + c) * s.kernel_height + u) * s.kernel_width + v);
              }
        }
}

/// Row-major position of an element of [N, C, H, W] -> its position in channels-last order.
inline std::int64_t channels_last_index(const Shape& shape, std::int64_t i) {
  const std::int64_t pixels = shape[2] * shape[3], c = i / pixels % shape[1];
  return (i / (pixels * shape[1]) * pixels + i % pixels) * shape[1] + c;
}

template <FloatingElement T>
Tensor<T, Cpu> conv2d_forward(const Conv2dShape& s, const Tensor<T, Cpu>& x, const Tensor<T, Cpu>& w,
                              const Tensor<T, Cpu>* bias, const Tensor<T, Cpu>* residual,
                              const Conv2dEpilogue& epilogue) {
  Tensor<T, Cpu> y = zeros<T, Cpu>(s.output());
  T* out = y.mutable_data();
  const Tensor<T, Cpu> xr = x.row_major(), wr = w.row_major();
  conv2d_products(
      s, [&, px = xr.data(), pw = wr.data()](auto iy, auto ix, auto iw) { out[iy] += px[ix] * pw[iw]; });
  const std::int64_t pixels = s.out_height * s.out_width;
  const Tensor<T, Cpu> rest = residual ? residual->row_major() : Tensor<T, Cpu>();
  for (std::int64_t i = 0, n = y.numel(); i < n; ++i) {
    if (bias) out[i] += bias->data()[i / pixels % s.out_channels];
    if (residual) out[i] += rest.data()[i];
    if (epilogue.relu && out[i] < T(0)) out[i] = T(0);
    if (epilogue.dropout)
      out[i] = epilogue.dropout->keeps(channels_last_index(y.shape(), i))
                   ? out[i] * T(epilogue.dropout->scale())
                   : T(0);
  }
  return y;
}

template <FloatingElement T>
Conv2dGrads<T, Cpu> conv2d_backward(const Conv2dShape& s, const Tensor<T, Cpu>& x, const Tensor<T, Cpu>& w,
                                    const Tensor<T, Cpu>* y, const Tensor<T, Cpu>& dy,
                                    const Conv2dEpilogue& epilogue, Conv2dWants wants = {}) {
  Tensor<T, Cpu> g = dy.row_major();
  if (y) {
    const Tensor<T, Cpu> yr = y->row_major();
    T* d = g.mutable_data();
    const T scale = epilogue.dropout ? T(epilogue.dropout->scale()) : T(1);
    for (std::int64_t i = 0, n = g.numel(); i < n; ++i) d[i] = yr.data()[i] > T(0) ? d[i] * scale : T(0);
  }
  Conv2dGrads<T, Cpu> grads;
  if (wants.residual) grads.residual = g;
  if (wants.x) {
    grads.x = zeros<T, Cpu>(s.input());
    const Tensor<T, Cpu> wr = w.row_major();
    conv2d_products(s, [dx = grads.x.mutable_data(), pw = wr.data(), d = g.data()](
                           auto iy, auto ix, auto iw) { dx[ix] += d[iy] * pw[iw]; });
  }
  if (wants.w) {
    grads.w = zeros<T, Cpu>(s.weight());
    const Tensor<T, Cpu> xr = x.row_major();
    conv2d_products(s, [dw = grads.w.mutable_data(), px = xr.data(), d = g.data()](
                           auto iy, auto ix, auto iw) { dw[iw] += d[iy] * px[ix]; });
  }
  if (wants.bias) {
    grads.bias = zeros<T, Cpu>({s.out_channels});
    T* db = grads.bias.mutable_data();
    const std::int64_t pixels = s.out_height * s.out_width;
    for (std::int64_t i = 0, n = g.numel(); i < n; ++i) db[i / pixels % s.out_channels] += g.data()[i];
  }
  return grads;
}

}  // namespace kfer::reference
