// Layers against the operations that they stand for, and initial values against their distributions.
#include <doctest/doctest.h>

#include <cmath>

#include "kfer/autograd/backward.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/tensor/compare.hpp"

using namespace kfer;

namespace {

template <class T = float>
Variable<T> input(const Shape& shape, std::uint64_t stream = 0) {
  return Variable<T>(uniform<T>(shape, {.seed = 21, .stream = stream}, -1, 1));
}

struct Moments {
  double mean = 0, deviation = 0, least = HUGE_VAL, largest = -HUGE_VAL;
};
Moments moments(const Tensor<double>& x) {
  Moments m;
  const auto values = x.to_vector();
  for (const double v : values) {
    m.mean += v / static_cast<double>(values.size());
    m.least = std::min(m.least, v);
    m.largest = std::max(m.largest, v);
  }
  for (const double v : values)
    m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(values.size());
  m.deviation = std::sqrt(m.deviation);
  return m;
}

}  // namespace

TEST_CASE_TEMPLATE("Linear", T, float, double) {
  RandomStream random{.seed = 1};
  Linear<T> layer(5, 3, random);
  Linear<T> rectified(5, 3, random, {.bias = false, .relu = true});
  CHECK(random.stream == 2);  // one stream a parameter that is drawn
  CHECK(layer.bias->value().to_vector() == std::vector<T>(3, T(0)));
  layer.bias->mutable_value() = uniform<T>({3}, random);
  const auto x = input<T>({4, 5});
  const auto w = layer.weight.value().to_vector(), b = layer.bias->value().to_vector(),
             v = x.value().to_vector();
  Tensor<T> expected({4, 3});
  for (std::size_t n = 0; n < 4; ++n)
    for (std::size_t o = 0; o < 3; ++o) {
      T sum = b[o];
      for (std::size_t i = 0; i < 5; ++i) sum += v[n * 5 + i] * w[o * 5 + i];
      expected.mutable_data()[n * 3 + o] = sum;
    }
  CHECK(largest_difference(layer(x).value(), expected) < 1e-6);
  CHECK(!rectified.bias);
  CHECK(largest_difference(rectified(x).value(), relu(linear(x, rectified.weight)).value()) < 1e-6);
  CHECK_THROWS_AS(layer(input<T>({4, 6})), ShapeError);
}

TEST_CASE("Conv2d and ConvTranspose2d hand their options on") {
  RandomStream random{.seed = 2};
  const auto x = input({2, 4, 7, 6});
  Conv2d<> conv(4, 6, {3, 2}, random, {.stride = 2, .padding = 1, .groups = 2});
  CHECK(conv.weight.shape() == Shape{6, 2, 3, 2});
  CHECK(largest_difference(
            conv(x).value(),
            conv2d(x, conv.weight, *conv.bias, {.stride = 2, .padding = 1, .groups = 2}).value()) == 0);
  CHECK_THROWS_AS((Conv2d<>(4, 6, 3, random, {.groups = 3})), ValueError);
  CHECK_THROWS_AS((Conv2d<>(4, 6, 3, random, {.groups = 0})), ValueError);
  ConvTranspose2d<> up(4, 5, 3, random, {.stride = 2, .padding = 1, .output_padding = 1});
  CHECK(up.weight.shape() == Shape{4, 5, 3, 3});
  CHECK(up(x).shape() == Shape{2, 5, 14, 12});
}

TEST_CASE("a Dropout's mask may be fused into the layer before it") {
  RandomStream random{.seed = 3};
  const auto x = input({2, 4, 5, 5});
  Conv2d<> conv(4, 8, 3, random, {.relu = true});
  Linear<> dense(6, 10, random, {.relu = true});
  Dropout a(0.4, random);
  Dropout b = a;
  for (int pass = 0; pass < 3; ++pass) {
    CHECK(largest_difference(conv(x, a.mask()).value(), b(conv(x)).value()) < 1e-6);
    const auto row = input({3, 6});
    CHECK(largest_difference(dense(row, a.mask()).value(), b(dense(row)).value()) < 1e-6);
  }
  CHECK(a.random == b.random);
}

TEST_CASE("Dropout draws anew at every pass, repeats after its state, and rests in inference") {
  RandomStream random{.seed = 4};
  Dropout dropout(0.3, random), other(0.3, random);
  const auto x = Variable<>(ones({100, 100}));
  const auto state = dropout.random;
  const auto first = dropout(x).value().to_vector(), second = dropout(x).value().to_vector();
  CHECK(first != second);
  CHECK(other(x).value().to_vector() != first);
  dropout.random = state;
  CHECK(dropout(x).value().to_vector() == first);
  const auto dropped = static_cast<double>(std::count(first.begin(), first.end(), 0.0f));
  CHECK(std::abs(dropped / 1e4 - 0.3) < 0.025);  // five standard deviations
  for (const float v : first) REQUIRE((v == 0 || std::abs(v - 1 / 0.7f) < 1e-6f));
  set_training(dropout, false);
  const auto before = dropout.random;
  CHECK(!dropout.mask());
  CHECK(dropout(x).value().to_vector() == x.value().to_vector());
  CHECK(dropout.random == before);
  CHECK(!Dropout(0, random).mask());
  CHECK_THROWS_AS(Dropout(1, random), ValueError);
  CHECK_THROWS_AS(Dropout(-0.1, random), ValueError);
  CHECK_THROWS_AS(Dropout(NAN, random), ValueError);
}

TEST_CASE("BatchNorm2d normalises by the batch in training and by its running statistics otherwise") {
  BatchNorm2d<> bn(3, {.momentum = 0.25, .eps = 1e-3});
  const auto x = input({4, 3, 5, 2});
  const auto v = x.value().to_vector();
  std::vector<double> mean(3), variance(3);
  for (std::size_t i = 0; i < v.size(); ++i) mean[i / 10 % 3] += v[i] / 40.0;
  for (std::size_t i = 0; i < v.size(); ++i)
    variance[i / 10 % 3] += (v[i] - mean[i / 10 % 3]) * (v[i] - mean[i / 10 % 3]) / 40;
  const auto expect = [&](const std::vector<double>& m, const std::vector<double>& s) {
    Tensor<double> y(x.shape());
    for (std::size_t i = 0; i < v.size(); ++i)
      y.mutable_data()[i] = (v[i] - m[i / 10 % 3]) / std::sqrt(s[i / 10 % 3] + 1e-3);
    return y;
  };
  CHECK(largest_difference(bn(x).value(), expect(mean, variance)) < 1e-5);
  std::vector<double> running_mean(3), running_var(3);
  for (std::size_t c = 0; c < 3; ++c) {
    running_mean[c] = 0.25 * mean[c];
    running_var[c] = 0.75 + 0.25 * variance[c] * 40 / 39;
    CHECK(bn.running_mean.to_vector()[c] == doctest::Approx(running_mean[c]).epsilon(1e-5));
    CHECK(bn.running_var.to_vector()[c] == doctest::Approx(running_var[c]).epsilon(1e-5));
  }
  bn.training = false;
  CHECK(largest_difference(bn(x).value(), expect(running_mean, running_var)) < 1e-5);
  bn.training = bn.frozen = true;
  CHECK(largest_difference(bn(x).value(), expect(running_mean, running_var)) < 1e-5);
  const auto residual = input(x.shape(), 7);
  bn.relu = true;
  const auto sum = relu(Variable<>(cast<float>(expect(running_mean, running_var))) + residual);
  CHECK(largest_difference(bn(x, residual).value(), sum.value()) < 1e-5);
}

TEST_CASE("stateless layers and Sequential") {
  RandomStream random{.seed = 5};
  const auto x = input({2, 3, 8, 8});
  Sequential net(Conv2d<>(3, 4, 3, random, {.padding = 1}), ReLU{}, MaxPool2d{{.kernel = 2}},
                 UpsampleNearest{2}, AvgPool2d{{.kernel = 4}}, Flatten{}, Linear<>(16, 2, random), Sigmoid{});
  auto& conv = std::get<0>(net.layers);
  auto& fc = std::get<6>(net.layers);
  auto y = max_pool2d(relu(conv(x)), {.kernel = 2});
  y = avg_pool2d(upsample_nearest(y, 2), {.kernel = 4});
  y = sigmoid(fc(flatten(y)));
  CHECK(net(x).shape() == Shape{2, 2});
  CHECK(largest_difference(net(x).value(), y.value()) == 0);
  CHECK(GlobalAvgPool{}(x).shape() == Shape{2, 3});
  CHECK(count_parameters(net).total == 4 * 27 + 4 + 34);
  backward(mean(net(x)));
  for (const auto& p : parameters(net)) CHECK(p.has_grad());
}

TEST_CASE("initial values have their published spread, in and out") {
  const RandomStream random{.seed = 6};
  const Shape shape{64, 48, 3, 5};  // fan_in 720, fan_out 960, 46080 elements
  const double n = 46080;
  struct Case {
    const char* name;
    Initializer init;
    double deviation;
    bool uniform;
  };
  for (const auto& c : {Case{"glorot_uniform", init::glorot_uniform, std::sqrt(2 / 1680.), true},
                        Case{"glorot_normal", init::glorot_normal, std::sqrt(2 / 1680.), false},
                        Case{"he_uniform", init::he_uniform, std::sqrt(2 / 720.), true},
                        Case{"he_normal", init::he_normal, std::sqrt(2 / 720.), false},
                        Case{"he_normal_fan_out", init::he_normal_fan_out, std::sqrt(2 / 960.), false},
                        Case{"lecun_uniform", init::lecun_uniform, std::sqrt(1 / 720.), true},
                        Case{"lecun_normal", init::lecun_normal, std::sqrt(1 / 720.), false}}) {
    CAPTURE(c.name);
    const auto m = moments(c.init(shape, random));
    CHECK(std::abs(m.mean) < 5 * c.deviation / std::sqrt(n));
    CHECK(std::abs(m.deviation / c.deviation - 1) < 5 / std::sqrt(n));
    const double bound = c.deviation * std::sqrt(3.0);
    if (c.uniform) {
      CHECK(m.least >= -bound);
      CHECK(m.largest < bound);
      CHECK(m.largest > 0.999 * bound);
    } else {
      CHECK(m.largest > 3.5 * c.deviation);
    }
    CHECK_THROWS_AS(c.init({7}, random), ShapeError);
  }
  CHECK(moments(init::constant(0.5)(shape, random)).least == 0.5);
  CHECK(moments(init::zeros({3}, random)).largest == 0);
  CHECK(moments(init::ones({3}, random)).least == 1);
}

TEST_CASE("number i of the stream makes element i, at any thread count") {
  const RandomStream random{.seed = 7, .stream = 3};
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const auto u = init::glorot_uniform({41, 101}, random).to_vector(),
               g = init::normal({41, 101}, random, 2).to_vector();
    const double bound = std::sqrt(6 / 142.0);
    for (std::size_t i = 0; i < u.size(); ++i) {
      REQUIRE(u[i] == doctest::Approx(bound * (2.0 * random.uniform(i) - 1)).epsilon(1e-12));
      REQUIRE(g[i] == 2.0 * random.normal(i));
    }
  }
  set_num_threads(before);
}

TEST_CASE("orthogonal weights are orthonormal along the shorter side") {
  for (const Shape& shape : {Shape{5, 12}, Shape{12, 5}, Shape{6, 6}, Shape{1, 4}, Shape{8, 2, 3, 3}}) {
    const auto w = init::orthogonal(shape, {.seed = 8}).to_vector();
    const auto rows = static_cast<std::size_t>(shape[0]), columns = w.size() / rows;
    const bool wide = rows <= columns;
    const std::size_t count = std::min(rows, columns), length = std::max(rows, columns);
    for (std::size_t a = 0; a < count; ++a)
      for (std::size_t b = 0; b <= a; ++b) {
        double dot = 0;
        for (std::size_t i = 0; i < length; ++i)
          dot += wide ? w[a * columns + i] * w[b * columns + i] : w[i * columns + a] * w[i * columns + b];
        CHECK(std::abs(dot - (a == b)) < 1e-12);
      }
  }
  CHECK_THROWS_AS(init::orthogonal({3}, {}), ShapeError);
  RandomStream random;
  CHECK_THROWS_AS((Linear<>(3, 2, random,
                            {.init = [](const Shape&, const RandomStream&) { return Tensor<double>({1}); }})),
                  ShapeError);
}
