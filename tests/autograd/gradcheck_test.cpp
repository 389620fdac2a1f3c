#include "kfer/autograd/gradcheck.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "support/op_check.hpp"

using namespace kfer;

namespace {

/// y = x^2, whose backward pass gives `factor` x dy, and `wrong` as element `at`.
struct SquareBackward {
  Tensor<double, Cpu> x;
  double factor;
  std::int64_t at;
  double wrong;
  void operator()(Tensor<double, Cpu> dy, InputGrads<double, Cpu>& grads) {
    for (std::int64_t i = 0; i < dy.numel(); ++i)
      dy.mutable_data()[i] = i == at ? wrong : factor * x.data()[i] * dy.data()[i];
    grads.add(0, std::move(dy));
  }
};
Variable<double> square(const Variable<double>& x, double factor = 2, std::int64_t at = -1,
                        double wrong = 0) {
  Tensor<double> y = x.value();
  for (std::int64_t i = 0; i < y.numel(); ++i) y.mutable_data()[i] *= x.value().data()[i];
  return record(std::move(y), {x}, SquareBackward{x.value(), factor, at, wrong});
}
using Inputs = std::vector<Variable<double>>;

}  // namespace

TEST_CASE("gradcheck passes right gradients") {
  const Tensor<double> x = test::numbers({3, 5}, 1), y = test::numbers({3, 5}, 2, 1, 2);
  CHECK_NOTHROW(gradcheck<Cpu>([](const Inputs& v) { return square(v[0]); }, {x}));
  CHECK_NOTHROW(gradcheck<Cpu>([](const Inputs& v) { return square(v[0]) / v[1] + v[0] * v[1]; }, {x, y}));
  CHECK_NOTHROW(gradcheck<Cpu>([](const Inputs& v) { return square(v[0]); }, {Tensor<double>({0})}));
}

TEST_CASE("gradcheck catches wrong gradients") {
  const Tensor<double> x = test::numbers({3, 5}, 1);
  CHECK_THROWS_AS(gradcheck<Cpu>([](const Inputs& v) { return square(v[0], 2.001); }, {x}), NumericError);
  CHECK_THROWS_AS(gradcheck<Cpu>([](const Inputs& v) { return square(v[0], -2); }, {x}), NumericError);
  const std::string message = test::message_of<NumericError>([&] {
    gradcheck<Cpu>([](const Inputs& v) { return v[0] + square(v[1], 2, 11, 0.25); }, {x, x});
  });
  CHECK(test::contains(message, "input 1, element 11"));
}

TEST_CASE("gradcheck catches a NaN and an infinity in the gradient, and in the function") {
  const Tensor<double> x = test::numbers({7}, 1);
  for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL})
    CHECK_THROWS_AS(gradcheck<Cpu>([&](const Inputs& v) { return square(v[0], 2, 3, bad); }, {x}),
                    NumericError);
  const Tensor<double> poisoned({2}, {1.0, std::nan("")});
  CHECK_THROWS_AS(gradcheck<Cpu>([](const Inputs& v) { return square(v[0]); }, {poisoned}), NumericError);
}

TEST_CASE("gradcheck catches a gradient that is not there") {
  const Tensor<double> x = test::numbers({4}, 1);
  const auto half = [](const Inputs& v) {  // the second factor is cut off from the graph
    return v[0] + square(v[1]).detach();
  };
  CHECK_THROWS_AS(gradcheck<Cpu>(half, {x, x}), NumericError);
}
