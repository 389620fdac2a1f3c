// Winograd convolution against plain loops in double.
#include "kfer/ops/conv2d/winograd_cpu.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

using namespace kfer::winograd;

namespace {

std::vector<float> uniform(std::int64_t n, unsigned seed, float low = -1, float high = 1) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> draw(low, high);
  std::vector<float> v(static_cast<std::size_t>(n));
  for (auto& x : v) x = draw(engine);
  return v;
}

std::int64_t inputs(const ConvShape& s) {
  return s.batch * s.in_channels * s.height * s.width;
}
std::int64_t outputs(const ConvShape& s) {
  return s.batch * s.out_channels * s.out_height() * s.out_width();
}
std::int64_t weights(const ConvShape& s) {
  return s.out_channels * s.in_channels * s.kernel * s.kernel;
}

/// Offset of (n, c, h, w) among maps of `channels` x `height` x `width` in channel blocks of B.
template <int B>
std::int64_t at(std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w, std::int64_t channels,
                std::int64_t height, std::int64_t width) {
  return (((n * (channels / B) + c / B) * height + h) * width + w) * B + c % B;
}

/// Calls f(input offset, output offset, weight offset) for every product of the convolution.
template <int B, class F>
void for_each_product(const ConvShape& s, const F& f) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t i = 0; i < s.in_channels; ++i)
        for (std::int64_t h = 0; h < s.out_height(); ++h)
          for (std::int64_t w = 0; w < s.out_width(); ++w)
            for (std::int64_t a = 0; a < s.kernel; ++a)
              for (std::int64_t b = 0; b < s.kernel; ++b) {
                const std::int64_t y = h + a - s.padding, x = w + b - s.padding;
                if (y >= 0 && y < s.height && x >= 0 && x < s.width)
                  f(at<B>(n, i, y, x, s.in_channels, s.height, s.width),
                    at<B>(n, o, h, w, s.out_channels, s.out_height(), s.out_width()),
                    ((o * s.in_channels + i) * s.kernel + a) * s.kernel + b);
              }
}

/// OIHW to OIhw{B}i{B}o.
template <int B>
std::vector<float> blocked(const ConvShape& s, const std::vector<float>& oihw) {
  std::vector<float> out(oihw.size());
  const std::int64_t taps = s.kernel * s.kernel;
  for (std::int64_t o = 0; o < s.out_channels; ++o)
    for (std::int64_t i = 0; i < s.in_channels; ++i)
      for (std::int64_t t = 0; t < taps; ++t)
        out[(((o / B * (s.in_channels / B) + i / B) * taps + t) * B + i % B) * B + o % B] =
            oihw[(o * s.in_channels + i) * taps + t];
  return out;
}

/// Root mean square of the difference, relative to that of `expected`; NaN if any value is NaN.
double error(const std::vector<float>& got, const std::vector<double>& expected) {
  REQUIRE(got.size() == expected.size());
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (got[i] - expected[i]) * (got[i] - expected[i]);
    size += expected[i] * expected[i];
  }
  return expected.empty() ? 0 : std::sqrt(difference / size);
}

std::string describe(const ConvShape& s) {
  return kfer::text(s.batch, " x ", s.in_channels, " -> ", s.out_channels, ", ", s.height, " x ", s.width,
                    " kernel ", s.kernel, " padding ", s.padding);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

constexpr double tolerance = 1e-5;
constexpr float poison = std::numeric_limits<float>::quiet_NaN();

template <int M, int R, int B>
void check_all_passes(const ConvShape& s) {
  CAPTURE(describe(s));
  CAPTURE(M);
  CAPTURE(B);
  const auto x = uniform(inputs(s), 1), w = uniform(weights(s), 2), bias = uniform(s.out_channels, 3);
  const auto dy = uniform(outputs(s), 4);
  const auto wb = blocked<B>(s, w);
  std::vector<double> y_ref(outputs(s)), dx_ref(inputs(s)), dw_ref(weights(s)), db_ref(s.out_channels);
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t o = 0; o < s.out_channels; ++o)
      for (std::int64_t h = 0; h < s.out_height(); ++h)
        for (std::int64_t c = 0; c < s.out_width(); ++c) {
          const auto i = at<B>(n, o, h, c, s.out_channels, s.out_height(), s.out_width());
          y_ref[i] = bias[o];
          db_ref[o] += dy[i];
        }
  for_each_product<B>(s, [&](auto i, auto o, auto k) {
    y_ref[o] += double{x[i]} * w[k];
    dx_ref[i] += double{dy[o]} * w[k];
    dw_ref[k] += double{dy[o]} * x[i];
  });

  std::vector<float> workspace(workspace_floats<M, R, B>(s), poison);
  const OihwWeights<B> plain{w.data()};
  const BlockedWeights<B> in_blocks{wb.data()};
  const Load<B> from_x{x.data()}, from_dy{dy.data()};

  std::vector<float> y(outputs(s), poison), y2 = y, dx(inputs(s), poison), dx2 = dx;
  forward<M, R, B>(s, from_x, plain, bias.data(), y.data(), workspace);
  forward<M, R, B>(s, from_x, in_blocks, bias.data(), y2.data(), workspace);
  CHECK(error(y, y_ref) < tolerance);
  CHECK(same_bits(y, y2));
  std::vector<float> u(transformed_floats<M, R, B>(s, Pass::forward), poison);
  std::fill(y2.begin(), y2.end(), poison);
  const auto ready = transform_weights<M, R, B>(s, Pass::forward, plain, u);
  forward<M, R, B>(s, from_x, ready, bias.data(), y2.data(), workspace);
  CHECK(same_bits(y, y2));

  backward_data<M, R, B>(s, from_dy, plain, dx.data(), workspace);
  backward_data<M, R, B>(s, from_dy, in_blocks, dx2.data(), workspace);
  CHECK(error(dx, dx_ref) < tolerance);
  CHECK(same_bits(dx, dx2));
  u.assign(transformed_floats<M, R, B>(s, Pass::backward_data), poison);
  std::fill(dx2.begin(), dx2.end(), poison);
  backward_data<M, R, B>(s, from_dy, transform_weights<M, R, B>(s, Pass::backward_data, in_blocks, u),
                         dx2.data(), workspace);
  CHECK(same_bits(dx, dx2));

  std::vector<float> dw(weights(s), poison), dwb = dw, db(s.out_channels, poison);
  backward_weights<M, R, B>(s, from_x, from_dy, OihwWeights<B, float>{dw.data()}, db.data(), workspace);
  backward_weights<M, R, B>(s, from_x, from_dy, BlockedWeights<B, float>{dwb.data()}, nullptr, workspace);
  if (s.batch > 0) {
    CHECK(error(dw, dw_ref) < tolerance);
    CHECK(error(db, db_ref) < tolerance);
  } else {
    CHECK(std::all_of(dw.begin(), dw.end(), [](float v) { return v == 0; }));
    CHECK(std::all_of(db.begin(), db.end(), [](float v) { return v == 0; }));
  }
  CHECK(same_bits(blocked<B>(s, dw), dwb));
}

template <int M, int R, int B>
void check_shapes() {
  // Maps: one pixel, smaller than a tile, one tile, ragged and prime, wide and high; every legal padding.
  for (const auto& [h, w] : {std::pair{1, 1}, {2, 2}, {3, 8}, {7, 5}, {13, 17}})
    for (int padding = 0; padding < R; ++padding) {
      const ConvShape s{.batch = 1 + h % 3,
                        .in_channels = B,
                        .out_channels = 2 * B,
                        .height = h,
                        .width = w,
                        .kernel = R,
                        .padding = padding};
      if (s.out_height() > 0 && s.out_width() > 0) check_all_passes<M, R, B>(s);
    }
  // Channels that make uneven panels, and no images.
  check_all_passes<M, R, B>({3, 5 * B, 3 * B, 6, 9, R, R / 2});
  check_all_passes<M, R, B>({0, B, B, 5, 5, R, R / 2});
}

}  // namespace

TEST_CASE_TEMPLATE("winograd: every pass is the direct convolution", Block, std::integral_constant<int, 8>,
                   std::integral_constant<int, 16>) {
  constexpr int B = Block::value;
  for (const int threads : {1, 2}) {
    kfer::set_num_threads(threads);
    CAPTURE(threads);
    check_shapes<2, 3, B>();
    check_shapes<4, 3, B>();
    check_shapes<6, 3, B>();
    check_shapes<4, 5, B>();
  }
}
