#include "kfer/core/simd_math.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace kfer;

namespace {
constexpr int W = simd_width;

/// The largest relative error of `f` against `exact` over a grid of [low, high].
template <class F, class G>
double worst(const F& f, const G& exact, double low, double high) {
  double error = 0;
  constexpr int points = 200000;
  for (int i = 0; i < points; i += W) {
    simd_f32<W> x;
    for (int l = 0; l < W; ++l) x[l] = static_cast<float>(low + (high - low) * (i + l) / points);
    const simd_f32<W> y = f(x);
    for (int l = 0; l < W; ++l) {
      const double e = exact(static_cast<double>(x[l])), d = std::abs(y[l] - e) / std::abs(e);
      if (!(d <= error)) error = d;  // a NaN counts
    }
  }
  return error;
}
float exp_of(float x) {
  return simd_exp<W>(simd_fill<W>(x))[W - 1];
}
}  // namespace

TEST_CASE("simd_exp is exact to about one unit in the last place, and right at its limits") {
  const auto exact = [](double x) { return std::exp(x); };
  CHECK(worst([](simd_f32<W> x) { return simd_exp<W>(x); }, exact, -87, 88) < 1.5e-7);
  CHECK(worst([](simd_f32<W> x) { return simd_exp<W>(x); }, exact, -0.5, 0.5) < 1.5e-7);
  CHECK(exp_of(0) == 1);
  CHECK(exp_of(-100) == doctest::Approx(std::exp(-100.0)).epsilon(1e-2));  // denormal
  constexpr float infinity = std::numeric_limits<float>::infinity();
  CHECK(exp_of(89) == infinity);
  CHECK(exp_of(infinity) == infinity);
  CHECK(exp_of(-infinity) == 0);
  CHECK(exp_of(-1000) == 0);
  CHECK(std::isnan(exp_of(NAN)));
}

TEST_CASE("simd_log1p_unit is exact over [0, 1], also for the smallest arguments") {
  const auto exact = [](double x) { return std::log1p(x); };
  CHECK(worst([](simd_f32<W> x) { return simd_log1p_unit<W>(x); }, exact, 1e-3, 1) < 2e-7);
  CHECK(worst([](simd_f32<W> x) { return simd_log1p_unit<W>(x); }, exact, 1e-30, 1e-29) < 2e-7);
  CHECK(simd_log1p_unit<W>(simd_fill<W>(0.0f))[0] == 0);
}

TEST_CASE("simd_sigmoid") {
  const auto exact = [](double x) { return 1 / (1 + std::exp(-x)); };
  CHECK(worst([](simd_f32<W> x) { return simd_sigmoid<W>(x); }, exact, -80, 80) < 3e-7);
}
