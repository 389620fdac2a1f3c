#include "kfer/autograd/variable.hpp"

#include <doctest/doctest.h>

#include "kfer/autograd/backward.hpp"
#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "support/op_check.hpp"

using namespace kfer;

TEST_CASE("a variable is a handle: copies name one value, gradient and place in the graph") {
  Variable<float> w(Tensor<float>({2}, {1, 2}), true);
  Variable<float> same = w;
  same.mutable_value().mutable_data()[0] = 5;
  CHECK(w.value().to_vector() == std::vector<float>{5, 2});
  backward(w, ones<float>({2}));
  CHECK(same.has_grad());
  same.zero_grad();
  CHECK_FALSE(w.has_grad());
}

TEST_CASE("leaves and results") {
  const Variable<float> data(ones<float>({3})), weight(ones<float>({3}), true);
  CHECK_FALSE((data + data).requires_grad());
  CHECK((data + data).is_leaf());
  Variable<float> y = data * weight;
  CHECK(y.requires_grad());
  CHECK_FALSE(y.is_leaf());
  CHECK_THROWS_AS(y.set_requires_grad(false), ValueError);
  CHECK_FALSE(y.detach().requires_grad());
  CHECK(y.detach().value().data() == y.value().data());
  const std::string message = test::message_of<ValueError>([&] { static_cast<void>(weight.grad()); });
  CHECK(test::contains(message, "[3]"));
  Variable<float> w = weight;
  CHECK_THROWS_AS(w.mutable_grad(), ValueError);
  backward(y, ones<float>({3}));
  w.set_requires_grad(false);
  CHECK_FALSE(weight.has_grad());
}

TEST_CASE("a saved value survives a later write to the leaf") {
  Variable<float> w(Tensor<float>({1}, {3}), true);
  const auto y = w * w;
  w.mutable_value().mutable_data()[0] = 100;
  backward(y);
  CHECK(w.grad().item() == 6);
}

TEST_CASE("settle changes the order of a leaf's memory, not its elements") {
  const Variable<float> w(arange<float>(48).reshape({1, 16, 3, 1}), true);
  w.settle(Layout::channels_last());
  CHECK(w.value().layout() == Layout::channels_last());
  CHECK(w.value().to_vector() == arange<float>(48).to_vector());
}

TEST_CASE("gradients of another shape are refused, with both shapes") {
  const Variable<float> w(ones<float>({2, 3}), true);
  const std::string message = test::message_of<ShapeError>([&] { w.accumulate_grad(ones<float>({3, 2})); });
  CHECK(test::contains(message, "[2, 3]"));
  CHECK(test::contains(message, "[3, 2]"));
}
