// conv2d on the device under test, against the loops in double that define it.
#include <doctest/doctest.h>

#include "support/op_check.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#endif

using namespace kfer;
using test::TestDevice;

namespace {

struct Case {
  Shape x, w;
  Conv2dOptions options;
};

const std::vector<Case> all_cases{
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

/// All of them on a processor or a GPU; of those on the host executor the ones that it does in an instant.
std::vector<Case> cases() {
  std::vector<Case> chosen;
  for (const auto& c : all_cases)
    if (TestDevice::name != "simt" || Conv2dShape::of(c.x, c.w, c.options).flops() < 2e7) chosen.push_back(c);
  return chosen;
}

/// What is added to the sums.
struct Added {
  bool bias = false, residual = false;
};

/// Result and gradients on device D and in type T, in NCHW.
template <class T, class D>
std::vector<Tensor<double, Cpu>> run(const Case& c, const Conv2dOptions& options, Added added,
                                     const Layout& layout) {
  const auto input = [](const Shape& shape, std::uint64_t stream) {
    return to_device<D>(cast<T>(cast<bfloat16>(uniform<float>(shape, {.seed = 1, .stream = stream}, -1, 1))));
  };
  Variable<T, D> x(input(c.x, 1).to(layout), true), w(input(c.w, 2), true), b(input({c.w[0]}, 3), true);
  Variable<T, D> r(input(Conv2dShape::of(c.x, c.w, options).output(), 5), true);
  const auto y = conv2d(x, w, added.bias ? &b : nullptr, options, added.residual ? &r : nullptr);
  backward(y, input(y.shape(), 4));
  {  // not recorded: what an implementation keeps of the weights changes nothing
    NoGrad no_grad;
    const auto again = [&] {
      return conv2d(x, w, added.bias ? &b : nullptr, options, added.residual ? &r : nullptr).value();
    };
    const auto first = again();
    CHECK(relative_rms(to_device<Cpu>(first), to_device<Cpu>(y.value())) <
          (std::same_as<T, bfloat16> ? 1e-2 : 1e-6));
    CHECK(again().to_vector() == first.to_vector());
  }
  const auto host = [](const Tensor<T, D>& t) { return cast<double>(to_device<Cpu>(t)); };
  return {host(y.value()), host(x.grad()), host(w.grad()), host(added.bias ? b.grad() : b.value()),
          host(added.residual ? r.grad() : r.value())};
}

template <class T>
void compare(const Case& c, Added added, bool relu, bool dropout, const Layout& layout, double tolerance) {
  Conv2dOptions options = c.options;
  options.relu = relu;
  if (dropout) options.dropout = DropoutMask{.p = 0.5f, .random = {.seed = 3, .stream = 9}};
  const auto got = run<T, TestDevice>(c, options, added, layout);
  const auto expected = run<double, test::Exact>(c, options, added, Layout::row_major(4));
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("tensor ", i, " (y, dx, dw, db, dr) in ", dtype_name<T>());
    REQUIRE(got[i].shape() == expected[i].shape());
    CHECK(relative_rms(got[i], expected[i]) < tolerance);
  }
}

}  // namespace

TEST_CASE("float convolution equals the reference: values and gradients, every memory order") {
  for (const auto& c : cases()) {
    CAPTURE(to_string(c.x));
    CAPTURE(to_string(c.w));
    compare<float>(c, {.bias = true}, false, false, Layout::row_major(4), 1e-5);
    compare<float>(c, {}, true, false, Layout::channels_last(), 1e-5);
    compare<float>(c, {.residual = true}, false, false, Layout::channels_last(), 1e-5);
    const bool blocks = c.x[1] % simd_width == 0;
    compare<float>(c, {.bias = true, .residual = true}, true, false, Layout::row_major(4), 1e-5);
    compare<float>(c, {.bias = true}, true, true,
                   blocks ? Layout::channel_blocked(simd_width) : Layout::row_major(4), 1e-5);
  }
}

TEST_CASE("a GPU's convolution of bfloat16 and double equals the reference") {
  if constexpr (!std::same_as<TestDevice, Cpu>)
    for (const auto& c : cases()) {
      CAPTURE(to_string(c.x));
      CAPTURE(to_string(c.w));
      compare<bfloat16>(c, {.bias = true}, true, true, Layout::channels_last(), 5e-3);
      compare<double>(c, {.bias = true, .residual = true}, true, true, Layout::row_major(4), 1e-13);
    }
}

TEST_CASE("gradients in double agree with finite differences") {
  for (const auto& c : cases()) {
    if (c.x.numel() > 300 || c.x.numel() == 0) continue;
    if (TestDevice::name == "simt" && c.w.numel() > 300) continue;
    gradcheck<TestDevice>([&](const auto& v) { return conv2d(v[0], v[1], v[2], c.options); },
                          {uniform<double>(c.x, {.seed = 2, .stream = 1}, -1, 1),
                           uniform<double>(c.w, {.seed = 2, .stream = 2}),
                           uniform<double>({c.w[0]}, {.seed = 2, .stream = 3})});
  }
}

TEST_CASE("the residual's gradient agrees with finite differences") {
  gradcheck<TestDevice>(
      [](const auto& v) { return conv2d(v[0], v[1], &v[2], {.stride = 2, .padding = 1}, &v[3]); },
      {uniform<double>({2, 3, 5, 4}, {.seed = 3, .stream = 1}),
       uniform<double>({2, 3, 3, 3}, {.seed = 3, .stream = 2}),
       uniform<double>({2}, {.seed = 3, .stream = 3}),
       uniform<double>({2, 2, 3, 2}, {.seed = 3, .stream = 4})});
}

TEST_CASE("shapes that do not fit are named") {
  const auto message = [](const Shape& x, const Shape& w, const Conv2dOptions& o) -> std::string {
    try {
      conv2d(Variable<float, TestDevice>(zeros<float, TestDevice>(x)),
             Variable<float, TestDevice>(zeros<float, TestDevice>(w)), o);
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
  const auto variable = [](const Shape& shape) {
    return Variable<float, TestDevice>(zeros<float, TestDevice>(shape));
  };
  const auto residual = test::message_of<ShapeError>([&] {
    const auto r = variable({1, 4, 8, 8});
    const auto b = variable({4});
    conv2d(variable({1, 3, 8, 8}), variable({4, 3, 3, 3}), &b, {}, &r);
  });
  CHECK(residual.find("[1, 4, 8, 8]") != std::string::npos);
  CHECK(residual.find("[1, 4, 6, 6]") != std::string::npos);
  CHECK(message({1, 3, 8, 8}, {4, 3, 3, 3}, {.stride = 0}).find("stride") != std::string::npos);
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK(message({1, 3, 8, 8}, {4, 3, 3, 3}, {.padding = {most / 2 + 1, 0}}).find("padding") !=
        std::string::npos);
  CHECK(message({1, 3, 8, 8}, {4, 3, 3, 3}, {.padding = {0, most / 2}}).find("padding") != std::string::npos);
  CHECK(names_both({1, 3, 8, 8}, {4, 3, 3, 3}, {.dilation = {1, most / 2 + 1}}));
}

TEST_CASE("the same input gives the same bits") {
  const auto run = [] {
    const auto draw = [](const Shape& shape, std::uint64_t stream) {
      return uniform<float, TestDevice>(shape, {1, stream});
    };
    Variable<float, TestDevice> x(draw({4, 32, 9, 9}, 1)), w(draw({32, 32, 3, 3}, 2), true);
    const auto y = conv2d(x, w, {.padding = 1});
    backward(y, draw(y.shape(), 3));
    return w.grad().to_vector();
  };
  CHECK(run() == run());
}
