
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/batch_norm/batch_norm_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/batch_norm/batch_norm_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

namespace {

template <class T, class D>
Tensor<T, D> on(const Tensor<double, Cpu>& x, const Layout& layout) {
  return to_device<D>(cast<T>(x).to(layout));
}
template <class T, class D>
Tensor<T, D> on(const Tensor<double, Cpu>& x) {
  return to_device<D>(cast<T>(x));
}

template <class T, class D>
Variable<T, D> run(const std::vector<Variable<T, D>>& v, const BatchNormOptions& options,
                   Tensor<T, D>* mean_after = nullptr, Tensor<T, D>* var_after = nullptr) {
  const std::int64_t channels = v[0].size(1);
  const std::size_t first = v.size() == 4 ? 2 : 1;  // inputs: x, residual if any, gamma, beta
  auto mean = on<T, D>(numbers({channels}, 21)), var = on<T, D>(numbers({channels}, 22, 0.5, 2));
  const auto y =
      batch_norm(v[0], v[first], v[first + 1], mean, var, options, v.size() == 4 ? &v[1] : nullptr);
  if (mean_after) *mean_after = mean, *var_after = var;
  return y;
}

const Shape shapes[] = {{4, 16, 5, 7},  {3, 17, 3, 3}, {2, 32, 40, 20}, {5, 3, 1, 1}, {2, 48, 2, 2},
                        {70, 16, 2, 2}, {7, 5},        {40, 33},        {3, 16},      {2, 3, 5},
                        {2, 1, 19, 31}, {0, 16, 3, 3}, {0, 4},          {1, 8, 1, 2}};

}  // namespace

TEST_CASE_TEMPLATE("batch_norm in float agrees with its definition in every memory order", D,
                   test::TestDevice) {
  for (const Shape& shape : shapes)
    for (const bool training : {true, false})
      for (const bool relu : {true, false}) {
        INFO("training ", training, ", relu ", relu);
        const auto x = numbers(shape, 1, -2, 3), r = numbers(shape, 2);
        const auto gamma = numbers({shape[1]}, 3, 0.5, 1.5), beta = numbers({shape[1]}, 4);
        const BatchNormOptions o{.training = training, .relu = relu};
        const auto f = [&](const auto& v) { return run(v, o); };
        test::check_layouts<D>(f, {x, gamma, beta}, 1e-4);
        test::check_layouts<D>(f, {x, r, gamma, beta}, 1e-4);
      }
}

TEST_CASE_TEMPLATE("batch_norm computes only the gradients that are wanted, whoever shares the incoming one",
                   D, test::TestDevice) {
  const Shape shape{3, 16, 4, 5};
  const auto x = numbers(shape, 1), r = numbers(shape, 2), gamma = numbers({16}, 3, 0.5, 1.5),
             beta = numbers({16}, 4);
  const auto dy = on<float, D>(numbers(shape, 5));
  for (const Layout& layout : test::layouts_of(shape))
    for (const bool training : {true, false})
      for (int wanted = 1; wanted < 16; ++wanted) {
        CAPTURE(wanted);
        std::vector<Variable<float, D>> v{Variable<float, D>(on<float, D>(x, layout), wanted & 1),
                                          Variable<float, D>(on<float, D>(r, layout), wanted & 2),
                                          Variable<float, D>(on<float, D>(gamma), wanted & 4),
                                          Variable<float, D>(on<float, D>(beta), wanted & 8)};
        std::vector<Variable<double, test::Exact>> e{test::exact(x, true), test::exact(r, true),
                                                     test::exact(gamma, true), test::exact(beta, true)};
        const BatchNormOptions o{.training = training, .relu = true};
        const Tensor<float, D> held = dy.to(layout), copy = held;
        backward(run(v, o), held);
        backward(run(e, o), to_device<test::Exact>(cast<double>(dy)));
        CHECK(largest_difference(held, dy) == 0);  // a gradient that others hold is left alone
        for (std::size_t i = 0; i < 4; ++i) {
          REQUIRE(v[i].has_grad() == bool(wanted >> i & 1));
          if (v[i].has_grad()) CHECK(largest_difference(v[i].grad(), e[i].grad()) < 1e-4);
        }
      }
}

TEST_CASE_TEMPLATE("batch_norm moves the running statistics, with the unbiased variance", D,
                   test::TestDevice) {
  for (const Shape& shape : {Shape{4, 16, 5, 7}, Shape{9, 3}, Shape{2, 5, 3, 3}})
    for (const Layout& layout : test::layouts_of(shape)) {
      const auto x = numbers(shape, 1, -2, 3);
      const auto gamma = numbers({shape[1]}, 3), beta = numbers({shape[1]}, 4);
      Tensor<float, D> mean, var;
      Tensor<double, test::Exact> exact_mean, exact_var;
      std::vector<Variable<float, D>> v{Variable<float, D>(on<float, D>(x, layout)),
                                        Variable<float, D>(on<float, D>(gamma)),
                                        Variable<float, D>(on<float, D>(beta))};
      std::vector<Variable<double, test::Exact>> e{test::exact(x), test::exact(gamma), test::exact(beta)};
      run(v, {.momentum = 0.3}, &mean, &var);
      run(e, {.momentum = 0.3}, &exact_mean, &exact_var);
      CHECK(largest_difference(mean, exact_mean) < 1e-6);
      CHECK(largest_difference(var, exact_var) < 1e-6);
      Tensor<float, D> still_mean, still_var;
      run(v, {.training = false}, &still_mean, &still_var);
      CHECK(largest_difference(still_mean, numbers({shape[1]}, 21)) == 0);
      CHECK(largest_difference(still_var, numbers({shape[1]}, 22, 0.5, 2)) == 0);
    }
}

TEST_CASE_TEMPLATE("batch_norm is exact where the mean is large against the deviation", D, test::TestDevice) {
  const Shape shape{8, 16, 16, 16};
  auto x = numbers(shape, 1, -1, 1);
  double* p = x.mutable_data();
  for (std::int64_t i = 0; i < x.numel(); ++i) p[i] = static_cast<float>(1000 + p[i]);
  p[0] = 0;  // an outlier in front, where a sum shifted by the first value would break
  for (const Layout& layout : test::layouts_of(shape)) {
    Tensor<float, D> mean = zeros<float, D>({16}), var = zeros<float, D>({16});
    batch_norm(Variable<float, D>(on<float, D>(x, layout)), Variable<float, D>(ones<float, D>({16})),
               Variable<float, D>(zeros<float, D>({16})), mean, var, {.momentum = 1});
    auto exact_mean = zeros<double, test::Exact>({16}), exact_var = exact_mean;
    batch_norm(test::exact(x), test::exact(ones<double, Cpu>({16})), test::exact(zeros<double, Cpu>({16})),
               exact_mean, exact_var, {.momentum = 1});
    CHECK(relative_rms(mean, exact_mean) < 1e-7);
    CHECK(relative_rms(var, exact_var) < 1e-6);
  }
}

TEST_CASE_TEMPLATE("gradients of batch_norm", D, test::TestDevice) {
  for (const Shape& shape : {Shape{3, 4, 2, 3}, Shape{5, 3}})
    for (const bool training : {true, false})
      for (const bool relu : {true, false}) {
        const auto gamma = numbers({shape[1]}, 3, 0.5, 1.5), beta = numbers({shape[1]}, 4);
        const BatchNormOptions o{.training = training, .relu = relu};
        const auto f = [&](const std::vector<Variable<double, D>>& v) { return run(v, o); };
        gradcheck<D>(f, {numbers(shape, 1), gamma, beta});
        gradcheck<D>(f, {numbers(shape, 1), numbers(shape, 2), gamma, beta});
      }
}

#if defined(__CUDACC__) || defined(KFER_TEST_SIMT)
TEST_CASE("batch_norm of bfloat16 keeps parameters and statistics in float") {
  using D = test::TestDevice;
  for (const Shape& shape : {Shape{4, 16, 5, 7}, Shape{3, 17, 3, 3}, Shape{40, 24}, Shape{0, 8, 2, 2}})
    for (const bool training : {true, false})
      for (const bool relu : {true, false})
        for (const bool add : {true, false}) {
          INFO("shape ", to_string(shape), ", training ", training, ", relu ", relu, ", residual ", add);
          const auto rounded = [](const Tensor<double, Cpu>& t) { return cast<double>(cast<bfloat16>(t)); };
          const auto x = rounded(numbers(shape, 1, -2, 3)), r = rounded(numbers(shape, 2)),
                     dy = rounded(numbers(shape, 6));
          const auto gamma = numbers({shape[1]}, 3, 0.5, 1.5), beta = numbers({shape[1]}, 4);
          const BatchNormOptions o{.training = training, .relu = relu};
          const Variable<bfloat16, D> a(on<bfloat16, D>(x), true), b(on<bfloat16, D>(r), true);
          const Variable<float, D> g(on<float, D>(gamma), true), s(on<float, D>(beta), true);
          auto mean = on<float, D>(numbers({shape[1]}, 21)),
               var = on<float, D>(numbers({shape[1]}, 22, 0.5, 2));
          const Variable<bfloat16, D> y = batch_norm(a, g, s, mean, var, o, add ? &b : nullptr);
          backward(y, on<bfloat16, D>(dy));

          std::vector<Variable<double, test::Exact>> e{test::exact(x, true)};
          if (add) e.push_back(test::exact(r, true));
          e.push_back(test::exact(gamma, true)), e.push_back(test::exact(beta, true));
          Tensor<double, test::Exact> exact_mean, exact_var;
          const auto exact = run(e, o, &exact_mean, &exact_var);
          backward(exact, to_device<test::Exact>(dy));
          CHECK(largest_difference(y.value(), exact.value()) < 0x1p-8);
          CHECK(largest_difference(a.grad(), e[0].grad()) < 0x1p-8);
          if (add) CHECK(largest_difference(b.grad(), e[1].grad()) < 0x1p-8);
          CHECK(largest_difference(g.grad(), e[e.size() - 2].grad()) < 1e-5);
          CHECK(largest_difference(s.grad(), e[e.size() - 1].grad()) < 1e-5);
          CHECK(largest_difference(mean, exact_mean) < 1e-6);
          CHECK(largest_difference(var, exact_var) < 1e-6);
        }
}
#endif

TEST_CASE_TEMPLATE("batch_norm names what does not fit", D, test::TestDevice) {
  const Variable<float, D> x(ones<float, D>({2, 3, 4, 4})), c(ones<float, D>({3})),
      wrong(ones<float, D>({4}));
  Tensor<float, D> mean = zeros<float, D>({3}), var = ones<float, D>({3});
  const auto message = test::message_of<ShapeError>([&] { batch_norm(x, wrong, c, mean, var); });
  CHECK(test::contains(message, "[2, 3, 4, 4]"));
  CHECK(test::contains(message, "[4]"));
  CHECK_THROWS_AS(batch_norm(x, c, c, mean, var, {}, &c), ShapeError);
  CHECK_THROWS_AS(batch_norm(c, c, c, mean, var), ShapeError);
  CHECK_THROWS_AS(batch_norm(Variable<float, D>(ones<float, D>({1, 3})), c, c, mean, var), ValueError);
}
