// Convolutions to test kernels with, and the plain loops in double that say what comes out.
#pragma once

#include <cmath>
#include <vector>

#include "../../kernels/common/bf16.cuh"
#include "../../kernels/conv2d/shape.cuh"

namespace kfer::test {

using kernels::ConvShape;

/// Numbers in [-1, 1] in steps of 0.001, rounded to T.
template <class T>
std::vector<T> conv_numbers(long long n, unsigned seed) {
  std::vector<T> out(static_cast<std::size_t>(n));
  for (T& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = kernels::narrow<T>(static_cast<kernels::accum_t<T>>(static_cast<int>(seed >> 8) % 1001) / 1000 *
                           (seed >> 31 ? 1 : -1));
  }
  return out;
}

/// A sum of products and the sum of their magnitudes, which bounds the error of any order of summation.
struct ConvSums {
  std::vector<double> value, magnitude;
  explicit ConvSums(long long n)
      : value(static_cast<std::size_t>(n)), magnitude(static_cast<std::size_t>(n)) {}
  void add(long long i, double a, double b) {
    value[static_cast<std::size_t>(i)] += a * b;
    magnitude[static_cast<std::size_t>(i)] += std::abs(a * b);
  }
};

/// Calls visit(x index, w index, y index) for every product, in the kernels' memory orders.
template <class Visit>
void conv_products(const ConvShape& s, const Visit& visit) {
  const int gi = s.in_channels / s.groups, go = s.out_channels / s.groups;
  for (int n = 0; n < s.batch; ++n)
    for (int p = 0; p < s.out_height; ++p)
      for (int q = 0; q < s.out_width; ++q)
        for (int u = 0; u < s.kernel_height; ++u)
          for (int v = 0; v < s.kernel_width; ++v) {
            const int row = p * s.stride_height + u * s.dilation_height - s.padding_height;
            const int column = q * s.stride_width + v * s.dilation_width - s.padding_width;
            if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
            for (int o = 0; o < s.out_channels; ++o)
              for (int c = 0; c < gi; ++c)
                visit(((n * s.height + row) * s.width + column) * s.in_channels + o / go * gi + c,
                      ((o * s.kernel_height + u) * s.kernel_width + v) * gi + c,
                      ((n * s.out_height + p) * s.out_width + q) * s.out_channels + o);
          }
}

inline ConvShape conv_shape(int batch, int height, int width, int in, int out, int kh, int kw, int sh = 1,
                            int sw = 1, int ph = 0, int pw = 0, int dh = 1, int dw = 1, int groups = 1) {
  return {batch,
          height,
          width,
          in,
          (height + 2 * ph - dh * (kh - 1) - 1) / sh + 1,
          (width + 2 * pw - dw * (kw - 1) - 1) / sw + 1,
          out,
          kh,
          kw,
          sh,
          sw,
          ph,
          pw,
          dh,
          dw,
          groups};
}

struct ConvCase {
  const char* name;
  ConvShape s;
};
inline const std::vector<ConvCase> conv_cases{
    {"3 channels, 3x3", conv_shape(2, 9, 11, 3, 5, 3, 3, 1, 1, 1, 1)},
    {"7x7, stride 2, of 3 channels", conv_shape(1, 13, 17, 3, 16, 7, 7, 2, 2, 3, 3)},
    {"1x1", conv_shape(2, 5, 7, 16, 24, 1, 1)},
    {"1x1, stride 2", conv_shape(2, 7, 6, 8, 16, 1, 1, 2, 2)},
    {"prime channels", conv_shape(1, 8, 9, 17, 19, 3, 3, 1, 1, 1, 0)},
    {"every extent its own", conv_shape(1, 12, 10, 8, 8, 3, 4, 3, 2, 4, 1, 2, 3)},
    {"stride and dilation of one divisor", conv_shape(1, 11, 12, 8, 8, 3, 2, 2, 4, 2, 2, 2, 2)},
    {"2 groups", conv_shape(2, 6, 6, 16, 32, 3, 3, 1, 1, 1, 1, 1, 1, 2)},
    {"3 groups, ragged, stride 2", conv_shape(1, 6, 5, 6, 9, 3, 3, 2, 2, 1, 1, 1, 1, 3)},
    {"a group a channel", conv_shape(1, 7, 7, 5, 5, 3, 3, 1, 1, 1, 1, 1, 1, 5)},
    {"5x5", conv_shape(2, 10, 11, 8, 16, 5, 5, 1, 1, 2, 2)},
    {"several tiles", conv_shape(2, 13, 11, 8, 72, 3, 3, 1, 1, 1, 1)},
    {"stride past the kernel", conv_shape(1, 8, 7, 8, 8, 2, 1, 3, 4)},
    {"padding past the kernel", conv_shape(1, 2, 3, 8, 8, 1, 2, 1, 1, 2, 3)},
    {"one of everything", conv_shape(1, 1, 1, 1, 1, 1, 1)},
    {"a map of one pixel", conv_shape(3, 1, 1, 16, 16, 3, 3, 1, 1, 1, 1)},
    {"no image", conv_shape(0, 5, 5, 8, 8, 3, 3, 1, 1, 1, 1)},
};

/// What the three passes of a shape must give, with x, w and dy given.
struct ConvExpected {
  ConvSums y, dx, dw;

  template <class T>
  ConvExpected(const ConvShape& s, const T* x, const T* w, const T* dy)
      : y(static_cast<long long>(s.out_pixels()) * s.out_channels),
        dx(static_cast<long long>(s.in_pixels()) * s.in_channels),
        dw(s.weights()) {
    conv_products(s, [&](int i, int k, int j) {
      const double a = kernels::widen(x[i]), b = kernels::widen(w[k]), g = kernels::widen(dy[j]);
      y.add(j, a, b);
      dx.add(i, g, b);
      dw.add(k, g, a);
    });
  }
};

/// Half a unit in the last place of 1.
constexpr double conv_epsilon(float) {
  return 0x1p-24;
}
constexpr double conv_epsilon(double) {
  return 0x1p-53;
}
inline double conv_epsilon(kernels::bf16) {
  return 0x1p-9;
}

/// Elements of `got` that are further from the exact value than rounding explains, NaNs among them. Sums are
/// of at most `depth` products, each off by a share `product_error`.
template <class T>
long long conv_wrong(const T* got, const ConvSums& exact, long long depth, const T* bias = nullptr,
                     int channels = 1, bool relu = false, double product_error = 0) {
  using kernels::widen;
  long long count = 0;
  for (std::size_t i = 0; i < exact.value.size(); ++i) {
    double want = exact.value[i], size = exact.magnitude[i];
    if (bias) {
      const double b = widen(bias[i % static_cast<std::size_t>(channels)]);
      want += b;
      size += std::abs(b);
    }
    if (relu && want < 0) want = 0;
    const double bound =
        (static_cast<double>(depth + 2) * conv_epsilon(kernels::accum_t<T>{}) + product_error) * size +
        2 * conv_epsilon(T{}) * std::abs(want) + 1e-300;
    if (!(std::abs(widen(got[i]) - want) <= bound)) ++count;
  }
  return count;
}

}  // namespace kfer::test
