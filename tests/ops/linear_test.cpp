
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/linear/linear_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/linear/linear_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

TEST_CASE_TEMPLATE("linear in float agrees with its definition", D, test::TestDevice) {
  struct Sizes {
    std::int64_t batch, in, out;
  };
  for (const Sizes& s : {Sizes{1, 1, 1},
                         {4, 8, 16},
                         {7, 17, 13},
                         {33, 5, 24},
                         {3, 100, 1},
                         {64, 513, 24},
                         {24, 1031, 7},
                         {5, 0, 3}}) {
    const std::int64_t n = s.batch, i = s.in, o = s.out;
    INFO(n, " x ", i, " -> ", o);
    const double scale = 1 / std::sqrt(i + 1.0);
    const auto x = numbers({n, i}, 1), w = numbers({o, i}, 2, -scale, scale), b = numbers({o}, 3);
    const DropoutMask mask{0.5f, {.seed = 1, .stream = 2}};
    const std::vector<Layout> layouts{Layout::row_major(2), Layout::row_major(2), Layout::row_major(1)};
    test::check_float<D>([](const auto& v) { return linear(v[0], v[1], v[2]); }, {x, w, b}, layouts);
    test::check_float<D>([](const auto& v) { return linear(v[0], v[1]); }, {x, w}, layouts);
    test::check_float<D>([](const auto& v) { return linear(v[0], v[1], v[2], {.relu = true}); }, {x, w, b},
                         layouts);
    test::check_float<D>(
        [&](const auto& v) { return linear(v[0], v[1], v[2], {.relu = true, .dropout = mask}); }, {x, w, b},
        layouts);
  }
}

TEST_CASE_TEMPLATE("long sums of linear in float agree with the definition", D, test::TestDevice) {
  // The shape class of a flattened feature map into a few classes.
  const std::int64_t n = 5, i = 20011, o = 6;
  const auto x = numbers({n, i}, 1), w = numbers({o, i}, 2, -0.01, 0.01), b = numbers({o}, 3);
  test::check_float<D>([](const auto& v) { return linear(v[0], v[1], v[2]); }, {x, w, b},
                       {Layout::row_major(2), Layout::row_major(2), Layout::row_major(1)});
}

TEST_CASE_TEMPLATE("linear takes any leading dimensions, and an empty batch", D, test::TestDevice) {
  const Variable<float, D> w(ones<float, D>({3, 4}), true), b(zeros<float, D>({3}), true);
  CHECK(linear(Variable<float, D>(ones<float, D>({2, 5, 4})), w, b).shape() == Shape{2, 5, 3});
  CHECK(linear(Variable<float, D>(ones<float, D>({4})), w, b).shape() == Shape{3});
  const Variable<float, D> none(Tensor<float, D>({0, 4}), true);
  const auto y = linear(none, w, b);
  CHECK(y.shape() == Shape{0, 3});
  backward(y, Tensor<float, D>({0, 3}));
  CHECK(largest_difference(w.grad(), zeros<float, D>({3, 4})) == 0);
}

TEST_CASE_TEMPLATE("gradients of linear", D, test::TestDevice) {
  const std::vector<Tensor<double, Cpu>> inputs{numbers({2, 3, 5}, 1), numbers({4, 5}, 2), numbers({4}, 3)};
  gradcheck<D>([](const auto& v) { return linear(v[0], v[1], v[2]); }, inputs);
  gradcheck<D>([](const auto& v) { return linear(v[0], v[1], v[2], {.relu = true}); }, inputs);
  gradcheck<D>(
      [](const auto& v) {
        return linear(v[0], v[1], v[2],
                      {.relu = true, .dropout = DropoutMask{0.5f, {.seed = 3, .stream = 1}}});
      },
      inputs);
}

TEST_CASE_TEMPLATE("linear gives the same bits in every run", D, test::TestDevice) {
  const Variable<float, D> x(to_device<D>(cast<float>(numbers({64, 5000}, 1))), true),
      w(to_device<D>(cast<float>(numbers({24, 5000}, 2))), true);
  const auto once = [&] {
    const auto y = linear(x, w);
    w.settle(Layout::row_major(2));
    auto wx = Variable<float, D>(w.value(), true), xx = Variable<float, D>(x.value(), true);
    const auto z = linear(xx, wx);
    backward(z, ones<float, D>(z.shape()));
    return std::vector{y.value(), wx.grad(), xx.grad()};
  };
  const auto first = once();
  for (int run = 0; run < 3; ++run) {
    const auto again = once();
    for (std::size_t i = 0; i < first.size(); ++i) CHECK(again[i].to_vector() == first[i].to_vector());
  }
}

TEST_CASE_TEMPLATE("linear names what does not fit", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({64, 13})), w(ones<float, D>({24, 12})), b(ones<float, D>({23}));
  const auto message = test::message_of<ShapeError>([&] { linear(x, w); });
  CHECK(test::contains(message, "[64, 13]"));
  CHECK(test::contains(message, "[24, 12]"));
  const Variable<float, D> good(ones<float, D>({64, 12}));
  CHECK(test::contains(test::message_of<ShapeError>([&] { linear(good, w, b); }), "[23]"));
  CHECK_THROWS_AS(linear(good, w, {.dropout = DropoutMask{0.5f, {}}}), ValueError);
}
