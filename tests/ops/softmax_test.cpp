
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/softmax/softmax_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/softmax/softmax_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("softmax in float agrees with its definition along every dimension", D, test::TestDevice) {
  for (const Shape& shape :
       {Shape{4, 6}, {3, 24}, {5, 17}, {7, 1}, {2, 1003}, {2, 16, 3, 4}, {9}, {0, 5}, {130, 33}})
    for (std::size_t d = 0; d < shape.rank(); ++d) {
      const auto dim = static_cast<std::int64_t>(d);
      test::check_layouts<D>([=](const auto& v) { return softmax(v[0], dim); }, {numbers(shape, 1, -5, 5)});
      test::check_layouts<D>([=](const auto& v) { return log_softmax(v[0], dim); },
                             {numbers(shape, 1, -5, 5)});
    }
}

TEST_CASE_TEMPLATE("softmax neither overflows nor hides a NaN", D, test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({2, 3}, {1000, 1000, -1000, 1, NAN, 2}));
  const auto y = softmax(x).value().to_vector();
  CHECK(y[0] == 0.5f);
  CHECK(y[2] == 0.0f);
  CHECK((std::isnan(y[3]) && std::isnan(y[4]) && std::isnan(y[5])));
  CHECK(log_softmax(x).value().to_vector()[2] == doctest::Approx(-2000.6931));
  const Variable<float, D> wide(to_device<D>(cast<float>(numbers({3, 200}, 1, -30, 30))));
  const auto z = softmax(wide).value().to_vector();
  for (std::size_t r = 0; r < 3; ++r) {
    double sum = 0;
    for (std::size_t i = 0; i < 200; ++i) sum += z[r * 200 + i];
    CHECK(sum == doctest::Approx(1).epsilon(1e-6));
  }
}

TEST_CASE_TEMPLATE("gradients of softmax", D, test::TestDevice) {
  gradcheck<D>([](const auto& v) { return softmax(v[0]); }, {numbers({3, 5}, 1, -2, 2)});
  gradcheck<D>([](const auto& v) { return log_softmax(v[0], 0); }, {numbers({3, 5}, 1, -2, 2)});
  CHECK_THROWS_AS(softmax(Variable<float, D>(ones<float, D>({2, 2})), 2), ShapeError);
  CHECK_THROWS_AS(softmax(Variable<float, D>(ones<float, D>({}))), ShapeError);
}
