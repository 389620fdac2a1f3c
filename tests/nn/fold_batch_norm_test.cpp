// Folding: the folded network is the same function, and the network it was made from stays as it was.
#include <doctest/doctest.h>

#include "kfer/nn/nn.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/tensor/compare.hpp"

using namespace kfer;

namespace {

/// Two residual blocks' worth of forms: biases and none, strides, groups, with and without ReLU and residual.
template <class T>
struct Net {
  using parameter_type = Variable<T, Cpu>;
  using Layer = ConvBatchNorm2d<T, Cpu>;
  RandomStream random{.seed = 4, .stream = 0};
  Layer stem{3, 16, 5, random, {.stride = 2, .padding = 2}, {.eps = 1e-3, .relu = true}};
  Layer wide{16, 16, 3, random, {.padding = 1, .bias = false}, {.relu = true}};
  Layer narrow{16, 7, 1, random, {.bias = false}, {.relu = true}};
  Layer grouped{16, 16, 3, random, {.stride = 2, .padding = 1, .groups = 4}, {}};
  std::optional<Layer> shortcut{Layer{16, 16, 1, random, {.stride = 2}, {}}};
  Layer last{7, 16, 1, random, {}, {.eps = 1.001e-5, .relu = true}};
  BatchNorm2d<T, Cpu> alone{16};
  Linear<T, Cpu> fc{16, 5, random};

  Variable<T, Cpu> operator()(const Variable<T, Cpu>& x) {
    const auto y = stem(x);
    const auto z = wide(y, y);
    return fc(global_avg_pool(alone(grouped(last(narrow(z), z), (*shortcut)(y)))));
  }
  template <class Visitor>
  void visit(Visitor&& v) {
    v({"conv1", "bn1"}, stem);
    v({"conv2", "bn2"}, wide);
    v({"conv3", "bn3"}, narrow);
    v("grouped", grouped);
    v("shortcut", shortcut);
    v("last", last);
    v("alone", alone);
    v("fc", fc);
  }
};

/// Random numbers; of the norms' weights half are negative, and variances go down to 1e-9.
template <Module M>
void randomize(M& m) {
  using Value = tensor_type_t<M>;
  using T = typename Value::value_type;
  std::uint64_t stream = 0;
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    const auto random = [&](const Shape& shape) {
      Value v = cast<T>(uniform<float>(shape, {.seed = 5, .stream = stream++}, -1, 1));
      if (path.ends_with("running_var"))
        for (std::int64_t i = 0; i < v.numel(); ++i) {
          const T u = v.data()[i];
          v.mutable_data()[i] = i % 5 == 0 ? T(1e-9) : T(0.1) + u * u;
        }
      return v;
    };
    if constexpr (detail::is_variable<X>) x.mutable_value() = random(x.shape());
    if constexpr (detail::is_tensor<X>) x = random(x.shape());
  });
  set_training(m, false);
}

template <Module M>
std::vector<std::pair<std::string, std::vector<typename tensor_type_t<M>::value_type>>> contents(M& m) {
  std::vector<std::pair<std::string, std::vector<typename tensor_type_t<M>::value_type>>> out;
  for (const auto& [name, value] : state_dict(m)) out.emplace_back(name, value.to_vector());
  return out;
}

template <class T>
Variable<T, Cpu> images() {
  return Variable<T, Cpu>(cast<T>(uniform<float>({3, 3, 21, 18}, {.seed = 6, .stream = 0}, -1, 1)));
}

/// Its fold() is none of folding's business.
struct Paper {
  using parameter_type = Variable<>;
  Variable<> weight{full({1}, 1.0f)};
  int folds = 0;
  void fold() { ++folds; }
  void visit(const auto& v) { v("weight", weight); }
};

}  // namespace

TEST_CASE_TEMPLATE("a folded network computes what the network computes", T, double, float) {
  Net<T> net;
  randomize(net);
  auto folded = fold_batch_norm(net);
  const auto x = images<T>();
  const auto y = net(x).value();
  CHECK(all_finite(y));
  CHECK(relative_rms(cast<double>(folded(x).value()), cast<double>(y)) <
        (std::same_as<T, double> ? 1e-13 : 2e-6));
  NoGrad no_grad;
  CHECK(relative_rms(cast<double>(folded(x).value()), cast<double>(y)) <
        (std::same_as<T, double> ? 1e-13 : 2e-6));
}

TEST_CASE("weights and bias of the folded convolution are rounded once") {
  RandomStream random{.seed = 1};
  ConvBatchNorm2d<float> layer(5, 4, 3, random, {}, {.eps = 1e-3, .relu = true});
  randomize(layer);
  const auto w = layer.conv.weight.value().to_vector(), b = layer.conv.bias->value().to_vector(),
             gamma = layer.norm->weight.value().to_vector(), beta = layer.norm->bias.value().to_vector(),
             mean = layer.norm->running_mean.to_vector(), variance = layer.norm->running_var.to_vector();
  const double eps = layer.norm->eps;
  layer.fold();
  CHECK(!layer.norm);
  CHECK(layer.conv.options.relu);
  const auto folded_w = layer.conv.weight.value().to_vector(),
             folded_b = layer.conv.bias->value().to_vector();
  for (std::size_t c = 0; c < 4; ++c) {
    const double scale = double{gamma[c]} / std::sqrt(double{variance[c]} + eps);
    CHECK(folded_b[c] == static_cast<float>(double{beta[c]} + scale * (double{b[c]} - double{mean[c]})));
    for (std::size_t i = c * 45; i < (c + 1) * 45; ++i)
      CHECK(folded_w[i] == static_cast<float>(double{w[i]} * scale));
  }
  layer.fold();  // nothing is left to fold
  CHECK(layer.conv.weight.value().to_vector() == folded_w);
}

TEST_CASE("the network that was folded is untouched, and the folded one does not follow it") {
  Net<float> net;
  randomize(net);
  const auto before = contents(net);
  auto folded = fold_batch_norm(net);
  const auto after_folding = contents(folded);
  CHECK(contents(net) == before);
  CHECK(net.stem.norm.has_value());
  CHECK(!net.stem.conv.options.relu);

  std::vector<std::string> names;
  for (const auto& entry : after_folding) names.push_back(entry.first);
  CHECK(names == std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                          "conv3.weight", "conv3.bias", "grouped.0.weight", "grouped.0.bias",
                                          "shortcut.0.weight", "shortcut.0.bias", "last.0.weight",
                                          "last.0.bias", "alone.weight", "alone.bias", "alone.running_mean",
                                          "alone.running_var", "fc.weight", "fc.bias"});
  for_each_parameter(folded, [](const std::string&, const auto& p) { CHECK(!p.requires_grad()); });

  for_each_parameter(net, [](const std::string&, auto& p) { p.mutable_value().mutable_data()[0] += 1; });
  CHECK(contents(folded) == after_folding);
  const auto written = contents(net);
  for_each_parameter(folded, [](const std::string&, auto& p) { p.mutable_value().mutable_data()[0] += 1; });
  CHECK(contents(net) == written);
}

TEST_CASE("only ConvBatchNorm2d is folded, not what else has a fold()") {
  CHECK(fold_batch_norm(Paper{}).folds == 0);
}

TEST_CASE("what cannot be folded is refused") {
  Net<float> net;
  CHECK_THROWS_WITH_AS(fold_batch_norm(net), doctest::Contains("set_training(model, false)"), ValueError);
  set_training(net, true);
  set_frozen(net, true);  // runs on its running statistics
  CHECK(!fold_batch_norm(net).stem.norm);
  net.wide.conv.options.relu = true;
  CHECK_THROWS_WITH_AS(fold_batch_norm(net), doctest::Contains("ReLU"), ValueError);
}
