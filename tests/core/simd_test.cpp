#include "kfer/core/simd.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <type_traits>

using namespace kfer;

TEST_CASE_TEMPLATE("vectors act lane by lane, at any address", Width, std::integral_constant<int, 8>,
                   std::integral_constant<int, 16>) {
  constexpr int W = Width::value;
  float from[W + 1], to[W + 2];
  for (int i = 0; i <= W; ++i) from[i] = static_cast<float>(i % 3 ? i : -i);
  to[0] = to[W + 1] = 99;
  const auto v = simd_load<W>(from + 1);  // not aligned
  simd_store<W>(to + 1, simd_max<W>(v, simd_fill<W>(2)));
  for (int i = 1; i <= W; ++i) CHECK(to[i] == (from[i] > 2 ? from[i] : 2));
  CHECK(to[0] == 99);
  CHECK(to[W + 1] == 99);
  const auto chosen = simd_select<W>(v < simd_fill<W>(0), -v, v * 2);
  for (int i = 0; i < W; ++i) CHECK(chosen[i] == (from[i + 1] < 0 ? -from[i + 1] : 2 * from[i + 1]));
}

TEST_CASE("simd_max takes its second operand where the first is a NaN") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(simd_max<8>(simd_fill<8>(nan), simd_fill<8>(1))[3] == 1);
}
