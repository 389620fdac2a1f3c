#include "kfer/tensor/tensor.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout.hpp"
#include "support/op_check.hpp"

using namespace kfer;
using test::contains, test::message_of;

TEST_CASE_TEMPLATE("a copy shares memory until one of the owners writes", T, float, double, bfloat16,
                   std::int64_t, std::int32_t, std::uint8_t) {
  Tensor<T> weight({2, 3}, {T(1), T(2), T(3), T(4), T(5), T(6)});
  CHECK(weight.is_unique());
  const T* memory = weight.data();
  CHECK(weight.mutable_data() == memory);

  const Tensor<T> snapshot = weight;
  CHECK_FALSE(weight.is_unique());
  CHECK(snapshot.data() == memory);
  weight.mutable_data()[0] = T(9);
  CHECK(weight.data() != memory);
  CHECK(snapshot.data() == memory);
  CHECK(weight.is_unique());
  CHECK(snapshot.is_unique());
  CHECK(weight.to_vector() == std::vector<T>{T(9), T(2), T(3), T(4), T(5), T(6)});
  CHECK(snapshot.to_vector() == std::vector<T>{T(1), T(2), T(3), T(4), T(5), T(6)});
}

TEST_CASE("a row-major tensor's reshape and narrow share its memory, and a write to them leaves it alone") {
  Tensor<float> x = arange<float>(24).reshape({4, 3, 2});
  const float* memory = x.data();
  Tensor<float> flat = x.reshape({24}), part = x.narrow(1, 2), inner = part.narrow(1, 1);
  CHECK(flat.data() == memory);
  CHECK(part.data() == memory + 6);
  CHECK(part.shape() == Shape{2, 3, 2});
  CHECK(inner.data() == memory + 12);
  CHECK(inner.to_vector() == std::vector<float>{12, 13, 14, 15, 16, 17});

  part.mutable_data()[0] = -1;
  CHECK(part.to_vector() == std::vector<float>{-1, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17});
  CHECK(x.to_vector()[6] == 6);
  CHECK(flat.to_vector()[6] == 6);
  x.mutable_data()[23] = 100;
  CHECK(flat.to_vector()[23] == 23);
  CHECK(x.narrow(3, 1).reshape({6}).to_vector() == std::vector<float>{18, 19, 20, 21, 22, 100});
  CHECK(x.narrow(4, 0).numel() == 0);
  Tensor<float> nothing = x.narrow(2, 0);
  CHECK(nothing.to_vector().empty());
  static_cast<void>(nothing.mutable_data());
  CHECK(x.narrow(0, 4).data() == x.data());
}

TEST_CASE("reshape and narrow count in row-major order, whatever order the memory has") {
  const Tensor<float> x = arange<float>(2 * 16 * 3 * 5).reshape({2, 16, 3, 5});
  for (const Layout& layout : {Layout::channels_last(), Layout::channel_blocked(8), Layout{3, 1, 0, 2}}) {
    const Tensor<float> y = x.to(layout);
    CHECK(y.layout() == layout);
    CHECK(y.reshape({480}).to_vector() == x.to_vector());
    CHECK(y.narrow(1, 1).to_vector() == x.narrow(1, 1).to_vector());
  }
}

TEST_CASE("a change of order that moves nothing copies nothing") {
  const Tensor<float> x = arange<float>(32).reshape({2, 16, 1, 1});
  CHECK(x.to(Layout::channels_last()).data() == x.data());
  CHECK(x.to(Layout::channel_blocked(8)).data() == x.data());
  CHECK(x.to(Layout::channels_last()).layout() == Layout::channels_last());
}

TEST_CASE("empty, scalar and rank-8 tensors") {
  const Tensor<float> none;
  CHECK(none.shape() == Shape{0});
  CHECK(none.data() == nullptr);
  CHECK(none.to_vector().empty());
  CHECK(none.is_unique());
  const Tensor<float> hollow({3, 0, 5});
  CHECK(hollow.data() == nullptr);
  CHECK(hollow.reshape({0, 7}).shape() == Shape{0, 7});
  CHECK(hollow.narrow(1, 2).shape() == Shape{2, 0, 5});
  CHECK(Tensor<float>({0, 4}).narrow(0, 0).shape() == Shape{0, 4});
  const Tensor<float> scalar(Shape{}, {2.5f});
  CHECK(scalar.item() == 2.5f);
  CHECK(scalar.reshape({1, 1}).item() == 2.5f);
  CHECK(Tensor<float>({1, 1, 1, 1, 1, 1, 1, 2}, {1, 2}).size(-1) == 2);
}

TEST_CASE("padding that a layout adds is zero") {
  for (int again = 0; again < 3; ++again) {
    Tensor<float> dirty({2, 8, 5, 7});  // reused memory must be cleared, too
    std::fill_n(dirty.mutable_data(), dirty.numel(), 7.0f);
    dirty = {};
    const Tensor<float> padded = ones<float>({2, 3, 5, 7}).to(Layout::channel_blocked(8));
    REQUIRE(padded.storage_size() == 2 * 8 * 5 * 7);
    double sum = 0;
    for (std::int64_t i = 0; i < padded.storage_size(); ++i) sum += padded.data()[i];
    CHECK(sum == 2 * 3 * 5 * 7);
    Tensor<float> mine = padded;
    CHECK(mine.mutable_data() != padded.data());
    sum = 0;
    for (std::int64_t i = 0; i < mine.storage_size(); ++i) sum += mine.data()[i];
    CHECK(sum == 2 * 3 * 5 * 7);
  }
}

TEST_CASE("errors name both shapes") {
  const Tensor<float> x({2, 3});
  auto message = message_of<ShapeError>([&] { x.reshape({4, 2}); });
  CHECK(contains(message, "[2, 3]"));
  CHECK(contains(message, "[4, 2]"));
  message = message_of<ShapeError>([&] { Tensor<float>({2, 3}, {1, 2}); });
  CHECK(contains(message, "[2, 3]"));
  CHECK(contains(message, "got 2 values"));
  message = message_of<ShapeError>([&] { x.item(); });
  CHECK(contains(message, "[2, 3]"));
  message = message_of<ShapeError>([&] { x.narrow(1, 2); });
  CHECK(contains(message, "[2, 3]"));
  CHECK_THROWS_AS(x.narrow(-1, 1), ShapeError);
  CHECK_THROWS_AS(x.narrow(0, -1), ShapeError);
  CHECK_THROWS_AS(x.narrow(std::numeric_limits<std::int64_t>::max(), 1), ShapeError);
  CHECK_THROWS_AS(Tensor<float>(Shape{}, {1.0f}).narrow(0, 1), ShapeError);
  CHECK_THROWS_AS(x.to(Layout::channels_last()), ShapeError);
  message = message_of<ShapeError>([&] { Tensor<float>({2, 3}, Layout::channels_last()); });
  CHECK(contains(message, "[2, 3]"));
  CHECK(contains(message, "0,2,3,1"));
  message = message_of<ShapeError>([&] { detail::require_same_shape("sum", x, Tensor<float>({3, 2})); });
  CHECK(contains(message, "[2, 3]"));
  CHECK(contains(message, "[3, 2]"));
}

TEST_CASE("sizes that cannot be are refused before memory is asked for") {
  CHECK_THROWS_AS(Tensor<double>({std::int64_t{1} << 61}), ShapeError);
  CHECK_THROWS_AS(Tensor<float>({std::int64_t{1} << 58}), OutOfMemoryError);
  CHECK_THROWS_AS(Tensor<float>({std::int64_t{1} << 58}, {1.0f}), ShapeError);
}

TEST_CASE("types that must not mix do not convert") {
  static_assert(!std::is_convertible_v<Tensor<double>, Tensor<float>>);
  static_assert(!std::is_constructible_v<Tensor<float>, Tensor<double>>);
  static_assert(!std::is_constructible_v<Tensor<float, Cpu>, Tensor<float, Cuda>>);
  static_assert(std::is_nothrow_move_constructible_v<Tensor<float>>);
  static_assert(std::is_copy_assignable_v<Tensor<float>>);
}

TEST_CASE("a tensor that was moved from is empty") {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor<float> y = std::move(x);
  CHECK(y.to_vector().size() == 6);
  CHECK(x.shape() == Shape{0});  // NOLINT(bugprone-use-after-move): that is the point
  CHECK(x.to_vector().empty());
  x = std::move(y);
  CHECK(x.is_unique());
  CHECK(y.numel() == 0);  // NOLINT(bugprone-use-after-move)
  Tensor<float>& same = x;
  x = std::move(same);
  CHECK(x.to_vector() == std::vector<float>{1, 2, 3, 4, 5, 6});
}
