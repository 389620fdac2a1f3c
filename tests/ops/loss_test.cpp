
#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/loss/loss_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/loss/loss_cuda.hpp"
#endif

using namespace kfer;
using test::numbers;

namespace {
template <class D>
Tensor<std::int64_t, D> labels_of(std::int64_t n, std::int64_t classes) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < n; ++i) out.push_back((i * 7 + 3) % classes);
  return Tensor<std::int64_t, D>({n}, std::span<const std::int64_t>(out));
}
/// The element type and the device of the variables that a generic test was called with: a test of device D
/// also runs its definition, in double, on the Cpu.
template <class V>
using element = typename std::decay_t<V>::value_type::value_type;
template <class V>
using device = typename std::decay_t<V>::value_type::device_type;
/// `x` where and as those variables are.
template <class V>
Tensor<element<V>, device<V>> like(const V&, const Tensor<double, Cpu>& x) {
  return to_device<device<V>>(cast<element<V>>(x));
}
}  // namespace

TEST_CASE_TEMPLATE("softmax_cross_entropy: float agrees with double, and both with finite differences", D,
                   test::TestDevice) {
  for (const Shape& shape : {Shape{8, 6}, {5, 22}, {1, 1}, {3, 1000}, {64, 24}, {301, 7}})
    for (const double smoothing : {0.0, 0.1})
      for (const Reduction reduction : {Reduction::mean, Reduction::batch_mean, Reduction::sum})
        for (const bool weighted : {false, true}) {
          const auto f = [&](const auto& v) {
            using V = decltype(v);
            CrossEntropyOptions<element<V>, device<V>> o{.label_smoothing = smoothing,
                                                         .reduction = reduction};
            if (weighted) o.class_weights = like(v, numbers({shape[1]}, 2, 0.5, 2));
            return softmax_cross_entropy(v[0], labels_of<device<V>>(shape[0], shape[1]), o);
          };
          test::check_layouts<D>(f, {numbers(shape, 1, -4, 4)});
          if (shape.numel() < 60) gradcheck<D>(f, {numbers(shape, 1, -4, 4)});
        }
  const auto soft = [](const auto& v) {
    return softmax_cross_entropy(v[0], like(v, numbers({5, 7}, 3, 0, 1)));
  };
  test::check_layouts<D>(soft, {numbers({5, 7}, 1, -4, 4)});
  gradcheck<D>(soft, {numbers({5, 7}, 1, -4, 4)});
}

TEST_CASE_TEMPLATE("softmax_cross_entropy in closed form", D, test::TestDevice) {
  const Variable<float, D> even(zeros<float, D>({3, 8}), true), sure(Tensor<float, D>({1, 2}, {0, 1000}));
  const auto loss = softmax_cross_entropy(even, labels_of<D>(3, 8));
  CHECK(loss.shape() == Shape{});
  CHECK(loss.item() == doctest::Approx(std::log(8.0)));
  backward(loss, full<float, D>({}, 3));
  CHECK(even.grad().to_vector()[0] == doctest::Approx(0.125));  // a factor of 3 over 3 samples
  CHECK(softmax_cross_entropy(sure, Tensor<std::int64_t, D>({1}, {0})).item() == 1000);
  CHECK(softmax_cross_entropy(sure, Tensor<std::int64_t, D>({1}, {1})).item() == 0);
  const Variable<float, D> bad(Tensor<float, D>({1, 2}, {0, NAN}));
  CHECK(std::isnan(softmax_cross_entropy(bad, Tensor<std::int64_t, D>({1}, {0})).item()));
}

TEST_CASE_TEMPLATE("softmax_cross_entropy refuses labels that are no class", D, test::TestDevice) {
  const Variable<float, D> x(zeros<float, D>({3, 4}));
  const auto message = test::message_of<ValueError>([&] {
    softmax_cross_entropy(x, Tensor<std::int64_t, D>({3}, {0, 3, 4}));
  });
  CHECK(test::contains(message, "label 4"));
  CHECK(test::contains(message, "index 2"));
  CHECK_THROWS_AS(softmax_cross_entropy(x, Tensor<std::int64_t, D>({3}, {0, -1, 0})), ValueError);
  CHECK_THROWS_AS(softmax_cross_entropy(x, Tensor<std::int64_t, D>({2}, {0, 1})), ShapeError);
  CHECK_THROWS_AS(softmax_cross_entropy(x, ones<float, D>({3, 5})), ShapeError);
  CHECK_THROWS_AS(
      softmax_cross_entropy(Variable<float, D>(Tensor<float, D>({0, 4})), Tensor<std::int64_t, D>({0})),
      ValueError);
  CHECK_THROWS_AS(softmax_cross_entropy(x, Tensor<std::int64_t, D>({3}, {0, 1, 2}),
                                        {.class_weights = ones<float, D>({3})}),
                  ShapeError);
}

TEST_CASE_TEMPLATE("bce_with_logits: float agrees with double, and both with finite differences", D,
                   test::TestDevice) {
  for (const Shape& shape : {Shape{4, 24}, {7, 5}, {1, 1}, {2, 16, 9, 11}, {3, 3, 40, 41}, {9}})
    for (const bool weighted : {false, true}) {
      const auto f = [&](const auto& v) {
        BceOptions<element<decltype(v)>, device<decltype(v)>> o;
        if (weighted) o.positive_weights = like(v, numbers({shape.at(-1)}, 2, 0.5, 3));
        return bce_with_logits(v[0], like(v, numbers(shape, 3, 0, 1)), o);
      };
      test::check_layouts<D>(f, {numbers(shape, 1, -6, 6)});
      if (shape.numel() < 100) gradcheck<D>(f, {numbers(shape, 1, -6, 6)});
    }
}

TEST_CASE_TEMPLATE("bce_with_logits is exact for extreme logits and refuses other targets", D,
                   test::TestDevice) {
  const auto loss = [](float x, float t) {
    return bce_with_logits(Variable<float, D>(Tensor<float, D>({1}, {x})), Tensor<float, D>({1}, {t})).item();
  };
  CHECK(loss(1000, 1) == 0);
  CHECK(loss(1000, 0) == 1000);
  CHECK(loss(-1000, 1) == 1000);
  CHECK(loss(0, 0.5) == doctest::Approx(std::log(2.0)));
  CHECK(loss(30, 1) == doctest::Approx(std::exp(-30.0)).epsilon(1e-5));
  CHECK(std::isnan(loss(NAN, 1)));
  const Variable<float, D> x(zeros<float, D>({2, 3}));
  const auto message = test::message_of<ValueError>([&] {
    bce_with_logits(x, Tensor<float, D>({2, 3}, {0, 1, 0, 1, 1.5, 0}));
  });
  CHECK(test::contains(message, "1.5"));
  CHECK(test::contains(message, "index 4"));
  CHECK_THROWS_AS(bce_with_logits(x, full<float, D>({2, 3}, NAN)), ValueError);
  CHECK_THROWS_AS(bce_with_logits(x, zeros<float, D>({3, 2})), ShapeError);
  CHECK_THROWS_AS(bce_with_logits(x, zeros<float, D>({2, 3}), {.positive_weights = ones<float, D>({2})}),
                  ShapeError);
}

TEST_CASE_TEMPLATE("mse_loss", D, test::TestDevice) {
  for (const Shape& shape : {Shape{3, 5}, {2, 16, 9, 11}, {1}, {5000}}) {
    const auto f = [&](const auto& v) { return mse_loss(v[0], like(v, numbers(shape, 3))); };
    test::check_layouts<D>(f, {numbers(shape, 1)});
    if (shape.numel() < 60) gradcheck<D>(f, {numbers(shape, 1)});
  }
  const Variable<float, D> x(Tensor<float, D>({2}, {1, 3}));
  CHECK(mse_loss(x, Tensor<float, D>({2}, {0, 0})).item() == 5);
  CHECK_THROWS_AS(mse_loss(x, ones<float, D>({3})), ShapeError);
}

TEST_CASE_TEMPLATE("losses have the same bits at any number of threads", D, test::TestDevice) {
  const Variable<float, D> x(to_device<D>(cast<float>(numbers({3, 16, 60, 61}, 1, -6, 6))));
  const Tensor<float, D> t = to_device<D>(cast<float>(numbers({3, 16, 60, 61}, 2, 0, 1)));
  const int threads = num_threads();
  const float all = bce_with_logits(x, t).item();
  set_num_threads(1);
  CHECK(bce_with_logits(x, t).item() == all);
  set_num_threads(threads);
}
