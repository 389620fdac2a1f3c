
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/shape/shape_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/shape/shape_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("flatten gives NCHW order from every memory order", D, test::TestDevice) {
  for (const Shape& shape : {Shape{2, 16, 5, 7}, {2, 32, 4, 4}, {1, 3, 9, 2}, {3, 24, 8, 9}, {0, 16, 2, 2}}) {
    test::check_layouts<D>([](const auto& v) { return flatten(v[0]); }, {numbers(shape, 1)}, 1e-9);
    const std::int64_t n = shape.numel();
    test::check_layouts<D>([=](const auto& v) { return reshape(v[0], {n, 1}); }, {numbers(shape, 1)}, 1e-9);
  }
  const Variable<float, D> x(arange<float, D>(24).reshape({2, 3, 4}));
  CHECK(flatten(x).shape() == Shape{2, 12});
  CHECK(flatten(x, 0).shape() == Shape{24});
  CHECK(test::contains(test::message_of<ShapeError>([&] { reshape(x, {5, 5}); }), "[2, 3, 4]"));
}

TEST_CASE_TEMPLATE("permute and transpose", D, test::TestDevice) {
  const Variable<float, D> x(arange<float, D>(6).reshape({2, 3}));
  CHECK(transpose(x).value().to_vector() == std::vector<float>{0, 3, 1, 4, 2, 5});
  for (const Shape& shape : {Shape{2, 3, 5, 4}, {1, 16, 3, 7}, {2, 1, 1, 3}, {0, 2, 3, 4}})
    for (const std::vector<int>& dims :
         std::vector<std::vector<int>>{{0, 2, 3, 1}, {3, 2, 1, 0}, {1, 0, -1, 2}}) {
      const auto f = [&](const auto& v) { return permute(v[0], dims); };
      test::check_layouts<D>(f, {numbers(shape, 1)}, 1e-9);
      const auto y = f(std::vector{test::exact(numbers(shape, 1))}).value();
      const auto source = numbers(shape, 1).to_vector(), moved = y.to_vector();
      std::array<std::int64_t, Shape::max_rank> at{};
      for (std::size_t i = 0; i < moved.size(); ++i) {  // independent of the implementation: index by index
        std::int64_t left = static_cast<std::int64_t>(i);
        for (std::size_t d = 4; d-- > 0; left /= y.shape()[d]) at[shape.dim(dims[d])] = left % y.shape()[d];
        REQUIRE(moved[i] == source[static_cast<std::size_t>(Layout::row_major(4).offset(shape, at))]);
      }
    }
  gradcheck<D>([](const auto& v) { return permute(v[0], {2, 0, 1}); }, {numbers({2, 3, 4}, 1)});
  gradcheck<D>([](const auto& v) { return transpose(v[0]); }, {numbers({19, 5}, 1)});
  CHECK_THROWS_AS(permute(x, {0, 0}), ValueError);
  CHECK_THROWS_AS(permute(x, {0}), ValueError);
}

TEST_CASE_TEMPLATE("concat and slice undo each other along every dimension and memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : {Shape{2, 16, 3, 5}, {3, 32, 2, 2}, {2, 3, 5, 4}, {1, 8, 1, 1}})
    for (std::int64_t dim = 0; dim < 4; ++dim)
      for (const Layout& layout : test::layouts_of(shape)) {
        const Variable<float, D> x(to_device<D>(cast<float>(numbers(shape, 1)).to(layout)), true);
        const std::int64_t cut = shape.at(dim) / 2;
        const auto first = slice(x, dim, 0, cut), second = slice(x, dim, cut, shape.at(dim) - cut);
        const auto y = concat(std::vector{first, second}, dim);
        CHECK(largest_difference(y.value(), x.value()) == 0);
        const auto dy = cast<float>(numbers(shape, 2));
        backward(y, to_device<D>(dy.to(layout)));
        CHECK(largest_difference(x.grad(), dy) == 0);
      }
  const Variable<float, D> a(Tensor<float, D>({1, 2}, {1, 2})), b(Tensor<float, D>({1, 1}, {3}));
  CHECK(concat(std::vector{a, b}, -1).value().to_vector() == std::vector<float>{1, 2, 3});
  CHECK(slice(a, 1, 1, 1).value().to_vector() == std::vector<float>{2});
  CHECK(slice(a, 1, 2, 0).shape() == Shape{1, 0});
  gradcheck<D>(
      [](const auto& v) {
        return concat(std::vector{v[0], v[1]}, 1);
      },
      {numbers({2, 3, 2}, 1), numbers({2, 1, 2}, 2)});
  gradcheck<D>([](const auto& v) { return slice(v[0], 1, 1, 2); }, {numbers({2, 4, 3}, 1)});
  const auto message = test::message_of<ShapeError>([&] { concat(std::vector{a, b}, 0); });
  CHECK(test::contains(message, "[1, 2]"));
  CHECK(test::contains(message, "[1, 1]"));
  CHECK_THROWS_AS(concat(std::vector<Variable<float, D>>{}), ValueError);
  CHECK_THROWS_AS(slice(a, 1, 1, 2), ShapeError);
}
