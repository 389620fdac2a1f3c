// The published class weights, against the formula worked out apart (Python, double).
#include "kfer/data/class_weights.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

using namespace kfer;

namespace {
void check(std::span<const std::int64_t> counts, std::span<const double> expected) {
  const auto weights = data::kdrama_class_weights(counts);
  REQUIRE(weights.size() == expected.size());
  for (std::size_t i = 0; i < weights.size(); ++i)
    CHECK_MESSAGE(std::abs(weights[i] - expected[i]) <= 1e-6 * expected[i], "class ", i, ": ", weights[i]);
}
}  // namespace

TEST_CASE("class weights of the published 6-class training images") {
  check(std::array<std::int64_t, 6>{6068, 93, 2171, 224, 149, 1544},
        std::array{0.257133676, 9.40735489, 0.525356934, 4.00020419, 5.93469809, 0.691239219});
}

TEST_CASE("classes of one image or none count as if they had two") {
  check(std::array<std::int64_t, 3>{1, 0, 7}, std::array{1.75774423, 1.75774423, 0.532130592});
}

TEST_CASE("class weights of nothing, and of a negative count") {
  CHECK_THROWS_AS(data::kdrama_class_weights({}), ValueError);
  CHECK_THROWS_AS(data::kdrama_class_weights(std::array<std::int64_t, 2>{3, -1}), ValueError);
}
