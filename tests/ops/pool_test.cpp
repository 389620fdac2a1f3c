
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/pool/pool_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/pool/pool_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

namespace {
const Shape shapes[] = {{2, 16, 8, 8}, {1, 17, 7, 9}, {2, 3, 9, 11}, {1, 32, 5, 4},
                        {3, 24, 6, 7}, {2, 8, 3, 3},  {1, 1, 4, 2},  {0, 16, 4, 4}};
}

TEST_CASE_TEMPLATE("max_pool2d in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : shapes)
    for (const MaxPool2dOptions& o : std::vector<MaxPool2dOptions>{{},
                                                                   {.kernel = 3, .stride = 2, .padding = 1},
                                                                   {.kernel = 3, .stride = 1, .padding = 1},
                                                                   {.kernel = 2, .stride = 3, .padding = 1},
                                                                   {.kernel = {2, 1}, .stride = {1, 2}},
                                                                   {.kernel = 1, .stride = 2}}) {
      auto x = numbers(shape, 3);
      test::check_layouts<D>([&](const auto& v) { return max_pool2d(v[0], o); }, {x}, 1e-6);
      double* p = x.mutable_data();  // ties: few distinct values
      for (std::int64_t i = 0; i < x.numel(); ++i) p[i] = std::round(p[i] * 2);
      test::check_layouts<D>([&](const auto& v) { return max_pool2d(v[0], o); }, {x}, 1e-6);
    }
}

TEST_CASE_TEMPLATE("max_pool2d of large windows", D, test::TestDevice) {
  const MaxPool2dOptions o{.kernel = 19, .stride = 7, .padding = 9};
  test::check_layouts<D>([&](const auto& v) { return max_pool2d(v[0], o); }, {numbers({1, 16, 23, 29}, 3)},
                         1e-6);
}

TEST_CASE_TEMPLATE("the first of equal maxima gets the gradient, and a NaN is the maximum", D,
                   test::TestDevice) {
  const Variable<float, D> x(Tensor<float, D>({1, 1, 2, 4}, {1, 1, 0, NAN, 1, 1, 5, 3}), true);
  const auto y = max_pool2d(x);
  CHECK(y.value().to_vector()[0] == 1);
  CHECK(std::isnan(y.value().to_vector()[1]));
  backward(y, Tensor<float, D>({1, 1, 1, 2}, {2, 3}));
  CHECK(x.grad().to_vector() == std::vector<float>{2, 0, 0, 3, 0, 0, 0, 0});
  for (const Layout& layout : test::layouts_of({1, 16, 2, 2})) {
    auto t = zeros<float, Cpu>({1, 16, 2, 2});
    t.mutable_data()[4 * 5 + 2] = NAN;
    const auto v = max_pool2d(Variable<float, D>(to_device<D>(t.to(layout)))).value().to_vector();
    for (std::size_t c = 0; c < 16; ++c) CHECK(std::isnan(v[c]) == (c == 5));
  }
}

TEST_CASE_TEMPLATE("avg_pool2d in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : shapes)
    for (const bool include : {true, false})
      for (const AvgPool2dOptions& o : std::vector<AvgPool2dOptions>{
               {.count_include_pad = include},
               {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = include},
               {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = include}})
        test::check_layouts<D>([&](const auto& v) { return avg_pool2d(v[0], o); }, {numbers(shape, 3)});
}

TEST_CASE_TEMPLATE("global_avg_pool in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : shapes)
    test::check_layouts<D>([&](const auto& v) { return global_avg_pool(v[0]); }, {numbers(shape, 3)});
}

TEST_CASE_TEMPLATE("gradients of pooling", D, test::TestDevice) {
  const auto x = numbers({2, 3, 5, 4}, 8);
  gradcheck<D>([](const auto& v) { return max_pool2d(v[0], {.kernel = 3, .stride = 2, .padding = 1}); }, {x});
  gradcheck<D>([](const auto& v) { return max_pool2d(v[0]); }, {x});
  gradcheck<D>([](const auto& v) { return avg_pool2d(v[0], {.kernel = 3, .stride = 2, .padding = 1}); }, {x});
  gradcheck<D>(
      [](const auto& v) {
        return avg_pool2d(v[0], {.kernel = 3, .stride = 1, .padding = 1, .count_include_pad = false});
      },
      {x});
  gradcheck<D>([](const auto& v) { return global_avg_pool(v[0]); }, {x});
}

TEST_CASE_TEMPLATE("pooling names what does not fit", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({1, 3, 2, 2})), flat(ones<float, D>({3, 4}));
  CHECK(test::contains(test::message_of<ShapeError>([&] { max_pool2d(x, {.kernel = 3}); }), "[1, 3, 2, 2]"));
  CHECK_THROWS_AS(max_pool2d(x, {.kernel = 2, .padding = 2}), ValueError);
  CHECK_THROWS_AS(avg_pool2d(x, {.kernel = 2, .stride = {0, 1}}), ValueError);
  CHECK_THROWS_AS(avg_pool2d(flat), ShapeError);
  CHECK_THROWS_AS(global_avg_pool(flat), ShapeError);
  CHECK_THROWS_AS(global_avg_pool(Variable<float, D>(Tensor<float, D>({1, 3, 0, 2}))), ShapeError);
}
