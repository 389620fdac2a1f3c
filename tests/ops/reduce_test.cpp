
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/reduce/reduce_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/reduce/reduce_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("sums and means in closed form", D, test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({2, 3}, {1, 2, 3, 4, 5, 6}));
  CHECK(sum(x).item() == 21);
  CHECK(sum(x).shape() == Shape{});
  CHECK(mean(x).item() == 3.5f);
  CHECK(sum(x, {.dims = {0}}).value().to_vector() == std::vector<float>{5, 7, 9});
  CHECK(sum(x, {.dims = {-1}, .keepdim = true}).shape() == Shape{2, 1});
  CHECK(mean(x, {.dims = {1}}).value().to_vector() == std::vector<float>{2, 5});
  CHECK(sum(x, {.dims = {0, 1}, .keepdim = true}).shape() == Shape{1, 1});
  CHECK(sum(Variable<float, D>(Tensor<float, D>({0, 3}))).item() == 0);
  CHECK(sum(Variable<float, D>(Tensor<float, D>({0, 3})), {.dims = {0}}).value().to_vector() ==
        std::vector<float>{0, 0, 0});
}

TEST_CASE_TEMPLATE("reductions in float agree with double in every memory order, and have their gradients", D,
                   test::TestDevice) {
  for (const auto& dims : std::vector<std::vector<int>>{{}, {0}, {1}, {2, 3}, {0, 2, 3}, {3}, {1, 3}})
    for (const bool keep : {false, true})
      for (const Shape& shape : {Shape{2, 16, 3, 5}, Shape{2, 3, 5, 7}, Shape{1, 8, 1, 90}}) {
        const auto f = [&](const auto& v) { return sum(v[0], {dims, keep}); };
        const auto g = [&](const auto& v) { return mean(v[0], {dims, keep}); };
        test::check_layouts<D>(f, {numbers(shape, 1)});
        test::check_layouts<D>(g, {numbers(shape, 1)});
        if (shape[1] == 3) gradcheck<D>(g, {numbers(shape, 1)});
      }
  const Variable<float, D> many(full<float, D>({100003}, 0.1f));
  CHECK(sum(many).item() == doctest::Approx(double{0.1f} * 100003).epsilon(1e-7));
}

TEST_CASE_TEMPLATE("reductions refuse what they cannot do", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({2, 3}));
  CHECK_THROWS_AS(sum(x, {.dims = {2}}), ShapeError);
  CHECK_THROWS_AS(sum(x, {.dims = {1, -1}}), ValueError);
  CHECK_THROWS_AS(mean(Variable<float, D>(Tensor<float, D>({0, 3}))), ValueError);
}
