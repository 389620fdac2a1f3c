// Elementwise operations, reductions, products, losses and shape operations against values from PyTorch.
#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/ops/linear/linear_cpu.hpp"
#include "kfer/ops/loss/loss_cpu.hpp"
#include "kfer/ops/matmul/matmul_cpu.hpp"
#include "kfer/ops/reduce/reduce_cpu.hpp"
#include "kfer/ops/shape/shape_cpu.hpp"
#include "kfer/ops/softmax/softmax_cpu.hpp"
#include "support/golden.hpp"

using namespace kfer;
using test::check_golden;
using test::for_each_golden;
using test::GoldenCase;

TEST_CASE_TEMPLATE("linear as in PyTorch", D, test::TestDevice) {
  for_each_golden("linear", [](const GoldenCase& c) {
    const LinearOptions o{.relu = c.flag("relu")};
    if (c.has("b"))
      check_golden<D>(c, {"x", "w", "b"}, [&](const auto& v) { return linear(v[0], v[1], v[2], o); });
    else
      check_golden<D>(c, {"x", "w"}, [&](const auto& v) { return linear(v[0], v[1], o); });
  });
}

TEST_CASE_TEMPLATE("matmul as in PyTorch", D, test::TestDevice) {
  for_each_golden("matmul", [](const GoldenCase& c) {
    check_golden<D>(c, {"a", "b"},
                    [o = MatmulOptions{c.flag("transpose_a"), c.flag("transpose_b")}](const auto& v) {
                      return matmul(v[0], v[1], o);
                    });
  });
}

TEST_CASE_TEMPLATE("activations as in PyTorch", D, test::TestDevice) {
  for_each_golden("activation", [](const GoldenCase& c) {
    const std::string op = c.string("op");
    const std::int64_t dim = op.ends_with("softmax") ? c.integer("dim") : 0;
    check_golden<D>(c, {"x"}, [&](const auto& v) {
      const auto& x = v[0];
      if (op == "relu") return relu(x);
      if (op == "sigmoid") return sigmoid(x);
      if (op == "tanh") return tanh(x);
      if (op == "exp") return exp(x);
      if (op == "log") return log(x);
      if (op == "sqrt") return sqrt(x);
      if (op == "gelu") return gelu(x);
      if (op == "softmax") return softmax(x, dim);
      REQUIRE(op == "log_softmax");
      return log_softmax(x, dim);
    });
  });
}

TEST_CASE_TEMPLATE("arithmetic with broadcasting as in PyTorch", D, test::TestDevice) {
  for_each_golden("binary", [](const GoldenCase& c) {
    const std::string op = c.string("op");
    check_golden<D>(c, {"a", "b"}, [&](const auto& v) {
      if (op == "add") return v[0] + v[1];
      if (op == "sub") return v[0] - v[1];
      if (op == "mul") return v[0] * v[1];
      REQUIRE(op == "div");
      return v[0] / v[1];
    });
  });
}

TEST_CASE_TEMPLATE("reductions as in PyTorch", D, test::TestDevice) {
  for_each_golden("reduce", [](const GoldenCase& c) {
    const ReduceOptions o{c.integers("dims"), c.flag("keepdim")};
    const bool is_sum = c.string("op") == "sum";
    check_golden<D>(c, {"x"}, [&](const auto& v) { return is_sum ? sum(v[0], o) : mean(v[0], o); });
  });
}

TEST_CASE_TEMPLATE("shape operations as in PyTorch", D, test::TestDevice) {
  for_each_golden("shape", [](const GoldenCase& c) {
    const std::string op = c.string("op");
    if (op == "concat")
      return check_golden<D>(c, {"a", "b"}, [&](const auto& v) { return concat(v, c.integer("dim")); });
    check_golden<D>(c, {"x"}, [&](const auto& v) {
      if (op == "reshape") {
        Shape shape;
        for (const int e : c.integers("shape")) shape.push_back(e);
        return reshape(v[0], shape);
      }
      if (op == "permute") return permute(v[0], c.integers("dims"));
      REQUIRE(op == "slice");
      const std::int64_t start = c.integer("start");
      return slice(v[0], c.integer("dim"), start, c.integer("stop") - start);
    });
  });
}

TEST_CASE_TEMPLATE("losses as in PyTorch", D, test::TestDevice) {
  int checked = 0;
  for_each_golden("loss", [&](const GoldenCase& c) {
    const std::string op = c.string("op");
    if (op == "bce") return;  // of probabilities: kfer's is of logits alone
    ++checked;
    check_golden<D>(c, {"x"}, [&](const auto& v) {
      using T = typename std::decay_t<decltype(v[0])>::value_type;
      if (op == "bce_with_logits") return bce_with_logits(v[0], to_device<D>(c.tensor<T>("target")));
      if (op == "mse") return mse_loss(v[0], to_device<D>(c.tensor<T>("target")));
      REQUIRE(op == "softmax_cross_entropy");
      CrossEntropyOptions<T, D> o{.label_smoothing = c.number("label_smoothing")};
      if (c.string("reduction") == "batch_mean") o.reduction = Reduction::batch_mean;
      if (c.has("class_weight")) o.class_weights = to_device<D>(c.tensor<T>("class_weight"));
      if (c.shape("target").rank() == 2)
        return softmax_cross_entropy(v[0], to_device<D>(c.tensor<T>("target")), o);
      return softmax_cross_entropy(v[0], to_device<D>(c.tensor<std::int64_t, std::int64_t>("target")), o);
    });
  });
  CHECK(checked > 15);
}
