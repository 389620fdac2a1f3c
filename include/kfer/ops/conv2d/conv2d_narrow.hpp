// 2-D convolution to very few channels, as at the end of an autoencoder (32 -> 3).
//
// oneDNN fills vectors with output channels, so it would compute 16 channels to keep 3, or fall back to
// im2col. Here the vectors run over the *input* channels: a vector of partial sums for each output and pixel,
// added up at the end. The two backward passes are passes of the convolution in the opposite direction (few
// -> many channels, kernel flipped), which oneDNN does well.
#pragma once

#include "kfer/core/simd.hpp"
#include "kfer/ops/conv2d/channel_sums.hpp"
#include "kfer/ops/conv2d/conv2d_dnnl.hpp"

namespace kfer::detail {

struct ConvNarrow {
  using Tn = Tensor<float, Cpu>;
  static constexpr std::int64_t most_outputs = 4;

  static bool applies(const Conv2dShape& s) {
    return s.out_channels <= most_outputs && s.in_channels % simd_width == 0 && s.stride == Extent2d(1) &&
           s.dilation == Extent2d(1) && s.groups == 1 && s.padding.height < s.kernel_height &&
           s.padding.width < s.kernel_width && !s.pointwise();
  }

  /// `at_rest`: the weights may be kept with w in the order that they are read in.
  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, bool relu, bool at_rest) {
    const Tn source = x.to(activation_layout(s.in_channels));
    const auto make = [&] { return input_vectors(w); };
    const Tn kernel = at_rest ? *w.derived<Tn>(InputVectors{}, make) : make();
    Tn y(s.output());
    const auto rows = [&]<int outputs>(std::integral_constant<int, outputs>) {
      parallel_for(s.batch * s.out_height, [&, out = y.mutable_data()](std::int64_t k) {
        Row<outputs>{s, source.data(), kernel.data(), bias ? bias->data() : nullptr, out, relu}.compute(
            k / s.out_height, k % s.out_height);
      });
    };
    switch (s.out_channels) {
      case 1:
        rows(std::integral_constant<int, 1>{});
        break;
      case 2:
        rows(std::integral_constant<int, 2>{});
        break;
      case 3:
        rows(std::integral_constant<int, 3>{});
        break;
      default:
        rows(std::integral_constant<int, 4>{});
    }
    return y;
  }

  static Tn backward_data(const Conv2dShape& s, const Tn& w, const Tn& dy) {
    const Conv2dShape back = reverse(s);
    return ConvDnnl::forward(back, dy, flip(w), nullptr, nullptr, false);
  }

  static std::pair<Tn, Tn> backward_weights(const Conv2dShape& s, const Tn& x, const Tn& dy, bool bias) {
    Tn dw = flip(ConvDnnl::backward_weights(reverse(s), dy, x, false).first);
    return {std::move(dw), bias ? channel_sums(dy) : Tn()};
  }

  /// [A, B, KH, KW] -> [B, A, KH, KW] with the kernel turned by 180 degrees; its own inverse.
  template <Element T>
  static Tensor<T, Cpu> flip(const Tensor<T, Cpu>& weight) {
    const Tensor<T, Cpu> w = weight.row_major();
    const std::int64_t a = w.size(0), b = w.size(1), taps = w.size(2) * w.size(3);
    Tensor<T, Cpu> out({b, a, w.size(2), w.size(3)});
    T* to = out.mutable_data();
    for (std::int64_t i = 0; i < a; ++i)
      for (std::int64_t j = 0; j < b; ++j)
        for (std::int64_t t = 0; t < taps; ++t)
          to[(j * a + i) * taps + taps - 1 - t] = w.data()[(i * b + j) * taps + t];
    return out;
  }

 private:
  struct InputVectors {
    bool operator==(const InputVectors&) const = default;
  };
  static constexpr int B = simd_width;
  using Vector = simd_f32<B>;

  /// From the many channels that this convolution made few of, back from its output to its input.
  static Conv2dShape reverse(const Conv2dShape& s) {
    return {s.batch,
            s.out_channels,
            s.out_height,
            s.out_width,
            s.in_channels,
            s.kernel_height,
            s.kernel_width,
            s.height,
            s.width,
            1,
            {s.kernel_height - 1 - s.padding.height, s.kernel_width - 1 - s.padding.width},
            1,
            1};
  }

  /// [O, C, KH, KW] -> [C / B, KH, KW, O, B].
  static Tn input_vectors(const Tn& weight) {
    const Tn w = weight.row_major();
    const std::int64_t outputs = w.size(0), channels = w.size(1), taps = w.size(2) * w.size(3);
    Tn out({channels / B, taps, outputs, B});
    float* to = out.mutable_data();
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t t = 0; t < taps; ++t)
        for (std::int64_t o = 0; o < outputs; ++o)
          to[((c / B * taps + t) * outputs + o) * B + c % B] = w.data()[(o * channels + c) * taps + t];
    return out;
  }

  template <int outputs>
  struct Row {
    const Conv2dShape& s;
    const float *x, *w, *bias;
    float* y;
    bool relu;

    void compute(std::int64_t n, std::int64_t i) const {
      constexpr int tile = 4;
      const std::int64_t first = s.padding.width,
                         last = s.width + s.padding.width - s.kernel_width + 1;  // no border
      std::int64_t j = 0;
      for (; j < std::min(first, s.out_width); ++j) pixels<1, true>(n, i, j);
      for (; j + tile <= std::min(last, s.out_width); j += tile) pixels<tile, false>(n, i, j);
      for (; j < s.out_width; ++j) pixels<1, true>(n, i, j);
    }

    /// `count` neighbouring pixels of row i, all outputs.
    template <int count, bool border>
    void pixels(std::int64_t n, std::int64_t i, std::int64_t j) const {
      Vector sum[count][outputs] = {};
      const std::int64_t left = j - s.padding.width;
      const std::int64_t v0 = border ? std::max<std::int64_t>(0, -left) : 0;
      const std::int64_t v1 = border ? std::min(s.kernel_width, s.width - left) : s.kernel_width;
      for (std::int64_t block = 0; block < s.in_channels / B; ++block) {
        const float* plane = x + (n * (s.in_channels / B) + block) * s.height * s.width * B;
        for (std::int64_t u = 0; u < s.kernel_height; ++u) {
          const std::int64_t row = i + u - s.padding.height;
          if (row < 0 || row >= s.height) continue;
          const float* px = plane + (row * s.width + left) * B;
          const float* pw = w + (block * s.kernel_height + u) * s.kernel_width * outputs * B;
          for (std::int64_t v = v0; v < v1; ++v) {
            Vector weight[outputs];
            for (int o = 0; o < outputs; ++o) weight[o] = simd_load<B>(pw + (v * outputs + o) * B);
            for (int p = 0; p < count; ++p) {
              const Vector in = simd_load<B>(px + (v + p) * B);
              for (int o = 0; o < outputs; ++o) sum[p][o] += in * weight[o];
            }
          }
        }
      }
      for (int p = 0; p < count; ++p)
        for (int o = 0; o < outputs; ++o) {
          float total = bias ? bias[o] : 0.f;
          for (int lane = 0; lane < B; ++lane) total += sum[p][o][lane];
          if (relu && total < 0) total = 0;
          y[((n * s.out_channels + o) * s.out_height + i) * s.out_width + j + p] = total;
        }
    }
  };
};

}  // namespace kfer::detail
