// conv_transpose2d on the device under test, against its definition.
#include <doctest/doctest.h>

#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cuda.hpp"
#endif

using namespace kfer;
using test::TestDevice;

namespace {

struct Case {
  Shape x, w;
  ConvTranspose2dOptions options;
};

const std::vector<Case> cases{
    {{2, 32, 7, 5}, {32, 32, 3, 3}, {.padding = 1}},
    {{2, 3, 4, 5}, {3, 7, 3, 3}, {.padding = 1}},
    {{1, 16, 4, 4}, {16, 32, 2, 2}, {.stride = 2}},
    {{2, 5, 4, 3}, {5, 3, 3, 3}, {.stride = 2, .padding = 1, .output_padding = 1}},
    {{1, 4, 3, 3}, {4, 2, 3, 3}, {.stride = {3, 1}, .padding = {0, 2}, .dilation = {1, 2}}},
    {{1, 4, 5, 5}, {4, 3, 3, 3}, {.groups = 2}},
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {{0, 4, 5, 5}, {4, 3, 3, 3}, {}},
};

/// The definition, loop by loop.
Tensor<double> direct(const Case& c, const Tensor<double>& x, const Tensor<double>& w,
                      const Tensor<double>& b) {
  const auto s = conv_transpose2d_shape(c.x, c.w, c.options);
  auto y = zeros<double>(s.input());
  double* out = y.mutable_data();
  const std::int64_t gi = c.w[0] / s.groups, go = c.w[1];
  for (std::int64_t n = 0; n < c.x[0]; ++n)
    for (std::int64_t i = 0; i < c.w[0]; ++i)
      for (std::int64_t o = 0; o < go; ++o)
        for (std::int64_t h = 0; h < c.x[2]; ++h)
          for (std::int64_t v = 0; v < c.x[3]; ++v)
            for (std::int64_t p = 0; p < c.w[2]; ++p)
              for (std::int64_t q = 0; q < c.w[3]; ++q) {
                const auto row = h * s.stride.height + p * s.dilation.height - s.padding.height;
                const auto col = v * s.stride.width + q * s.dilation.width - s.padding.width;
                if (row < 0 || row >= s.height || col < 0 || col >= s.width) continue;
                out[((n * s.in_channels + i / gi * go + o) * s.height + row) * s.width + col] +=
                    x.data()[((n * c.w[0] + i) * c.x[2] + h) * c.x[3] + v] *
                    w.data()[((i * go + o) * c.w[2] + p) * c.w[3] + q];
              }
  const auto pixels = s.height * s.width;
  for (std::int64_t i = 0; i < y.numel(); ++i)
    out[i] = std::max(0.0, out[i] + b.data()[i / pixels % s.in_channels]);
  return y;
}

/// Result and gradients.
template <class T, class D>
std::vector<Tensor<T, D>> run(const Case& c, const Tensor<double>& x, const Tensor<double>& w,
                              const Tensor<double>& b) {
  const auto input = [](const Tensor<double>& t) { return Variable<T, D>(to_device<D>(cast<T>(t)), true); };
  const auto vx = input(x), vw = input(w), vb = input(b);
  const auto y = conv_transpose2d(vx, vw, vb, c.options);
  backward(y, uniform<T, D>(y.shape(), {1, 4}, -1, 1));
  return {y.value(), vx.grad(), vw.grad(), vb.grad()};
}

}  // namespace

TEST_CASE(
    "transposed convolution equals its definition, in float and double, gradients with finite differences") {
  for (auto c : cases) {
    CAPTURE(to_string(c.x));
    CAPTURE(to_string(c.w));
    c.options.relu = true;
    const std::int64_t out = c.w[1] * c.options.groups;
    const auto x = uniform<double>(c.x, {1, 1}, -1, 1), w = uniform<double>(c.w, {1, 2}, -1, 1),
               b = uniform<double>({out}, {1, 3}, -1, 1);
    const auto expected = direct(c, x, w, b);
    const auto on_cpu = run<double, test::Exact>(c, x, w, b);
    const auto in_double = run<double, TestDevice>(c, x, w, b);
    const auto in_float = run<float, TestDevice>(c, x, w, b);
    CHECK(on_cpu[0].shape() == expected.shape());
    CHECK(largest_difference(on_cpu[0], expected) < 1e-12);
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(largest_difference(in_double[i], on_cpu[i]) < 1e-12);
      CHECK(relative_rms(in_float[i], on_cpu[i]) < 1e-5);
    }
    if constexpr (!std::same_as<TestDevice, Cpu>) {
      const auto in_bfloat16 = run<bfloat16, TestDevice>(c, x, w, b);
      for (std::size_t i = 0; i < 4; ++i) CHECK(relative_rms(in_bfloat16[i], on_cpu[i]) < 2e-2);
    }
    c.options.relu = false;  // finite differences must not step over a kink
    if (x.numel() && x.numel() < 150)
      gradcheck<TestDevice>([&](const auto& v) { return conv_transpose2d(v[0], v[1], v[2], c.options); },
                            {x, w, b});
  }
}

TEST_CASE("shapes that do not fit a transposed convolution are named") {
  const auto of = [](const Shape& shape) {
    return Variable<float, TestDevice>(zeros<float, TestDevice>(shape));
  };
  const auto x = of({1, 4, 5, 5}), w = of({3, 2, 3, 3});
  const Variable<float, TestDevice>* none = nullptr;
  CHECK_THROWS_WITH_AS(conv_transpose2d(x, w, none),
                       "conv_transpose2d: input [1, 4, 5, 5] has 4 channels, weight [3, 2, 3, 3] takes 3",
                       ShapeError);
  const auto v = of({4, 2, 3, 3});
  CHECK_THROWS_AS(conv_transpose2d(x, v, none, {.output_padding = 1}), ValueError);
  CHECK_THROWS_AS(conv_transpose2d(x, v, none, {.padding = 9}), ShapeError);
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(conv_transpose2d(x, v, none, {.stride = {1, most}}), ShapeError);
  CHECK_THROWS_AS(conv_transpose2d(x, v, none, {.padding = {most, 0}}), ShapeError);
  CHECK_THROWS_AS(conv_transpose2d(x, v, none, {.dilation = {most, 1}}), ShapeError);
}
