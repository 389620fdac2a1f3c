// Convolutions against values of PyTorch and Keras; tests/data/README.md describes the files.
#include <doctest/doctest.h>

#include "support/golden.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cuda.hpp"
#endif

using namespace kfer;
using test::GoldenCase;
using test::TestDevice;

namespace {

/// "2" or "2,1".
Extent2d extent(const GoldenCase& c, const std::string& key) {
  const auto values = c.integers(key);
  REQUIRE(!values.empty());
  return {values.front(), values.back()};
}

std::vector<std::string> inputs(const GoldenCase& c) {
  return c.has("b") ? std::vector<std::string>{"x", "w", "b"} : std::vector<std::string>{"x", "w"};
}

const auto convolve = [](const auto& v, const Conv2dOptions& options) {
  return v.size() == 3 ? conv2d(v[0], v[1], v[2], options) : conv2d(v[0], v[1], options);
};
const auto convolve_transposed = [](const auto& v, const ConvTranspose2dOptions& options) {
  return conv_transpose2d(v[0], v[1], v.size() == 3 ? &v[2] : nullptr, options);
};

}  // namespace

TEST_CASE("conv2d equals PyTorch's: values and gradients, in every memory order") {
  test::for_each_golden("conv2d", [](const GoldenCase& c) {
    const Conv2dOptions options{.stride = extent(c, "stride"),
                                .padding = extent(c, "padding"),
                                .dilation = extent(c, "dilation"),
                                .groups = c.integer("groups"),
                                .relu = c.flag("relu")};
    test::check_golden<TestDevice>(c, inputs(c), [&](const auto& v) { return convolve(v, options); });
  });
}

TEST_CASE("conv_transpose2d equals PyTorch's: values and gradients, in every memory order") {
  test::for_each_golden("conv_transpose2d", [](const GoldenCase& c) {
    const ConvTranspose2dOptions options{.stride = extent(c, "stride"),
                                         .padding = extent(c, "padding"),
                                         .output_padding = extent(c, "output_padding"),
                                         .groups = c.integer("groups"),
                                         .relu = c.flag("relu")};
    test::check_golden<TestDevice>(c, inputs(c),
                                   [&](const auto& v) { return convolve_transposed(v, options); });
  });
}

TEST_CASE("Keras' Conv2D and Conv2DTranspose with 'same' padding are these operations") {
  int seen = 0;
  test::for_each_golden("keras", [&](const GoldenCase& c) {
    const std::string op = c.string("op");
    if (op != "Conv2D" && op != "Conv2DTranspose") return;
    ++seen;
    const std::int64_t padding = c.integer("kernel") / 2;
    if (op == "Conv2D")
      test::check_golden<TestDevice>(c, inputs(c),
                                     [&](const auto& v) { return convolve(v, {.padding = padding}); });
    else
      test::check_golden<TestDevice>(
          c, inputs(c), [&](const auto& v) { return convolve_transposed(v, {.padding = padding}); });
  });
  CHECK(seen > 1);
}
