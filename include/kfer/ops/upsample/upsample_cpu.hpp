// Nearest-neighbour upsampling on the Cpu, in any memory order.
#pragma once

#include "kfer/ops/upsample/upsample_reference.hpp"
#include "kfer/tensor/lanes.hpp"

namespace kfer {

template <>
struct upsample_nearest_impl<float, Cpu> {
  static Tensor<float, Cpu> forward(const Tensor<float, Cpu>& input, std::int64_t scale) {
    const Tensor<float, Cpu> x = detail::planar(input);
    const Shape& s = x.shape();
    const std::int64_t w = s[3], h = s[2];
    Tensor<float, Cpu> y({s[0], s[1], h * scale, w * scale}, x.layout());
    if (y.numel() == 0) return y;
    const auto planes = detail::Planes::of(s, x.layout());
    const float* in = x.data();
    float* out = y.mutable_data();
    detail::with_lanes(planes.lanes, [&](auto width) {
      constexpr int V = width;
      using vec = detail::lanes_f32<V>;
      const std::int64_t lanes = planes.lanes, row = w * scale * lanes;
      parallel_for(planes.images * planes.blocks * h, [&](std::int64_t r) {
        const float* from = in + r * w * lanes;
        float* to = out + r * scale * row;
        for (std::int64_t j = 0; j < w; ++j)
          for (std::int64_t l = 0; l < lanes; l += V) {
            const auto v = detail::load_lanes<vec>(from + j * lanes + l);
            for (std::int64_t q = 0; q < scale; ++q) detail::store_lanes(to + (j * scale + q) * lanes + l, v);
          }
        for (std::int64_t q = 1; q < scale; ++q)
          std::memcpy(to + q * row, to, static_cast<std::size_t>(row) * sizeof(float));
      });
    });
    return y;
  }

  static Tensor<float, Cpu> backward(const Tensor<float, Cpu>& grad, std::int64_t scale) {
    const Tensor<float, Cpu> dy = detail::planar(grad);
    const Shape& s = dy.shape();
    const std::int64_t w = s[3] / scale, h = s[2] / scale;
    Tensor<float, Cpu> dx({s[0], s[1], h, w}, dy.layout());
    if (dx.numel() == 0) return dx;
    const auto planes = detail::Planes::of(s, dy.layout());
    const float* in = dy.data();
    float* out = dx.mutable_data();
    detail::with_lanes(planes.lanes, [&](auto width) {
      constexpr int V = width;
      using vec = detail::lanes_f32<V>;
      const std::int64_t lanes = planes.lanes, row = w * scale * lanes;
      parallel_for(planes.images * planes.blocks * h, [&](std::int64_t r) {
        const float* from = in + r * scale * row;
        float* to = out + r * w * lanes;
        for (std::int64_t j = 0; j < w; ++j)
          for (std::int64_t l = 0; l < lanes; l += V) {
            const float* corner = from + j * scale * lanes + l;
            vec sum{};
            if (scale == 2) {
              sum = (detail::load_lanes<vec>(corner) + detail::load_lanes<vec>(corner + lanes)) +
                    (detail::load_lanes<vec>(corner + row) + detail::load_lanes<vec>(corner + row + lanes));
            } else {
              for (std::int64_t p = 0; p < scale; ++p)
                for (std::int64_t q = 0; q < scale; ++q)
                  sum += detail::load_lanes<vec>(corner + p * row + q * lanes);
            }
            detail::store_lanes(to + j * lanes + l, sum);
          }
      });
    });
    return dx;
  }
};

template <>
struct upsample_nearest_impl<double, Cpu> {
  static Tensor<double, Cpu> forward(const Tensor<double, Cpu>& x, std::int64_t scale) {
    return reference::upsample_forward(x, scale);
  }
  static Tensor<double, Cpu> backward(const Tensor<double, Cpu>& dy, std::int64_t scale) {
    return reference::upsample_backward(dy, scale);
  }
};

}  // namespace kfer
