
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/matmul/matmul_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/matmul/matmul_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("matmul in float agrees with its definition, and has its gradients", D, test::TestDevice) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const auto& size : {std::array<std::int64_t, 3>{4, 6, 5},
                               {17, 11, 13},
                               {1, 1, 31},
                               {23, 29, 1},
                               {1, 1, 1},
                               {64, 48, 100}}) {
        const std::int64_t m = size[0], n = size[1], k = size[2];
        INFO("op(a) ", m, " x ", k, ", op(b) ", k, " x ", n, ", transposed: ", ta, " ", tb);
        const auto a = numbers(ta ? Shape{k, m} : Shape{m, k}, 1),
                   b = numbers(tb ? Shape{n, k} : Shape{k, n}, 2);
        const auto f = [&](const auto& v) { return matmul(v[0], v[1], {ta, tb}); };
        test::check_float<D>(f, {a, b}, {Layout::row_major(2), Layout::row_major(2)});
        if (m * n * k < 200) gradcheck<D>(f, {a, b});
      }
}

TEST_CASE_TEMPLATE("matmul of nothing", D, test::TestDevice) {
  const Variable<float, D> a(Tensor<float, D>({3, 0})), b(Tensor<float, D>({0, 4}));
  CHECK(largest_difference(matmul(a, b).value(), zeros<float, D>({3, 4})) == 0);
  CHECK(matmul(b, Variable<float, D>(ones<float, D>({4, 2}))).shape() == Shape{0, 2});
}

TEST_CASE_TEMPLATE("matmul names both shapes", D, test::TestDevice) {
  const Variable<float, D> a(ones<float, D>({3, 4})), b(ones<float, D>({3, 5}));
  const auto message = test::message_of<ShapeError>([&] { matmul(a, b); });
  CHECK(test::contains(message, "[3, 4]"));
  CHECK(test::contains(message, "[3, 5]"));
  CHECK_THROWS_AS(matmul(a, Variable<float, D>(ones<float, D>({4}))), ShapeError);
}
