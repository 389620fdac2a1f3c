
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/dropout/dropout_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/dropout/dropout_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

#if !defined(__CUDACC__)  // the Cpu's vectors
TEST_CASE("a vector of Philox counters has the words of philox") {
  constexpr int W = simd_width;
  for (const std::uint64_t first :
       {std::uint64_t{0}, std::uint64_t{123456789}, (std::uint64_t{1} << 32) - 3}) {
    const RandomStream random{.seed = 0x123456789ABCDEF0, .stream = 0xFEDCBA9876543210};
    simd_u32<W> low, high, words[4];
    counters_from<W>(first, low, high);
    philox_words<W>(random, low, high, words);
    std::uint16_t halves[8 * W];
    philox_halves<W>(random, low, high, halves);
    for (int q = 0; q < W; ++q) {
      const auto expected = random.words(first + static_cast<std::uint64_t>(q));
      for (int k = 0; k < 4; ++k) {
        CHECK(std::uint32_t{words[k][q]} == expected[static_cast<std::size_t>(k)]);
        CHECK(halves[8 * q + 2 * k] == (expected[static_cast<std::size_t>(k)] & 0xFFFF));
        CHECK(halves[8 * q + 2 * k + 1] == expected[static_cast<std::size_t>(k)] >> 16);
      }
    }
  }
  // Known answers of Random123: Philox4x32-10 of zeros and of all ones.
  CHECK(philox({0, 0, 0, 0}, {0, 0}) ==
        std::array<std::uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        std::array<std::uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
}

TEST_CASE("counters of a tile of a blocked layout") {
  // Pixels 5, 6, ... of an image with 64 channels; the lanes are channels 16 to 31.
  constexpr int W = simd_width;
  const DropoutMask mask{0.5f, {.seed = 3, .stream = 4}};
  simd_u32<W> low, high;
  counters_from<W>((5 * 64 + 16) / 8, low, high, 2, 64 / 8);
  std::uint16_t halves[8 * W];
  philox_halves<W>(mask.random, low, high, halves);
  for (int pixel = 0; pixel < W / 2; ++pixel)
    for (int lane = 0; lane < 16; ++lane)
      CHECK((halves[16 * pixel + lane] >= mask.threshold()) ==
            mask.keeps(static_cast<std::uint64_t>((5 + pixel) * 64 + 16 + lane)));
}
#endif

TEST_CASE_TEMPLATE("dropout keeps the elements that the mask names, in any memory order", D,
                   test::TestDevice) {
  const DropoutMask mask{0.5f, {.seed = 7, .stream = 3}};
  for (const Shape& shape :
       {Shape{2, 16, 5, 7}, Shape{1, 32, 40, 33}, Shape{3, 3, 17, 19}, Shape{2, 1, 1, 1}, Shape{5, 24, 2, 3},
        Shape{37}, Shape{5, 100}, Shape{2, 3, 5}, Shape{1, 9000}, Shape{}}) {
    test::check_layouts<D>([&](const auto& v) { return dropout(v[0], mask); }, {numbers(shape, 1)}, 1e-6);
    test::check_layouts<D>([&](const auto& v) { return relu_dropout(v[0], mask); }, {numbers(shape, 1)},
                           1e-6);
  }
}

TEST_CASE_TEMPLATE("dropout drops the share it is asked for and scales the rest", D, test::TestDevice) {
  const float p = 0.3f;
  const Variable<float, D> x(ones<float, D>({4, 16, 50, 50}));
  const auto y = dropout(x, {p, {.seed = 1, .stream = 1}}).value().to_vector();
  double kept = 0;
  for (const float v : y) {
    REQUIRE((v == 0 || v == doctest::Approx(1 / 0.7)));
    kept += v != 0;
  }
  const double n = static_cast<double>(y.size());
  CHECK(std::abs(kept / n - 0.7) < 4 * std::sqrt(0.21 / n));  // four standard deviations
  CHECK(largest_difference(dropout(x, {0, {}}).value(), x.value()) == 0);
  CHECK(dropout(Variable<float, D>(Tensor<float, D>({0, 3, 2, 2})), {p, {}}).numel() == 0);
}

TEST_CASE_TEMPLATE("gradients of dropout", D, test::TestDevice) {
  const DropoutMask mask{0.4f, {.seed = 2, .stream = 9}};
  gradcheck<D>([&](const auto& v) { return dropout(v[0], mask); }, {numbers({2, 3, 2, 3}, 5)});
  gradcheck<D>([&](const auto& v) { return relu_dropout(v[0], mask); }, {numbers({2, 3, 2, 3}, 5)});
}

TEST_CASE_TEMPLATE("dropout refuses probabilities outside of [0, 1)", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({3}));
  CHECK_THROWS_AS(dropout(x, {1.0f, {}}), ValueError);
  CHECK_THROWS_AS(dropout(x, {-0.1f, {}}), ValueError);
  CHECK_THROWS_AS(relu_dropout(x, {NAN, {}}), ValueError);
}
