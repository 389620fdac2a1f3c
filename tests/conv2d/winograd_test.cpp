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

/// Equal but for what a compiler may round otherwise from one instance of a template to the next.
bool alike(const std::vector<float>& a, const std::vector<float>& b) {
  return a == b || error(a, {b.begin(), b.end()}) < 2e-6;
}

std::string describe(const ConvShape& s) {
  return kfer::text(s.batch, " x ", s.in_channels, " -> ", s.out_channels, ", ", s.height, " x ", s.width,
                    " kernel ", s.kernel, " padding ", s.padding);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
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

  std::vector<float> y(outputs(s), poison), dx(inputs(s), poison), dw(weights(s), poison),
      db(s.out_channels, poison);
  forward<M, R, B>(s, from_x, in_blocks, bias.data(), y.data(), workspace);
  CHECK(error(y, y_ref) < tolerance);
  backward_data<M, R, B>(s, from_dy, in_blocks, dx.data(), workspace);
  CHECK(error(dx, dx_ref) < tolerance);
  backward_weights<M, R, B>(s, from_x, from_dy, OihwWeights<B, float>{dw.data()}, db.data(), workspace);
  if (s.batch > 0) {
    CHECK(error(dw, dw_ref) < tolerance);
    CHECK(error(db, db_ref) < tolerance);
  } else {
    CHECK(std::all_of(dw.begin(), dw.end(), [](float v) { return v == 0; }));
    CHECK(std::all_of(db.begin(), db.end(), [](float v) { return v == 0; }));
  }

  if constexpr (M == 4) {  // the other order, and weights transformed beforehand
    std::vector<float> y2(outputs(s), poison), dx2(inputs(s), poison), dw2(weights(s), poison);
    forward<M, R, B>(s, from_x, plain, bias.data(), y2.data(), workspace);
    CHECK(alike(y, y2));
    backward_data<M, R, B>(s, from_dy, plain, dx2.data(), workspace);
    CHECK(alike(dx, dx2));
    backward_weights<M, R, B>(s, from_x, from_dy, BlockedWeights<B, float>{dw2.data()}, nullptr, workspace);
    CHECK(alike(blocked<B>(s, dw), dw2));
    std::fill(y2.begin(), y2.end(), poison);
    std::fill(dx2.begin(), dx2.end(), poison);
    std::vector<float> u(transformed_floats<M, R, B>(s, Pass::forward), poison);
    const auto for_y = transform_weights<M, R, B>(s, Pass::forward, plain, u);
    forward<M, R, B>(s, from_x, for_y, bias.data(), y2.data(), workspace);
    CHECK(alike(y, y2));
    u.assign(transformed_floats<M, R, B>(s, Pass::backward_data), poison);
    const auto for_dx = transform_weights<M, R, B>(s, Pass::backward_data, in_blocks, u);
    backward_data<M, R, B>(s, from_dy, for_dx, dx2.data(), workspace);
    CHECK(alike(dx, dx2));
  }
}

template <int M, int R, int B>
void check_shapes() {
  // Maps of one pixel, smaller than a tile, ragged and prime, wide and high; every legal padding.
  for (const auto& [h, w] : {std::pair{1, 1}, {2, 2}, {3, 8}, {7, 5}, {13, 17}})
    for (int padding = h % 2; padding<R; padding += h> 5 ? 2 : 1) {
      const ConvShape s{1 + h % 3, B, h == 7 ? 3 * B : B, h, w, R, padding};
      if (s.out_height() > 0 && s.out_width() > 0) check_all_passes<M, R, B>(s);
    }
  // Channels that make uneven panels, and no images.
  check_all_passes<M, R, B>({3, 5 * B, 3 * B, 6, 4, R, R / 2});
  check_all_passes<M, R, B>({0, B, B, 5, 5, R, R / 2});
}

/// Everything the passes write, one after the other.
template <int M, int R, int B>
std::vector<float> all_results(const ConvShape& s, const float* x, const float* w, const float* dy) {
  std::vector<float> workspace(workspace_floats<M, R, B>(s), poison);
  std::vector<float> results(outputs(s) + inputs(s) + weights(s) + s.out_channels, poison);
  float* const y = results.data();
  float* const dx = y + outputs(s);
  float* const dw = dx + inputs(s);
  forward<M, R, B>(s, Load<B>{x}, OihwWeights<B>{w}, nullptr, y, workspace, Relu{});
  backward_data<M, R, B>(s, Load<B>{dy}, OihwWeights<B>{w}, dx, workspace);
  backward_weights<M, R, B>(s, Load<B>{x}, Load<B>{dy}, OihwWeights<B, float>{dw}, dw + weights(s),
                            workspace);
  return results;
}

/// A batch, whose blocks of tiles go to threads, against its images one by one, on which threads work
/// together.
template <int M, int R, int B>
void check_batch_against_images() {
  const ConvShape batch{14, 4 * B, 2 * B, 23, 19, R, R / 2};
  ConvShape image = batch;
  image.batch = 1;
  CAPTURE(describe(batch));
  CAPTURE(M);
  const auto x = uniform(inputs(batch), 1), w = uniform(weights(batch), 2), dy = uniform(outputs(batch), 3);
  const auto together = all_results<M, R, B>(batch, x.data(), w.data(), dy.data());
  CHECK(same_bits(together, all_results<M, R, B>(batch, x.data(), w.data(), dy.data())));

  std::vector<float> maps;
  std::vector<double> sums(weights(batch) + batch.out_channels);
  for (const bool of_dx : {false, true})
    for (std::int64_t n = 0; n < batch.batch; ++n) {
      const auto alone =
          all_results<M, R, B>(image, x.data() + n * inputs(image), w.data(), dy.data() + n * outputs(image));
      const auto begin = alone.begin() + (of_dx ? outputs(image) : 0);
      maps.insert(maps.end(), begin, begin + (of_dx ? inputs(image) : outputs(image)));
      if (of_dx)
        for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += alone[outputs(image) + inputs(image) + i];
    }
  CHECK(same_bits({together.begin(), together.end() - static_cast<std::ptrdiff_t>(sums.size())}, maps));
  CHECK(error({together.end() - static_cast<std::ptrdiff_t>(sums.size()), together.end()}, sums) < tolerance);
}

/// What matrices say, against what the unrolled transforms do.
template <int M, int R>
void check_transforms() {
  using T = Transforms<M, R>;
  constexpr int size = T::tile;
  const auto check = [&](const auto& matrix, const auto& transform) {
    const auto in = uniform(size, 7);
    std::vector<float> out(size);
    transform(in.data(), out.data());
    for (std::size_t row = 0; row < matrix.size(); ++row) {
      double expected = 0;
      for (std::size_t j = 0; j < matrix[row].size(); ++j) expected += matrix[row][j] * in[j];
      CHECK(out[row] == doctest::Approx(expected).epsilon(1e-5));
    }
  };
  check(T::input_matrix, [](const float* in, float* out) { T::input(in, out); });
  check(T::kernel_matrix, [](const float* in, float* out) { T::kernel(in, out); });
  check(T::output_matrix, [](const float* in, float* out) { T::output(in, out); });
  // A^T [(G g) (B^T d)] is the correlation of d with g, exactly but for rounding: try all unit vectors.
  for (int tap = 0; tap < R; ++tap)
    for (int pixel = 0; pixel < size; ++pixel)
      for (int o = 0; o < M; ++o) {
        double sum = 0;
        for (int f = 0; f < size; ++f)
          sum += T::output_matrix[o][f] * T::kernel_matrix[f][tap] * T::input_matrix[f][pixel];
        CHECK(sum == doctest::Approx(pixel == o + tap ? 1.0 : 0.0).epsilon(1e-12));
      }
}

}  // namespace

TEST_CASE("winograd: the transforms are the correlation") {
  check_transforms<2, 3>();
  check_transforms<4, 3>();
  check_transforms<6, 3>();
  check_transforms<2, 5>();
  check_transforms<4, 5>();
  check_transforms<3, 6>();
}

TEST_CASE_TEMPLATE("winograd: every pass is the direct convolution", Block, std::integral_constant<int, 8>,
                   std::integral_constant<int, 16>) {
  constexpr int B = Block::value;
  for (const int threads : {1, 2}) {
    kfer::set_num_threads(threads);
    CAPTURE(threads);
    check_shapes<4, 3, B>();
    check_shapes<4, 5, B>();
    if constexpr (B == kfer::simd_width) {
      check_shapes<2, 3, B>();
      check_shapes<6, 3, B>();
      check_shapes<2, 5, B>();
    }
  }
}

TEST_CASE("winograd: blocking and threads do not change a bit of the maps") {
  constexpr int B = kfer::simd_width;
  for (const int threads : {1, 2}) {
    kfer::set_num_threads(threads);
    check_batch_against_images<4, 3, B>();
    check_batch_against_images<4, 5, B>();
  }
  const ConvShape s{14, 4 * B, 2 * B, 23, 19, 3, 1};
  const auto x = uniform(inputs(s), 1), w = uniform(weights(s), 2), dy = uniform(outputs(s), 3);
  auto two = all_results<4, 3, B>(s, x.data(), w.data(), dy.data());
  kfer::set_num_threads(1);
  auto one = all_results<4, 3, B>(s, x.data(), w.data(), dy.data());
  const auto maps = static_cast<std::size_t>(outputs(s) + inputs(s));
  CHECK(error({two.begin() + maps, two.end()}, {one.begin() + maps, one.end()}) < tolerance);
  one.resize(maps);
  two.resize(maps);
  CHECK(same_bits(one, two));
  // Inside of a parallel region the passes run on one thread.
  kfer::set_num_threads(2);
  const auto workspace = static_cast<std::size_t>(workspace_floats<4, 3, B>(s));
  bool same[2] = {false, false};
  kfer::parallel_for(2, [&](std::int64_t i) {
    std::vector<float> own(workspace), y(static_cast<std::size_t>(outputs(s)));
    forward<4, 3, B>(s, Load<B>{x.data()}, OihwWeights<B>{w.data()}, nullptr, y.data(), own, Relu{});
    same[i] = std::equal(y.begin(), y.end(), one.begin());
  });
  CHECK(same[0]);
  CHECK(same[1]);
}

TEST_CASE("winograd: hooks on what is read and written") {
  constexpr int B = kfer::simd_width, M = 4, R = 3;
  const ConvShape s{2, B, 2 * B, 7, 9, R, 1};
  const auto x = uniform(inputs(s), 1), w = uniform(weights(s), 2), bias = uniform(s.out_channels, 3);
  const auto dy = uniform(outputs(s), 4), old = uniform(inputs(s), 5);
  std::vector<float> workspace(workspace_floats<M, R, B>(s));
  const OihwWeights<B> plain{w.data()};
  std::vector<float> linear(outputs(s)), y(outputs(s));
  forward<M, R, B>(s, Load<B>{x.data()}, plain, bias.data(), linear.data(), workspace);

  forward<M, R, B>(s, Load<B>{x.data()}, plain, bias.data(), y.data(), workspace, Relu{});
  std::vector<float> expected = linear;
  for (auto& v : expected) v = std::max(v, 0.0f);
  CHECK(alike(y, expected));
  CHECK(std::count(y.begin(), y.end(), 0.0f) > 0);

  // An epilogue sees every vector of outputs once, and where it belongs.
  std::vector<int> seen(outputs(s) / B);
  forward<M, R, B>(s, Load<B>{x.data()}, plain, bias.data(), y.data(), workspace,
                   [&](kfer::simd_f32<B> v, const OutputPoint& p) {
                     CHECK(p.offset == at<B>(p.image, p.channel_block * B, p.row, p.column, s.out_channels,
                                             s.out_height(), s.out_width()));
                     ++seen[p.offset / B];
                     return 2 * v;
                   });
  CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  for (auto& v : y) v /= 2;
  CHECK(alike(y, linear));

  // Backward through ReLU and dropout, fused, against the same gradient written out.
  auto saved = linear;
  for (std::size_t i = 0; i < saved.size(); ++i) saved[i] = i % 3 == 0 ? 0 : std::max(0.0f, saved[i]);
  auto effective = dy;
  for (std::size_t i = 0; i < dy.size(); ++i) effective[i] = saved[i] > 0 ? 2.0f * dy[i] : 0;
  const LoadThroughRelu<B> fused{dy.data(), saved.data(), 2.0f};
  const Load<B> written{effective.data()};
  std::vector<float> dx(inputs(s)), dx2(inputs(s)), dw(weights(s)), dw2(weights(s)), db(s.out_channels),
      db2 = db;
  backward_data<M, R, B>(s, fused, plain, dx.data(), workspace);
  backward_data<M, R, B>(s, written, plain, dx2.data(), workspace);
  CHECK(alike(dx, dx2));
  const Load<B> from_x{x.data()};
  backward_weights<M, R, B>(s, from_x, fused, OihwWeights<B, float>{dw.data()}, db.data(), workspace);
  backward_weights<M, R, B>(s, from_x, written, OihwWeights<B, float>{dw2.data()}, db2.data(), workspace);
  CHECK(alike(dw, dw2));
  CHECK(alike(db, db2));

  auto sum = old;
  backward_data<M, R, B>(s, fused, plain, sum.data(), workspace, AddTo<B>{sum.data()});
  for (std::size_t i = 0; i < dx.size(); ++i) dx[i] += old[i];
  CHECK(alike(sum, dx));
}

TEST_CASE("winograd: a NaN reaches every output that depends on it, and no other tile or image") {
  constexpr int B = kfer::simd_width, M = 4, R = 3;
  const ConvShape s{2, B, B, 13, 13, R, 1};
  auto x = uniform(inputs(s), 1);
  const auto w = uniform(weights(s), 2);
  x[at<B>(0, 3, 5, 6, s.in_channels, s.height, s.width)] = poison;
  std::vector<float> workspace(workspace_floats<M, R, B>(s)), y(outputs(s));
  forward<M, R, B>(s, Load<B>{x.data()}, OihwWeights<B>{w.data()}, nullptr, y.data(), workspace, Relu{});
  for (std::int64_t o = 0; o < s.out_channels; ++o) {
    for (std::int64_t h = 4; h <= 6; ++h)
      for (std::int64_t c = 5; c <= 7; ++c) CHECK(std::isnan(y[at<B>(0, o, h, c, B, 13, 13)]));
    CHECK(!std::isnan(y[at<B>(0, o, 5, 12, B, 13, 13)]));
    CHECK(!std::isnan(y[at<B>(0, o, 12, 6, B, 13, 13)]));
  }
  CHECK(std::none_of(y.begin() + outputs(s) / 2, y.end(), [](float v) { return std::isnan(v); }));
}

TEST_CASE("winograd: refuses what it cannot do") {
  constexpr int B = 8;
  const ConvShape good{1, B, B, 6, 6, 3, 1};
  std::vector<float> x(inputs(good)), w(weights(good)), y(outputs(good)), small(64);
  const auto run = [&](const ConvShape& s, std::span<float> workspace) {
    forward<4, 3, B>(s, Load<B>{x.data()}, OihwWeights<B>{w.data()}, nullptr, y.data(), workspace);
  };
  CHECK_THROWS_AS(run(good, small), kfer::ValueError);
  for (const ConvShape& s : {ConvShape{1, B + 1, B, 6, 6, 3, 1},
                             {1, B, 4, 6, 6, 3, 1},
                             {1, B, B, 6, 6, 5, 1},
                             {1, B, B, 6, 6, 3, 3},
                             {1, B, B, 6, 6, 3, -1},
                             {1, B, B, 2, 6, 3, 0},
                             {-1, B, B, 6, 6, 3, 1},
                             {1, 0, B, 6, 6, 3, 1}}) {
    CHECK_THROWS_AS(run(s, small), kfer::ShapeError);
    CHECK_THROWS_AS((workspace_floats<4, 3, B>(s)), kfer::ShapeError);
  }
  CHECK_THROWS_AS((transform_weights<4, 3, B>(good, Pass::forward, OihwWeights<B>{w.data()}, small)),
                  kfer::ValueError);
}

TEST_CASE("winograd: the choice of a tile") {
  constexpr int B = 16;
  CHECK(choose_tile<B>({64, 128, 64, 64, 64, 5, 2}, Pass::forward) == 4);
  CHECK(choose_tile<B>({16, 128, 128, 8, 8, 3, 1}, Pass::backward_weights) == 4);
  CHECK(choose_tile<B>({16, 512, 512, 2, 2, 3, 1}, Pass::backward_data) == 2);
  CHECK(!choose_tile<B>({1, 512, 512, 2, 2, 3, 1}, Pass::forward));  // transforming the weights costs more
  CHECK(choose_tile<B>({1, 512, 512, 2, 2, 3, 1}, Pass::forward,
                       true));  // than it saves, unless they are cached
  CHECK(!choose_tile<B>({64, 3, 32, 64, 64, 3, 1}, Pass::forward));
  CHECK(!choose_tile<B>({64, 32, 32, 64, 64, 1, 0}, Pass::forward));
  CHECK(!choose_tile<B>({0, 32, 32, 64, 64, 3, 1}, Pass::forward));
  CHECK(!choose_tile<B>({1, 32, 32, 2, 2, 3, 0}, Pass::forward));
  int called = 0;
  with_tile(4, 5, [&]<int M, int R>() { called = 10 * M + R; });
  CHECK(called == 45);
}
