// Batch norm, pooling and upsampling against values from PyTorch and Keras.
#include "kfer/ops/batch_norm/batch_norm_cpu.hpp"
#include "kfer/ops/pool/pool_cpu.hpp"
#include "kfer/ops/shape/shape_cpu.hpp"
#include "kfer/ops/upsample/upsample_cpu.hpp"
#include "support/golden.hpp"

using namespace kfer;
using test::check_golden;
using test::for_each_golden;
using test::GoldenCase;

namespace {

/// Batch norm of v = {x, gamma, beta} or {x, gamma, beta, residual}; the running statistics are compared too.
template <class T, class D>
Variable<T, D> normalise(const GoldenCase& c, const std::vector<Variable<T, D>>& v, bool relu,
                         const std::string& variance_after) {
  auto mean = to_device<D>(c.tensor<T>("running_mean")), var = to_device<D>(c.tensor<T>("running_var"));
  const BatchNormOptions o{
      .training = c.flag("training"), .momentum = c.number("momentum"), .eps = c.number("eps"), .relu = relu};
  const auto y = batch_norm(v[0], v[1], v[2], mean, var, o, v.size() == 4 ? &v[3] : nullptr);
  if (o.training) {
    CHECK(largest_difference(mean, c.tensor<double>("running_mean_after")) < 1e-6);
    CHECK(largest_difference(var, c.tensor<double>(variance_after)) < 1e-6);
  }
  return y;
}

}  // namespace

TEST_CASE_TEMPLATE("batch_norm as in PyTorch", D, test::TestDevice) {
  for_each_golden("batch_norm", [](const GoldenCase& c) {
    std::vector<std::string> names{"x", "gamma", "beta"};
    if (c.flag("add")) names.push_back("residual");
    check_golden<D>(
        c, names, [&](const auto& v) { return normalise(c, v, c.flag("relu"), "running_var_after"); }, 1e-4);
  });
}

TEST_CASE_TEMPLATE("pooling as in PyTorch", D, test::TestDevice) {
  for_each_golden("pool", [](const GoldenCase& c) {
    const std::string op = c.string("op");
    check_golden<D>(c, {"x"}, [&](const auto& v) {
      if (op == "global_avg_pool") return global_avg_pool(v[0]);
      const std::int64_t kernel = c.integer("kernel"), stride = c.integer("stride"),
                         padding = c.integer("padding");
      if (op == "max_pool2d")
        return max_pool2d(v[0], {.kernel = kernel, .stride = stride, .padding = padding});
      REQUIRE(op == "avg_pool2d");
      return avg_pool2d(v[0], {.kernel = kernel,
                               .stride = stride,
                               .padding = padding,
                               .count_include_pad = c.flag("count_include_pad")});
    });
  });
}

TEST_CASE_TEMPLATE("upsample_nearest as in PyTorch", D, test::TestDevice) {
  for_each_golden("upsample", [](const GoldenCase& c) {
    check_golden<D>(c, {"x"}, [&](const auto& v) { return upsample_nearest(v[0], c.integer("scale")); });
  });
}

TEST_CASE_TEMPLATE("layers as in Keras", D, test::TestDevice) {
  int checked = 0;
  for_each_golden("keras", [&](const GoldenCase& c) {
    const std::string op = c.string("op");
    if (op == "BatchNormalization") {
      check_golden<D>(
          c, {"x", "gamma", "beta"},
          [&](const auto& v) { return normalise(c, v, false, "running_var_after_unbiased"); }, 1e-4);
    } else if (op == "MaxPooling2D") {
      check_golden<D>(c, {"x"}, [](const auto& v) { return max_pool2d(v[0]); });
    } else if (op == "UpSampling2D") {
      check_golden<D>(c, {"x"}, [](const auto& v) { return upsample_nearest(v[0], 2); });
    } else if (op == "GlobalAveragePooling2D") {
      check_golden<D>(c, {"x"}, [](const auto& v) { return global_avg_pool(v[0]); });
    } else {
      return;  // convolutions and dense layers have tests of their own; Flatten's order is Keras' NHWC
    }
    ++checked;
  });
  CHECK(checked == 6);
}
