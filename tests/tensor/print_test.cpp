#include "kfer/tensor/print.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout.hpp"

using namespace kfer;

TEST_CASE("a tensor prints as nested brackets") {
  CHECK(to_string(Tensor<float>({2, 3}, {1, 2.5f, -3, 4e-7f, 5, 123456})) ==
        "float32[2, 3] on cpu\n[[1, 2.5, -3],\n [4e-07, 5, 1.235e+05]]");
  CHECK(to_string(Tensor<std::int64_t>({1, 2, 2}, {1, 2, 3, 4})) ==
        "int64[1, 2, 2] on cpu\n[[[1, 2],\n  [3, 4]]]");
  CHECK(to_string(Tensor<double>(Shape{}, {0.5})) == "float64[] on cpu\n0.5");
  CHECK(to_string(Tensor<std::uint8_t>({2}, {0, 255})) == "uint8[2] on cpu\n[0, 255]");
  CHECK(to_string(Tensor<float>({3, 0})) == "float32[3, 0] on cpu\n[]");
}

TEST_CASE("long dimensions show their ends") {
  CHECK(to_string(arange<std::int32_t>(7)) == "int32[7] on cpu\n[0, 1, 2, ..., 4, 5, 6]");
  CHECK(to_string(arange<std::int32_t>(6)) == "int32[6] on cpu\n[0, 1, 2, 3, 4, 5]");
  CHECK(to_string(arange<std::int32_t>(1000), 1) == "int32[1000] on cpu\n[0, ..., 999]");
  CHECK(to_string(arange<std::int32_t>(12).reshape({4, 3}), 1) ==
        "int32[4, 3] on cpu\n[[0, ..., 2],\n ...,\n [9, ..., 11]]");
  CHECK(to_string(arange<std::int32_t>(7), std::numeric_limits<std::int64_t>::max()) ==
        "int32[7] on cpu\n[0, 1, 2, 3, 4, 5, 6]");
  CHECK_THROWS_AS(to_string(arange<std::int32_t>(7), 0), ValueError);
  CHECK_THROWS_AS(to_string(arange<std::int32_t>(7), -1), ValueError);
}

TEST_CASE("numbers that are none, and any memory order") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(to_string(Tensor<float>({4}, {nan, -nan, inf, -inf})) == "float32[4] on cpu\n[nan, nan, inf, -inf]");
  const Tensor<float> x = arange<float>(8).reshape({1, 2, 2, 2});
  CHECK(to_string(x.to(Layout::channel_blocked(8))) == to_string(x));
}
