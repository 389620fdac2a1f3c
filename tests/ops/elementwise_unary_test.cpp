
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/elementwise/unary_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/elementwise/unary_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("functions of one tensor: float agrees with double, and gradients with finite differences",
                   D, test::TestDevice) {
  const auto check = [](const auto& f, double low, double high) {
    for (const Shape& shape : {Shape{2, 16, 3, 5}, {1, 17, 3, 3}, {13}, {}, {0, 4}, {40000}})
      test::check_layouts<D>([&](const auto& v) { return f(v[0]); }, {numbers(shape, 1, low, high)});
    gradcheck<D>([&](const auto& v) { return f(v[0]); }, {numbers({3, 7}, 1, low, high)});
  };
  check([](const auto& x) { return relu(x); }, -1, 1);
  check([](const auto& x) { return sigmoid(x); }, -9, 9);
  check([](const auto& x) { return tanh(x); }, -4, 4);
  check([](const auto& x) { return exp(x); }, -4, 4);
  check([](const auto& x) { return log(x); }, 0.1, 4);
  check([](const auto& x) { return square(x); }, -2, 2);
  check([](const auto& x) { return sqrt(x); }, 0.1, 4);
  check([](const auto& x) { return abs(x); }, -1, 1);
  check([](const auto& x) { return gelu(x); }, -4, 4);
  check([](const auto& x) { return silu(x); }, -6, 6);
  check([](const auto& x) { return leaky_relu(x, 0.2f); }, -1, 1);
  check([](const auto& x) { return pow(x, 2.5f); }, 0.1, 2);
  check([](const auto& x) { return clamp(x, -0.5f, 0.75f); }, -1, 1);
  check([](const auto& x) { return affine(x, 0.5f, -2); }, -1, 1);
  CHECK_THROWS_AS(clamp(Variable<float, D>(ones<float, D>({1})), 1, 0), ValueError);
}

TEST_CASE_TEMPLATE("functions of one tensor at their limits", D, test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({5}, {-INFINITY, -200, 0, 200, INFINITY})),
      n(full<float, D>({3}, NAN));
  CHECK(sigmoid(x).value().to_vector() == std::vector<float>{0, 0, 0.5, 1, 1});
  CHECK(silu(x).value().to_vector()[1] == 0);
  CHECK(gelu(x).value().to_vector()[3] == 200);
  for (const auto& y :
       {relu(n), sigmoid(n), tanh(n), exp(n), abs(n), gelu(n), silu(n), leaky_relu(n), clamp(n, 0, 1)})
    for (const float v : y.value().to_vector()) CHECK(std::isnan(v));
}
