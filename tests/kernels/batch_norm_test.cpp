#include "buffer.hpp"
#include "kernels/batch_norm/1_naive.cuh"
#include "kernels/batch_norm/2_column_tiles.cuh"
#include "kernels/batch_norm/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;

/// Batch norm by its definition, in double, of [rows, channels].
struct Problem {
  long long rows, channels;
  bool relu, add;
  double eps = 1e-5;
  Doubles x, residual, gamma, beta, dy;
  Doubles mean, inverse, variance, y, dx, g, dgamma, dbeta;

  Problem(long long r, long long c, bool use_relu, bool use_add, bool frozen = false)
      : rows(r), channels(c), relu(use_relu), add(use_add) {
    x = numbers(r * c, 1, -2, 3);
    residual = numbers(r * c, 2);
    dy = numbers(r * c, 3);
    gamma = numbers(c, 4, 0.5, 1.5);
    beta = numbers(c, 5);
    mean = numbers(c, 6);
    variance = numbers(c, 7, 0.5, 2);
    solve(frozen);
  }
  std::size_t at(long long r, long long c) const { return static_cast<std::size_t>(r * channels + c); }

  void solve(bool frozen) {
    y = dx = g = Doubles(x.size());
    inverse = dgamma = dbeta = Doubles(gamma.size());
    const auto n = static_cast<double>(rows);
    for (long long c = 0; c < channels; ++c) {
      const std::size_t k = at(0, c);
      if (!frozen) {
        mean[k] = variance[k] = 0;
        for (long long r = 0; r < rows; ++r) mean[k] += x[at(r, c)] / n;
        for (long long r = 0; r < rows; ++r) variance[k] += std::pow(x[at(r, c)] - mean[k], 2) / n;
      }
      inverse[k] = 1 / std::sqrt(variance[k] + eps);
      for (long long r = 0; r < rows; ++r) {
        const std::size_t i = at(r, c);
        const double hat = (x[i] - mean[k]) * inverse[k];
        y[i] = hat * gamma[k] + beta[k] + (add ? residual[i] : 0);
        g[i] = relu && y[i] <= 0 ? 0 : dy[i];
        if (relu) y[i] = std::max(0.0, y[i]);
        dgamma[k] += g[i] * hat;
        dbeta[k] += g[i];
      }
      for (long long r = 0; r < rows; ++r) {
        const std::size_t i = at(r, c);
        const double hat = (x[i] - mean[k]) * inverse[k];
        dx[i] = gamma[k] * inverse[k] * (frozen ? g[i] : g[i] - (dbeta[k] + hat * dgamma[k]) / n);
      }
    }
  }
};

/// The elements where y is so near 0 that rounding decides whether its gradient passes.
template <class T>
Doubles settle(const Problem& p, Doubles tested, const Doubles& expected) {
  for (std::size_t i = 0; i < tested.size(); ++i)
    if (p.relu && std::abs(p.y[i]) < 1e-5) tested[i] = expected[i];
  return tested;
}

struct Size {
  long long rows, channels;
};
const Size sizes[] = {{2, 1},   {5, 3},   {37, 16},   {64, 8},  {301, 40},
                      {97, 17}, {2, 264}, {1500, 24}, {700, 31}};

}  // namespace

TEST_CASE_TEMPLATE("the batch norm variants on the way agree with the definition", T, float, k::bf16,
                   double) {
  using P = k::accum_t<T>;
  for (const Size& size : {Size{2, 1}, Size{36, 5}, Size{48, 33}, Size{105, 64}})
    for (const bool relu : {true, false})
      for (const bool add : {true, false})
        for (const bool tiles : {true, false}) {
          INFO(size.rows, " rows, ", size.channels, " channels, relu ", relu, ", add ", add, ", tiles ",
               tiles);
          const Problem p(size.rows, size.channels, relu, add);
          const long long n = p.rows * p.channels, C = p.channels;
          const Buffer<T> x(p.x), r(p.residual), dy(p.dy), y_exact(p.y);
          const Buffer<P> gamma(p.gamma), beta(p.beta);
          Buffer<T> y(n), dx(n);
          Buffer<P> mean(C), inverse(C), dgamma(C), dbeta(C);
          const k::ChannelStrides nhwc{p.rows, 1, C, 1, 0};
          const auto blocks = static_cast<unsigned>(C), tile_blocks = static_cast<unsigned>(k::div_up(C, 32));
          const T *other = add ? r.data() : nullptr, *result = relu ? y_exact.data() : nullptr;
          if (tiles) {
            launch(k::batch_norm_column_tiles<T>, tile_blocks, dim3(32, 8), 0, nullptr, x.data(), other,
                   y.data(), p.rows, C, gamma.data(), beta.data(), P(p.eps), relu, mean.data(),
                   inverse.data());
            launch(k::batch_norm_column_tiles_backward<T>, tile_blocks, dim3(32, 8), 0, nullptr, x.data(),
                   result, dy.data(), dx.data(), p.rows, C, gamma.data(), mean.data(), inverse.data(),
                   dgamma.data(), dbeta.data());
          } else {
            launch(k::batch_norm_naive<T>, blocks, dim3(256), 0, nullptr, x.data(), other, y.data(), nhwc,
                   gamma.data(), beta.data(), P(p.eps), relu, mean.data(), inverse.data());
            launch(k::batch_norm_naive_backward<T>, blocks, dim3(256), 0, nullptr, x.data(), result,
                   dy.data(), dx.data(), nhwc, gamma.data(), mean.data(), inverse.data(), dgamma.data(),
                   dbeta.data());
          }
          CHECK(difference(mean.values(), p.mean) < tolerance<P>());
          CHECK(difference(inverse.values(), p.inverse) < tolerance<P>());
          CHECK(difference(y.values(), p.y) < tolerance<T>());
          CHECK(difference(dgamma.values(), p.dgamma) < tolerance<P>(100));
          CHECK(difference(dbeta.values(), p.dbeta) < tolerance<P>(100));
          CHECK(difference(settle<T>(p, dx.values(), p.dx), p.dx) < tolerance<T>(100));
        }
}

TEST_CASE("the naive batch norm walks NCHW as well") {
  const long long images = 3, channels = 4, pixels = 7;
  const Problem p(images * pixels, channels, true, false);
  Doubles planar(p.x.size()), expected(p.x.size());
  for (long long r = 0; r < p.rows; ++r)
    for (long long c = 0; c < channels; ++c) {
      const auto at = static_cast<std::size_t>((r / pixels * channels + c) * pixels + r % pixels);
      planar[at] = p.x[p.at(r, c)];
      expected[at] = p.y[p.at(r, c)];
    }
  const Buffer<float> x(planar), gamma(p.gamma), beta(p.beta);
  Buffer<float> y(static_cast<long long>(planar.size())), mean(channels), inverse(channels);
  launch(k::batch_norm_naive<float>, 4u, dim3(256), 0, nullptr, x.data(), nullptr, y.data(),
         k::ChannelStrides{images, pixels, channels * pixels, pixels, 1}, gamma.data(), beta.data(), 1e-5f,
         true, mean.data(), inverse.data());
  CHECK(difference(y.values(), expected) < 1e-5);
}

TEST_CASE_TEMPLATE("the shipped batch norm agrees with the definition", T, float, k::bf16, double) {
  using P = k::accum_t<T>;
  for (const Size& size : sizes)
    for (const bool frozen : {false, true})
      for (const bool relu : {true, false})
        for (const bool add : {true, false}) {
          // Everything aligned; or, for the path without vectors, x off by one element.
          const int skew = size.channels % 8 == 0 && relu ? 1 : 0;
          INFO(size.rows, " rows, ", size.channels, " channels, relu ", relu, ", add ", add, ", frozen ",
               frozen);
          for (int s = 0; s <= skew; ++s) {
            const Problem p(size.rows, size.channels, relu, add, frozen);
            const long long n = p.rows * p.channels, C = p.channels;
            const Buffer<T> x(p.x, s), r(p.residual), y_exact(p.y);
            const Buffer<P> gamma(p.gamma), beta(p.beta), old_mean(p.mean), old_var(p.variance);
            Buffer<T> y(n), dy(p.dy);
            Buffer<P> mean(C), inverse(C), dgamma(C), dbeta(C), running_mean(Doubles(C, 0.5)),
                running_var(Doubles(C, 2));
            Buffer<double> scratch(k::batch_norm_scratch_bytes(p.rows, C) / 8);
            if (frozen) {
              k::batch_norm_frozen_statistics(old_mean.data(), old_var.data(), C, p.eps, mean.data(),
                                              inverse.data(), nullptr);
            } else {
              k::batch_norm_statistics(x.data(), p.rows, C, p.eps, 0.3, mean.data(), inverse.data(),
                                       running_mean.data(), running_var.data(), scratch.data(), nullptr);
              Doubles m = p.mean, v = p.variance;
              for (double& e : m) e = 0.5 + 0.3 * (e - 0.5);
              for (double& e : v) e = 2 + 0.3 * (e * double(p.rows) / double(p.rows - 1) - 2);
              CHECK(difference(running_mean.values(), m) < tolerance<P>(4));
              CHECK(difference(running_var.values(), v) < tolerance<P>(20));
            }
            CHECK(difference(mean.values(), p.mean) < tolerance<P>(2));
            CHECK(difference(inverse.values(), p.inverse) < tolerance<P>(20));
            const k::BatchNormChannels<P> table{mean.data(), inverse.data(), gamma.data(), beta.data()};
            k::batch_norm_normalise(x.data(), add ? r.data() : nullptr, y.data(), p.rows, C, table, relu,
                                    nullptr);
            CHECK(difference(y.values(), p.y) < tolerance<T>());

            auto back = table;
            if (!relu || add) back.beta = nullptr;
            const T* result = relu && add ? y_exact.data() : nullptr;
            Buffer<T> masked(n), dx(n), masked_later(n), dx_only(n);
            k::batch_norm_gradient_sums(x.data(), result, dy.data(), relu ? masked.data() : nullptr, p.rows,
                                        C, back, dgamma.data(), dbeta.data(), scratch.data(), nullptr);
            CHECK(difference(dgamma.values(), p.dgamma) < tolerance<P>(100));
            CHECK(difference(dbeta.values(), p.dbeta) < tolerance<P>(100));
            const P *sum_gx = frozen ? nullptr : dgamma.data(), *sum_g = frozen ? nullptr : dbeta.data();
            if (relu) {  // the masked gradient in place of dy
              CHECK(difference(settle<T>(p, masked.values(), p.g), p.g) == 0);
              auto plain = table;
              plain.beta = nullptr;
              k::batch_norm_gradient<T>(x.data(), nullptr, masked.data(), dx_only.data(), nullptr, p.rows, C,
                                        plain, sum_gx, sum_g, nullptr);
              CHECK(difference(settle<T>(p, dx_only.values(), p.dx), p.dx) < tolerance<T>(100));
            }
            k::batch_norm_gradient(x.data(), result, dy.data(), dx.data(), masked_later.data(), p.rows, C,
                                   back, sum_gx, sum_g, nullptr);
            CHECK(difference(settle<T>(p, dx.values(), p.dx), p.dx) < tolerance<T>(100));
            CHECK(difference(settle<T>(p, masked_later.values(), p.g), p.g) == 0);
            k::batch_norm_gradient<T>(x.data(), result, dy.data(), dy.data(), nullptr, p.rows, C, back,
                                      sum_gx, sum_g, nullptr);  // in place
            CHECK(difference(dy.values(), dx.values()) == 0);
          }
        }
}

TEST_CASE_TEMPLATE("batch norm statistics keep their digits far from zero", T, float, double) {
  const long long rows = 3000, channels = 8;
  auto values = numbers(rows * channels, 1);
  for (double& v : values) v = static_cast<float>(1000 + v);
  values[0] = 0;  // an outlier, where a sum shifted by the first value would lose
  Problem p(rows, channels, false, false);
  p.x = values;
  p.solve(false);
  const Buffer<T> x(values);
  Buffer<T> mean(channels), inverse(channels);
  Buffer<double> scratch(k::batch_norm_scratch_bytes(rows, channels) / 8);
  in_thread_orders([&] {
    k::batch_norm_statistics<T>(x.data(), rows, channels, 0, 0, mean.data(), inverse.data(), nullptr, nullptr,
                                scratch.data(), nullptr);
    const auto m = mean.values(), k = inverse.values();
    for (std::size_t c = 0; c < 8; ++c) {
      CHECK(std::abs(m[c] / p.mean[c] - 1) < 7e-8);
      CHECK(std::abs(k[c] * std::sqrt(p.variance[c]) - 1) < 2e-7);
    }
  });
}

TEST_CASE("batch norm reductions give the same bits in every thread order") {
  const Problem p(900, 24, true, false);
  const Buffer<float> x(p.x), dy(p.dy), gamma(p.gamma), beta(p.beta);
  std::vector<Doubles> seen;
  in_thread_orders([&] {
    Buffer<float> mean(24), inverse(24), dgamma(24), dbeta(24);
    Buffer<double> scratch(k::batch_norm_scratch_bytes(900, 24) / 8);
    k::batch_norm_statistics<float>(x.data(), 900, 24, 1e-5, 0, mean.data(), inverse.data(), nullptr, nullptr,
                                    scratch.data(), nullptr);
    k::batch_norm_gradient_sums<float>(x.data(), nullptr, dy.data(), nullptr, 900, 24,
                                       {mean.data(), inverse.data(), gamma.data(), beta.data()},
                                       dgamma.data(), dbeta.data(), scratch.data(), nullptr);
    seen.push_back(mean.values());
    for (const Doubles& more : {inverse.values(), dgamma.values(), dbeta.values()})
      seen.back().insert(seen.back().end(), more.begin(), more.end());
  });
  for (const Doubles& s : seen) CHECK(s == seen[0]);
}

TEST_CASE("batch norm of nothing launches nothing") {
  k::batch_norm_statistics<float>(nullptr, 0, 8, 1e-5, 0.1, nullptr, nullptr, nullptr, nullptr, nullptr,
                                  nullptr);
  k::batch_norm_normalise<float>(nullptr, nullptr, nullptr, 4, 0, {}, true, nullptr);
  k::batch_norm_gradient<float>(nullptr, nullptr, nullptr, nullptr, nullptr, 0, 3, {}, nullptr, nullptr,
                                nullptr);
  CHECK(k::batch_norm_scratch_bytes(0, 8) >= 0);
}
