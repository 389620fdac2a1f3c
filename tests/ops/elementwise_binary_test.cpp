
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/elementwise/binary_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/elementwise/binary_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("functions of two tensors in every pair of memory orders", D, test::TestDevice) {
  const auto check = [](const auto& f, double low, double high) {
    for (const Shape& shape : {Shape{2, 16, 3, 5}, {1, 17, 3, 3}, {13}, {}, {0, 4}, {40000}})
      test::check_layouts<D>([&](const auto& v) { return f(v[0], v[1]); },
                             {numbers(shape, 1, low, high), numbers(shape, 2, low, high)});
    for (const auto& [a, b] : std::vector<std::pair<Shape, Shape>>{
             {{2, 16, 3, 5}, {16, 1, 1}}, {{4, 1}, {3}}, {{}, {2, 3}}, {{1, 8, 1, 1}, {2, 8, 3, 3}}})
      test::check_layouts<D>([&](const auto& v) { return f(v[0], v[1]); },
                             {numbers(a, 1, low, high), numbers(b, 2, low, high)});
    gradcheck<D>([&](const auto& v) { return f(v[0], v[1]); },
                 {numbers({3, 4}, 1, low, high), numbers({3, 4}, 2, low, high)});
    gradcheck<D>([&](const auto& v) { return f(v[0], v[1]); },
                 {numbers({3, 1, 4}, 1, low, high), numbers({2, 1}, 2, low, high)});
  };
  check([](const auto& a, const auto& b) { return a + b; }, -1, 1);
  check([](const auto& a, const auto& b) { return a - b; }, -1, 1);
  check([](const auto& a, const auto& b) { return a * b; }, -1, 1);
  check([](const auto& a, const auto& b) { return a / b; }, 0.5, 2);
  check([](const auto& a, const auto& b) { return maximum(a, b); }, -1, 1);
}

TEST_CASE_TEMPLATE("add_relu is the sum and the ReLU", D, test::TestDevice) {
  for (const Shape& shape : {Shape{2, 16, 3, 5}, {1, 17, 3, 3}, {13}, {0, 4}}) {
    test::check_layouts<D>([](const auto& v) { return add_relu(v[0], v[1]); },
                           {numbers(shape, 1), numbers(shape, 2)});
    const auto a = test::exact(numbers(shape, 1)), b = test::exact(numbers(shape, 2));
    CHECK(largest_difference(add_relu(a, b).value(), relu(a + b).value()) == 0);
  }
  gradcheck<D>([](const auto& v) { return add_relu(v[0], v[1]); }, {numbers({3, 4}, 1), numbers({3, 4}, 2)});
  const Variable<float, D> x(ones<float, D>({2, 3})), y(ones<float, D>({3}));
  const auto message = test::message_of<ShapeError>([&] { add_relu(x, y); });
  CHECK(test::contains(message, "[2, 3]"));
  CHECK(test::contains(message, "[3]"));
}

TEST_CASE_TEMPLATE("a variable used twice gathers both gradients, and shared gradients stay apart", D,
                   test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({2}, {3, 5}), true);
  backward(x * x + x + x, ones<float, D>({2}));
  CHECK(x.grad().to_vector() == std::vector<float>{8, 12});
  const Variable<float, D> a(ones<float, D>({2}), true), b(ones<float, D>({2}), true);
  backward(square(a + b) + a, ones<float, D>({2}));  // the sum hands one tensor to both
  CHECK(a.grad().to_vector() == std::vector<float>{5, 5});
  CHECK(b.grad().to_vector() == std::vector<float>{4, 4});
}

TEST_CASE_TEMPLATE("operands that do not broadcast are named", D, test::TestDevice) {
  const Variable<float, D> a(ones<float, D>({2, 3})), b(ones<float, D>({2, 4}));
  const auto message = test::message_of<ShapeError>([&] { a* b; });
  CHECK(test::contains(message, "[2, 3]"));
  CHECK(test::contains(message, "[2, 4]"));
}
