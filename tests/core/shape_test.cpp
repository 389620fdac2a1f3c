#include "kfer/core/shape.hpp"

#include <doctest/doctest.h>

#include <limits>

using kfer::Shape;
using kfer::ShapeError;

TEST_CASE("a shape counts its elements, and prints") {
  CHECK(Shape{}.numel() == 1);
  CHECK(Shape{2, 3, 5}.numel() == 30);
  CHECK(Shape{2, 0, 5}.numel() == 0);
  CHECK(to_string(Shape{64, 3, 5, 5}) == "[64, 3, 5, 5]");
  CHECK(Shape{4, 7}.at(-1) == 7);
}

TEST_CASE("a shape refuses what it cannot hold") {
  CHECK_THROWS_AS(Shape({-1}), ShapeError);
  CHECK_THROWS_AS(Shape({1, 2}).at(2), ShapeError);
  CHECK_THROWS_AS(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
  const auto big = std::numeric_limits<std::int64_t>::max() / 2;
  CHECK_THROWS_AS(Shape({big, 3}), ShapeError);
}
