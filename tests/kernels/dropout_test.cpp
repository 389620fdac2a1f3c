// Bias, activation and dropout in one pass: every variant against Philox and the functions written out here.
#include "kernels/dropout/1_naive.cuh"
#include "kernels/dropout/2_regenerated.cuh"
#include "kernels/dropout/3_vectorised.cuh"
#include "kernels/dropout/shipped.cuh"

#include "buffer.hpp"
#include "kfer/core/random.hpp"

namespace {

namespace k = kfer::kernels;
using k::Activation;
using kfer::DropoutMask;
using kfer::test::Buffer;
using kfer::test::difference;
using kfer::test::numbers;
using kfer::test::tolerance;

double activate(Activation a, double x) {
  switch (a) {
    case Activation::none:
      return x;
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu:
      return x * 0.5 * (1 + std::erf(x / std::sqrt(2.0)));
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
    case Activation::tanh:
      return std::tanh(x);
  }
  return NAN;
}
/// By a central difference, exact where the function is piecewise linear.
double slope(Activation a, double x) {
  if (a == Activation::relu) return x > 0;
  const double h = 1e-5;
  return (activate(a, x + h) - activate(a, x - h)) / (2 * h);
}

k::Dropout kernel_mask(const DropoutMask& mask, const unsigned long long* shift = nullptr) {
  return {mask.random.seed, mask.random.stream, shift, mask.threshold(), mask.scale()};
}

constexpr Activation all_activations[] = {Activation::none, Activation::relu,    Activation::gelu,
                                          Activation::silu, Activation::sigmoid, Activation::tanh};

}  // namespace

TEST_CASE_TEMPLATE("bias, activation and dropout with their gradient, every variant", T, float, k::bf16,
                   double) {
  const DropoutMask mask{0.375f, {.seed = 0x123456789ABCDEF, .stream = 77}};
  const k::Dropout drawn = kernel_mask(mask);
  const double scale = static_cast<double>(mask.scale());  // a float, as for every type
  CHECK(scale == doctest::Approx(1 / 0.625));
  struct Case {
    long long n, channels;
    int skew;
  };
  for (const auto [n, channels, skew] : {Case{1, 1, 0},
                                         {7, 7, 0},
                                         {24, 3, 0},
                                         {9 * 13, 13, 0},
                                         {64 * 16, 16, 0},
                                         {1001 * 3, 3, 1},
                                         {5 * 24, 24, 1},
                                         {40 * 513, 513, 0},
                                         {0, 8, 0}})
    for (const Activation activation : all_activations)
      for (const bool biased : {false, true}) {
        if (n > 2000 && activation != Activation::relu && activation != Activation::gelu) continue;
        INFO(n, " elements, ", channels, " channels, activation ", static_cast<int>(activation), ", bias ",
             biased);
        const auto x = numbers(n, 1, -3, 3), b = numbers(channels, 2), dy = numbers(n, 3);
        std::vector<double> y, dx, plain;
        for (long long i = 0; i < n; ++i) {
          const auto at = static_cast<std::size_t>(i);
          const double v = x[at] + (biased ? b[static_cast<std::size_t>(i % channels)] : 0);
          const bool keep = mask.keeps(static_cast<std::uint64_t>(i));
          plain.push_back(activate(activation, v));
          y.push_back(keep ? plain.back() * scale : 0);
          dx.push_back(keep ? dy[at] * slope(activation, v) * scale : 0);
        }
        const Buffer<T> in(x, skew), bias(b, skew), grad(dy, skew);
        const T* const p = biased ? bias.data() : nullptr;
        const auto check = [&](const char* name, const auto& forward, const auto& backward) {
          INFO(name);
          Buffer<T> out(n, skew), back(n, skew);
          forward(out.data());
          CHECK(difference(out.values(), y) < tolerance<T>());
          backward(back.data());
          CHECK(difference(back.values(), dx) < tolerance<T>() + 1e-8);
        };
        const Buffer<unsigned char> keep(n);
        auto* const stored = const_cast<unsigned char*>(keep.data());
        check(
            "naive",
            [&](T* out) {
              k::dropout_mask_naive(stored, n, drawn, {});
              k::dropout_naive(in.data(), p, stored, out, n, channels, activation, drawn.scale, {});
            },
            [&](T* out) {
              k::dropout_backward_naive(in.data(), p, stored, grad.data(), out, n, channels, activation,
                                        drawn.scale, {});
            });
        check(
            "regenerated",
            [&](T* out) { k::dropout_regenerated(in.data(), p, out, n, channels, activation, drawn, {}); },
            [&](T* out) {
              k::dropout_backward_regenerated(in.data(), p, grad.data(), out, n, channels, activation, drawn,
                                              {});
            });
        check(
            "shipped",
            [&](T* out) {
              k::bias_activation_dropout(in.data(), p, out, n, channels, activation, &drawn, {});
            },
            [&](T* out) {
              k::bias_activation_dropout_backward(in.data(), p, grad.data(), out, n, channels, activation,
                                                  &drawn, {});
            });
        Buffer<T> alone(x, skew);  // in place, without dropout
        k::bias_activation_dropout<T>(alone.data(), p, alone.data(), n, channels, activation, nullptr, {});
        CHECK(difference(alone.values(), plain) < tolerance<T>());
      }
}

TEST_CASE_TEMPLATE("the gradient of relu and dropout from the result's zeros", T, float, k::bf16, double) {
  const DropoutMask mask{0.5f, {.seed = 5, .stream = 6}};
  const k::Dropout drawn = kernel_mask(mask);
  for (const long long n : {1, 8, 1000, 4099})
    for (const int skew : {0, 1}) {
      const Buffer<T> x(numbers(n, 1), skew), dy(numbers(n, 2), skew);
      Buffer<T> y(n, skew), from_result(n, skew), from_input(n, skew);
      k::bias_activation_dropout<T>(x.data(), nullptr, y.data(), n, 1, Activation::relu, &drawn, {});
      k::relu_dropout_backward(y.data(), dy.data(), from_result.data(), n, k::accum_t<T>(2), {});
      k::bias_activation_dropout_backward<T>(x.data(), nullptr, dy.data(), from_input.data(), n, 1,
                                             Activation::relu, &drawn, {});
      CHECK(from_result.values() == from_input.values());
    }
}

TEST_CASE("the gradient of dropout alone needs neither input nor bias, and may overwrite its own") {
  const DropoutMask mask{0.25f, {.seed = 5, .stream = 6}};
  const k::Dropout drawn = kernel_mask(mask);
  const auto dy = numbers(1003, 1);
  Buffer<float> d(dy);
  k::bias_activation_dropout_backward<float>(nullptr, nullptr, d.data(), d.data(), 1003, 17, Activation::none,
                                             &drawn, {});
  std::vector<double> expected;
  for (std::size_t i = 0; i < dy.size(); ++i) expected.push_back(mask.keeps(i) ? dy[i] / 0.75 : 0);
  CHECK(difference(d.values(), expected) < tolerance<float>());
}

TEST_CASE("a shift in device memory moves the mask to another stream") {
  const unsigned long long shift = 41;
  const DropoutMask mask{0.5f, {.seed = 1, .stream = 2}}, moved{0.5f, {.seed = 1, .stream = 43}};
  const k::Dropout shifted = kernel_mask(mask, &shift), plain = kernel_mask(moved),
                   unmoved = kernel_mask(mask);
  const Buffer<float> x(std::vector<double>(4096, 1.0));
  const auto run = [&](const k::Dropout& m) {
    Buffer<float> y(4096);
    k::bias_activation_dropout<float>(x.data(), nullptr, y.data(), 4096, 1, Activation::none, &m, {});
    return y.values();
  };
  CHECK(run(shifted) == run(plain));
  CHECK(run(shifted) != run(unmoved));
}

TEST_CASE("a NaN passes through activation and dropout where it is kept") {
  const k::Dropout all{1, 2, nullptr, 0, 1.0f};
  const Buffer<float> x(std::vector<double>(9, std::nan("")));
  for (const Activation activation : all_activations) {
    Buffer<float> y(9);
    k::bias_activation_dropout<float>(x.data(), nullptr, y.data(), 9, 1, activation, &all, {});
    for (const double v : y.values()) CHECK(std::isnan(v));
  }
}
