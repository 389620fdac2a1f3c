#include "kfer/tensor/compare.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout.hpp"

using namespace kfer;

TEST_CASE("comparators measure") {
  const Tensor<double> a({3}, {1, 2, 3}), b({3}, {1, 2, 5});
  CHECK(largest_difference(a, a) == 0);
  CHECK(largest_difference(a, b) == doctest::Approx(2.0 / 6));
  CHECK(relative_rms(a, a) == 0);
  CHECK(relative_rms(a, b) == doctest::Approx(std::sqrt(4.0 / 30)));
  CHECK(relative_rms(a, zeros<double>({3})) == HUGE_VAL);
  CHECK(relative_rms(zeros<double>({3}), zeros<double>({3})) == 0);
  CHECK(largest_difference(Tensor<float>(), Tensor<float>()) == 0);
  CHECK(largest_difference(Tensor<float>({1}, {1.5f}), Tensor<bfloat16>({1}, {bfloat16(1.5f)})) == 0);
  const Tensor<float> x = uniform<float>({2, 16, 3, 5}, {.seed = 1, .stream = 0});
  CHECK(largest_difference(x, x.to(Layout::channel_blocked(8))) == 0);
}

TEST_CASE("a NaN or an infinity on one side never passes, wherever it stands") {
  const double nan = std::nan(""), inf = HUGE_VAL;
  for (std::size_t place = 0; place < 4; ++place)
    for (const double bad : {nan, inf, -inf}) {
      std::vector<double> values{1, 2, 3, 4};
      const Tensor<double> good({4}, std::span<const double>(values));
      values[place] = bad;
      const Tensor<double> x({4}, std::span<const double>(values));
      CHECK(largest_difference(x, good) == HUGE_VAL);
      CHECK(largest_difference(good, x) == HUGE_VAL);
      CHECK(relative_rms(x, good) == HUGE_VAL);
      CHECK(relative_rms(good, x) == HUGE_VAL);
    }
  const Tensor<double> nans({1}, {nan}), infs({1}, {inf}), minus({1}, {-inf});
  CHECK(largest_difference(nans, nans) == HUGE_VAL);
  CHECK(relative_rms(nans, nans) == HUGE_VAL);
  CHECK(largest_difference(infs, minus) == HUGE_VAL);
  CHECK(largest_difference(infs, infs) == 0);
}

TEST_CASE("comparators refuse different shapes") {
  CHECK_THROWS_AS(largest_difference(Tensor<float>({2, 3}), Tensor<float>({3, 2})), ShapeError);
  CHECK_THROWS_AS(relative_rms(Tensor<float>({6}), Tensor<float>({2, 3})), ShapeError);
}
