#include "kfer/tensor/create.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/relayout.hpp"
#include "support/golden.hpp"

using namespace kfer;

TEST_CASE("constant and consecutive tensors") {
  CHECK(zeros<float>({2, 2}).to_vector() == std::vector<float>(4));
  CHECK(full<std::int64_t>({3}, -7).to_vector() == std::vector<std::int64_t>{-7, -7, -7});
  CHECK(ones<double>(Shape{}).item() == 1);
  CHECK(arange<std::int32_t>(4).to_vector() == std::vector<std::int32_t>{0, 1, 2, 3});
  CHECK(arange<float>(0).shape() == Shape{0});
  CHECK(full<float>({0, 3}, 1).numel() == 0);
  const Tensor<float> padded = zeros<float>({1, 3, 2, 2}, Layout::channel_blocked(8));
  for (std::int64_t i = 0; i < padded.storage_size(); ++i) CHECK(padded.data()[i] == 0);
  CHECK_THROWS_AS(arange<float>(-1), ShapeError);
  CHECK_THROWS_AS(full<float>({std::int64_t{1} << 58}, 1), OutOfMemoryError);
}

TEST_CASE("Philox agrees with the published vectors and with the generator in NumPy") {
  int kinds[4] = {};
  test::for_each_golden("philox", [&](const test::GoldenCase& golden) {
    const auto words = [](const std::vector<std::int64_t>& v) {
      return std::vector<std::uint32_t>(v.begin(), v.end());
    };
    const std::string op = golden.string("op");
    if (op == "philox4x32") {
      ++kinds[0];
      const auto c = words(golden.tensor<std::int64_t, std::int64_t>("counter").to_vector()),
                 k = words(golden.tensor<std::int64_t, std::int64_t>("key").to_vector()),
                 w = words(golden.tensor<std::int64_t, std::int64_t>("words").to_vector());
      const auto got = philox({c[0], c[1], c[2], c[3]}, {k[0], k[1]});
      CHECK(std::vector<std::uint32_t>(got.begin(), got.end()) == w);
      return;
    }
    const auto natural = [&](const char* key) {
      return std::strtoull(golden.string(key).c_str(), nullptr, 10);
    };
    const RandomStream random{.seed = natural("seed"), .stream = natural("stream")};
    if (op == "words") {
      ++kinds[1];
      const auto expected = words(golden.tensor<std::int64_t, std::int64_t>("words").to_vector());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK(random.words(natural("first") + i / 4)[i % 4] == expected[i]);
        CHECK(random.bits(4 * natural("first") + i) == expected[i]);
      }
    } else if (op == "uniform") {
      ++kinds[2];
      CHECK(uniform<float>(golden.shape("y"), random).to_vector() == golden.tensor<float>("y").to_vector());
    } else {
      ++kinds[3];
      REQUIRE(op == "dropout_keep");
      const DropoutMask mask{static_cast<float>(golden.number("p")), random};
      // Drawn in channels-last order.
      const auto keep = golden.tensor<std::int64_t, std::int64_t>("keep");
      const auto drawn = keep.rank() == 4 ? keep.to(Layout::channels_last()) : keep;
      for (std::int64_t i = 0; i < drawn.numel(); ++i)
        CHECK(mask.keeps(static_cast<std::uint64_t>(i)) == (drawn.data()[i] != 0));
    }
  });
  for (const int kind : kinds) CHECK(kind > 0);
}

TEST_CASE("normal numbers have the moments of the normal distribution") {
  const std::int64_t n = 200000;
  const auto x = normal<double>({n}, {.seed = 12, .stream = 7}).to_vector();
  double moment[5] = {}, pairs = 0;
  std::int64_t within = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    REQUIRE(std::isfinite(x[i]));
    double power = 1;
    for (double& m : moment) m += power / static_cast<double>(n), power *= x[i];
    within += std::abs(x[i]) < 1;
    if (i % 2) pairs += x[i] * x[i - 1] / static_cast<double>(n / 2);
  }
  // Five standard errors: sqrt(var(x^k) / n), var(x) = 1, var(x^2) = 2, var(x^3) = 15, var(x^4) = 96.
  const double error = 5 / std::sqrt(static_cast<double>(n));
  CHECK(std::abs(moment[1]) < error);
  CHECK(std::abs(moment[2] - 1) < error * std::sqrt(2.0));
  CHECK(std::abs(moment[3]) < error * std::sqrt(15.0));
  CHECK(std::abs(moment[4] - 3) < error * std::sqrt(96.0));
  CHECK(std::abs(pairs) < error * std::sqrt(2.0));
  CHECK(static_cast<double>(within) / static_cast<double>(n) == doctest::Approx(0.682689).epsilon(0.01));
  const auto shifted = normal<float>({1000}, {.seed = 12, .stream = 7}, 10, 0.5).to_vector();
  for (std::size_t i = 0; i < shifted.size(); ++i)
    CHECK(shifted[i] == doctest::Approx(10 + 0.5 * x[i]).epsilon(1e-6));
}

TEST_CASE("uniform numbers fill their range evenly") {
  const auto x = uniform<float>({100000}, {.seed = 3, .stream = 1}, -2, 6).to_vector();
  std::array<int, 8> count{};
  for (const float v : x) {
    REQUIRE(v >= -2);
    REQUIRE(v < 6);
    ++count[static_cast<std::size_t>(v + 2)];
  }
  double chi2 = 0;
  for (const int c : count) chi2 += (c - 12500.0) * (c - 12500.0) / 12500;
  CHECK(chi2 < 24.3);  // 0.1 % of chi-square with 7 degrees of freedom
  const RandomStream random{.seed = 3, .stream = 1};
  for (std::uint64_t i = 0; i < 1000; ++i) CHECK(random.below(i, 7) < 7);
}

TEST_CASE("streams differ, and taking one moves on") {
  RandomStream random{.seed = 5, .stream = 0};
  const RandomStream first = random.take(), second = random.take();
  CHECK(first == RandomStream{5, 0});
  CHECK(second == RandomStream{5, 1});
  CHECK(uniform<float>({64}, first).to_vector() != uniform<float>({64}, second).to_vector());
  CHECK(uniform<float>({64}, first).to_vector() == uniform<float>({64}, {5, 0}).to_vector());
}

TEST_CASE("cast rounds as the types do, and refuses what an integer cannot hold") {
  const Tensor<double> x({4}, {1.75, -1.75, 0.999, -0.999});
  CHECK(cast<std::int64_t>(x).to_vector() == std::vector<std::int64_t>{1, -1, 0, 0});
  CHECK(cast<std::uint8_t>(Tensor<float>({2}, {255.5f, -0.5f})).to_vector() ==
        std::vector<std::uint8_t>{255, 0});
  CHECK(cast<float>(Tensor<std::uint8_t>({2}, {0, 255})).to_vector() == std::vector<float>{0, 255});
  CHECK(cast<std::int64_t>(Tensor<double>({1}, {-0x1p63})).item() ==
        std::numeric_limits<std::int64_t>::min());
  const double nan = std::nan("");
  CHECK_THROWS_AS(cast<std::int64_t>(Tensor<double>({1}, {nan})), ValueError);
  CHECK_THROWS_AS(cast<std::int64_t>(Tensor<double>({1}, {0x1p63})), ValueError);
  CHECK_THROWS_AS(cast<std::int32_t>(Tensor<float>({1}, {0x1p31f})), ValueError);
  CHECK_THROWS_AS(cast<std::uint8_t>(Tensor<float>({1}, {256.0f})), ValueError);
  CHECK_THROWS_AS(cast<std::uint8_t>(Tensor<float>({1}, {-1.0f})), ValueError);
}

TEST_CASE("bfloat16 rounds to nearest, ties to even") {
  CHECK(float{bfloat16(1.0f)} == 1);
  CHECK(float{bfloat16(1.0f + 0x1p-8f)} == 1);                       // a tie, down to even
  CHECK(float{bfloat16(1.0f + 3 * 0x1p-8f)} == 1 + 0x1p-6f);         // a tie, up to even
  CHECK(float{bfloat16(1.0f + 0x1p-8f + 0x1p-20f)} == 1 + 0x1p-7f);  // above the tie
  CHECK(std::isinf(float{bfloat16(std::numeric_limits<float>::max())}));
  CHECK(std::isnan(float{bfloat16(std::numeric_limits<float>::quiet_NaN())}));
  CHECK(std::isnan(float{bfloat16(std::bit_cast<float>(0x7F800001u))}));
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {  // what is a bfloat16 already stays as it is
    const float value = std::bit_cast<float>(bits << 16);
    if (value == value) REQUIRE(bfloat16(value).bits == bits);
  }
}
