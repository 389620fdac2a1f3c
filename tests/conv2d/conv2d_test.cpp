#include "kfer/ops/conv2d/conv2d_cpu.hpp"

#include <doctest/doctest.h>

#include "kfer/autograd/gradcheck.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "kfer/tensor/compare.hpp"

using namespace kfer;

namespace {

struct Case {
  Shape x, w;
  Conv2dOptions options;
};

const std::vector<Case> cases{
    {{2, 3, 9, 11}, {16, 3, 5, 5}, {.padding = 2}},
    {{2, 3, 13, 7}, {5, 3, 3, 3}, {.stride = 2, .padding = 1}},
    {{1, 16, 8, 8}, {32, 16, 3, 3}, {.padding = 1}},
    {{3, 32, 5, 7}, {16, 32, 1, 1}, {}},
    {{3, 32, 5, 7}, {16, 32, 1, 1}, {.stride = 2}},
    {{1, 17, 7, 5}, {19, 17, 3, 3}, {.padding = {1, 0}}},
    {{2, 16, 12, 12}, {16, 16, 3, 3}, {.padding = 2, .dilation = 2}},
    {{2, 32, 6, 6}, {32, 16, 3, 3}, {.padding = 1, .groups = 2}},
    {{2, 16, 6, 6}, {16, 1, 3, 3}, {.padding = 1, .groups = 16}},
    {{2, 6, 6, 6}, {9, 2, 3, 3}, {.padding = 1, .groups = 3}},
    {{2, 16, 1, 1}, {32, 16, 3, 3}, {.padding = 1}},
    {{1, 1, 1, 1}, {1, 1, 1, 1}, {}},
    {{2, 32, 8, 8}, {3, 32, 3, 3}, {.padding = 1}},
    {{2, 16, 5, 3}, {1, 16, 5, 3}, {.padding = {2, 0}}},
    {{1, 32, 13, 17}, {4, 32, 3, 3}, {.padding = 2}},
    {{1, 16, 1, 2}, {2, 16, 3, 3}, {.padding = 1}},
    {{5, 512, 2, 2}, {512, 512, 3, 3}, {.padding = 1}},
    {{1, 3, 32, 32}, {64, 3, 7, 7}, {.stride = 2, .padding = 3}},
    {{0, 16, 8, 8}, {16, 16, 3, 3}, {.padding = 1}},
    {{2, 32, 19, 23}, {48, 32, 5, 5}, {.padding = 2}},
};

void compare_with_reference(const Case& c, bool with_bias, bool relu, bool dropout, const Layout& layout) {
  Conv2dOptions options = c.options;
  options.relu = relu;
  if (dropout) options.dropout = DropoutMask{.p = 0.5f, .random = {.seed = 3, .stream = 9}};
  const auto x = uniform<float>(c.x, {.seed = 1, .stream = 1}, -1, 1);
  const auto w = uniform<float>(c.w, {.seed = 1, .stream = 2}, -1, 1);
  const auto b = uniform<float>({c.w[0]}, {.seed = 1, .stream = 3}, -1, 1);

  const auto run = [&]<class T>(T, const Layout& order) {
    Variable<T, Cpu> vx(cast<T>(x).to(order), true), vw(cast<T>(w), true), vb(cast<T>(b), true);
    const auto y = with_bias ? conv2d(vx, vw, vb, options) : conv2d(vx, vw, options);
    const auto g = uniform<float>(y.shape(), {.seed = 1, .stream = 4}, -1, 1);
    backward(y, cast<T>(g));
    return std::vector<Tensor<T, Cpu>>{y.value(), vx.grad(), vw.grad(), with_bias ? vb.grad() : cast<T>(b)};
  };
  const auto got = run(float{}, layout);
  const auto expected = run(double{}, Layout::row_major(4));
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("tensor ", i, " (y, dx, dw, db)");
    CHECK(got[i].shape() == expected[i].shape());
    CHECK(relative_rms(got[i], expected[i]) < 1e-5);
  }
}

}  // namespace

TEST_CASE("float convolution equals the reference: values and gradients, every memory order") {
  for (const auto& c : cases) {
    CAPTURE(to_string(c.x));
    CAPTURE(to_string(c.w));
    compare_with_reference(c, true, false, false, Layout::row_major(4));
    compare_with_reference(c, false, true, false, Layout::channels_last());
    if (c.x[1] % simd_width == 0)
      compare_with_reference(c, true, true, true, Layout::channel_blocked(simd_width));
    else
      compare_with_reference(c, true, true, true, Layout::row_major(4));
  }
}

TEST_CASE("gradients of the reference agree with finite differences") {
  for (const auto& c : cases) {
    if (c.x.numel() > 300 || c.x.numel() == 0) continue;
    gradcheck<Cpu>([&](const auto& v) { return conv2d(v[0], v[1], v[2], c.options); },
                   {uniform<double>(c.x, {.seed = 2, .stream = 1}, -1, 1),
                    uniform<double>(c.w, {.seed = 2, .stream = 2}),
                    uniform<double>({c.w[0]}, {.seed = 2, .stream = 3})});
  }
}

TEST_CASE("shapes that do not fit are named") {
  const auto message = [](const Shape& x, const Shape& w, const Conv2dOptions& o) -> std::string {
    try {
      conv2d(Variable<float>(zeros(x)), Variable<float>(zeros(w)), o);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const auto names_both = [&](const Shape& x, const Shape& w, const Conv2dOptions& o = {}) {
    const auto m = message(x, w, o);
    return m.find(to_string(x)) != std::string::npos && m.find(to_string(w)) != std::string::npos;
  };
  CHECK(names_both({1, 3, 8, 8}, {4, 5, 3, 3}));
  CHECK(names_both({1, 3, 2, 2}, {4, 3, 5, 5}));
  CHECK(names_both({1, 4, 8, 8}, {4, 2, 3, 3}, {.groups = 3}));
  CHECK(message({3, 8, 8}, {4, 5, 3, 3}, {}).find("[3, 8, 8]") != std::string::npos);
  CHECK(message({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = 0}).find("stride") != std::string::npos);
}

TEST_CASE("the same input gives the same bits") {
  const auto run = [] {
    Variable<float> x(uniform({4, 32, 9, 9}, {1, 1})), w(uniform({32, 32, 3, 3}, {1, 2}), true);
    const auto y = conv2d(x, w, {.padding = 1});
    backward(y, uniform(y.shape(), {1, 3}));
    return w.grad().to_vector();
  };
  CHECK(run() == run());
}
