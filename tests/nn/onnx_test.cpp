// The translation of recorded graphs to ONNX: structure here; the values are compared by
// tests/peers/onnx_test.py, which has the small networks below written for it.
#include "kfer/nn/onnx.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

#include "kfer/io/npz.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#include "kfer/ops/ops.hpp"

using namespace kfer;
namespace onnx = kfer::io::onnx;

namespace {

using Names = std::vector<std::string>;
using Ints = std::vector<std::int64_t>;

Names operators(const onnx::Model& model) {
  Names out;
  for (const auto& node : model.graph.nodes) out.push_back(node.op_type);
  return out;
}

const onnx::Node& node(const onnx::Model& model, const std::string& name) {
  for (const auto& n : model.graph.nodes)
    if (n.name == name) return n;
  FAIL("no node '", name, "'");
  return model.graph.nodes.front();
}

template <class T>
T attribute(const onnx::Node& node, const std::string& name) {
  for (const auto& [key, value] : node.attributes)
    if (key == name) return std::get<T>(value);
  FAIL("no attribute '", name, "' of ", node.name);
  return {};
}

template <class E, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

bool contains(const std::string& message, const std::string& words) {
  INFO(message);
  return message.find(words) != std::string::npos;
}

/// No parameters: for functions of the input alone.
struct Nothing {
  template <class Visitor>
  void visit(Visitor&&) {}
};

/// Fills parameters and statistics with random numbers, variances with positive ones.
template <Module M>
void randomize(M& m) {
  std::uint64_t stream = 0;
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    const auto random = [&](const Shape& shape) {
      const bool positive = path.ends_with("running_var");
      return uniform<float>(shape, {.seed = 5, .stream = stream++}, positive ? 0.5 : -0.5,
                            positive ? 2 : 0.5);
    };
    if constexpr (detail::is_variable<X>) x.mutable_value() = random(x.shape());
    if constexpr (detail::is_tensor<X>) x = random(x.shape());
  });
  set_training(m, false);
}

/// All layers with options that the bundled models do not use.
struct Layers {
  RandomStream random{.seed = 1, .stream = 0};
  Conv2d<> conv{4, 6, {3, 2}, random, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 2}, .groups = 2}};
  BatchNorm2d<> bn{6, {.eps = 0.25, .relu = true}};
  AvgPool2d average{{.kernel = 3, .stride = {1, 2}, .padding = 1, .count_include_pad = false}};
  ConvTranspose2d<> up{
      6, 5, 3, random, {.stride = {2, 3}, .padding = {1, 0}, .output_padding = {1, 2}, .relu = true}};
  MaxPool2d largest{{.kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0}}};
  AvgPool2d plain{{.kernel = 2}};
  UpsampleNearest enlarge{3};
  Linear<> fc{5, 3, random, {.bias = false}};

  Variable<> operator()(const Variable<>& x) {
    return fc(global_avg_pool(enlarge(plain(largest(up(average(bn(conv(x)))))))));
  }
  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv", conv);
    v("bn", bn);
    v("up", up);
    v("fc", fc);
  }
};

/// One block applied twice, with a residual; and a transposed convolution in groups.
struct Shared {
  RandomStream random{.seed = 2, .stream = 0};
  Conv2d<> conv{4, 4, 3, random, {.padding = 1, .bias = false}};
  BatchNorm2d<> bn{4, {.relu = true}};
  Variable<> weight{zeros({4, 3, 2, 2}), true}, bias{zeros({6}), true};

  Variable<> block(const Variable<>& x) { return bn(conv(x), x); }
  Variable<> operator()(const Variable<>& x) {
    return conv_transpose2d(block(block(x)), weight, bias, {.dilation = 2, .groups = 2});
  }
  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv", conv);
    v("bn", bn);
    v("weight", weight);
    v("bias", bias);
  }
};

/// A residual block that can be folded.
struct Block {
  ConvBatchNorm2d<> first, second;

  Variable<> operator()(const Variable<>& x) { return second(first(x), x); }
  template <class Visitor>
  void visit(Visitor&& v) {
    v({"conv1", "bn1"}, first);
    v({"conv2", "bn2"}, second);
  }
};

Variable<> elementwise(const Variable<>& x) {
  const Variable<> constant(uniform<float>({1, 3, 1}, {.seed = 7, .stream = 0}, 0.5, 2));
  const auto positive = exp(x) + abs(x);
  return add_relu(tanh(x) * log(positive), sqrt(positive) / constant) - maximum(relu(x), sigmoid(x));
}

Variable<> shapes(const Variable<>& x) {
  return flatten(softmax(reshape(log_softmax(x), {x.size(0), 2, 6, 2}), 1));
}

/// Writes the model, seven random inputs and what kfer makes of them, where the peer's test looks for them.
template <Module M, class Forward>
void keep(const char* name, M& model, const Shape& sample, const Forward& forward) {
  const auto exported = onnx_model(model, sample, forward, {.name = name});
  const char* folder = std::getenv("KFER_ONNX_NETWORKS");
  if (!folder) return;
  onnx::write(text(folder, '/', name, ".onnx"), exported);
  Shape shape{7};
  for (const auto extent : sample) shape.push_back(extent);
  const auto x = uniform<float>(shape, {.seed = 3, .stream = 0}, -1, 1);
  NoGrad no_grad;
  const Tensor<float> y = forward(Variable<>(x)).value();
  const auto array = [](const Tensor<float>& t) {
    return io::npy_array(std::span<const float>(t.to_vector()), t.shape());
  };
  const std::vector<io::NamedArray> arrays{{"input", array(x)}, {"output", array(y)}};
  io::write_npz(text(folder, '/', name, ".npz"), arrays);
}

}  // namespace

TEST_CASE("a network becomes nodes and weights called by its own names") {
  RandomStream random{.seed = 46, .stream = 0};
  Sequential net(Conv2d<>(3, 8, 3, random, {.padding = 1, .relu = true}), MaxPool2d{{.kernel = 2}}, Flatten{},
                 Dropout(0.5, random), Linear<>(8 * 4 * 4, 5, random));
  set_training(net, false);
  const auto model = onnx_model(
      net, {3, 8, 8}, [&](const Variable<>& x) { return softmax(net(x)); },
      {.name = "net", .input = "image", .output = "probabilities", .metadata = {{"labels", "a,b,c,d,e"}}});
  CHECK(operators(model) == Names{"Conv", "Relu", "MaxPool", "Flatten", "Gemm", "Softmax"});
  CHECK(node(model, "0").inputs == Names{"image", "0.weight", "0.bias"});
  CHECK(node(model, "0.relu").inputs == Names{"0"});
  CHECK(node(model, "4").inputs == Names{"flatten", "4.weight", "4.bias"});
  CHECK(node(model, "softmax").inputs == Names{"4"});
  CHECK(node(model, "softmax").outputs == Names{"probabilities"});
  CHECK(attribute<Ints>(node(model, "max_pool"), "strides") == Ints{2, 2});
  const auto& graph = model.graph;
  CHECK(graph.name == "net");
  REQUIRE(graph.inputs.size() == 1);
  CHECK(graph.inputs[0].shape ==
        std::vector<onnx::Extent>{"N", std::int64_t{3}, std::int64_t{8}, std::int64_t{8}});
  CHECK(graph.outputs[0].shape == std::vector<onnx::Extent>{"N", std::int64_t{5}});
  CHECK(model.metadata == OnnxOptions{.metadata = {{"labels", "a,b,c,d,e"}}}.metadata);
  CHECK(model.producer_version == version);
  const auto dict = state_dict(net);
  REQUIRE(graph.initializers.size() == dict.size());
  for (std::size_t i = 0; i < dict.size(); ++i) {
    CHECK(graph.initializers[i].name == dict[i].first);
    CHECK(graph.initializers[i].shape == dict[i].second.shape());
    CHECK(std::get<std::vector<float>>(graph.initializers[i].values) == dict[i].second.to_vector());
  }
}

TEST_CASE("small networks of all operations, compared with ONNX Runtime by the peers' test") {
  Nothing nothing;
  Layers layers;
  Shared shared;
  randomize(layers);
  randomize(shared);
  keep("layers", layers, {4, 9, 8}, [&](const auto& x) { return layers(x); });
  keep("shared", shared, {4, 5, 6}, [&](const auto& x) { return shared(x); });
  keep("elementwise", nothing, {4, 3, 5}, elementwise);
  keep("shapes", nothing, {4, 6}, shapes);

  const auto model = onnx_model(layers, {4, 9, 8});
  CHECK(operators(model) == Names{"Conv", "BatchNormalization", "Relu", "AveragePool", "ConvTranspose",
                                  "Relu", "MaxPool", "AveragePool", "Resize", "GlobalAveragePool", "Flatten",
                                  "Gemm"});
  CHECK(attribute<Ints>(node(model, "up"), "output_padding") == Ints{1, 2});
  CHECK(attribute<Ints>(node(model, "conv"), "pads") == Ints{1, 2, 1, 2});
  CHECK(attribute<float>(node(model, "bn"), "epsilon") == 0.25f);
  CHECK(node(model, "fc").inputs == Names{"flatten", "fc.weight"});
}

TEST_CASE("a layer used twice is two nodes on one set of weights") {
  Shared net;
  set_training(net, false);
  const auto model = onnx_model(net, {4, 5, 6});
  CHECK(node(model, "conv").inputs == Names{"input", "conv.weight"});
  CHECK(node(model, "bn.add").inputs == Names{"bn", "input"});
  CHECK(node(model, "conv_2").inputs == Names{"bn.relu", "conv.weight"});
  CHECK(node(model, "bn.add_2").inputs == Names{"bn_2", "bn.relu"});
  CHECK(model.graph.initializers.size() == state_dict(net).size());
}

TEST_CASE("a folded network is convolutions, sums and ReLUs") {
  RandomStream random{.seed = 7, .stream = 0};
  Block net{{4, 6, 3, random, {.padding = 1}, {.relu = true}},
            {6, 4, 1, random, {.bias = false}, {.relu = true}}};
  randomize(net);
  CHECK(operators(onnx_model(net, {4, 5, 6})) ==
        Names{"Conv", "BatchNormalization", "Relu", "Conv", "BatchNormalization", "Add", "Relu"});
  auto folded = fold_batch_norm(net);
  keep("folded", folded, {4, 5, 6}, [&](const auto& x) { return folded(x); });
  const auto model = onnx_model(folded, {4, 5, 6});
  CHECK(operators(model) == Names{"Conv", "Relu", "Conv", "Add", "Relu"});
  CHECK(node(model, "conv2").inputs == Names{"conv1.relu", "conv2.weight", "conv2.bias"});
  CHECK(node(model, "conv2.add").inputs == Names{"conv2", "input"});
  CHECK(node(model, "conv2.relu").inputs == Names{"conv2.add"});
}

TEST_CASE("frozen parameters and constants are weights like others; the model is left as it was") {
  Layers net;
  set_training(net, false);
  set_frozen(net, true);
  const auto model = onnx_model(net, {4, 9, 8});
  CHECK(model.graph.initializers.size() == state_dict(net).size() + 1);  // the scales of the upsampling
  for_each_parameter(net, [](const std::string&, const auto& p) {
    CHECK(!p.requires_grad());
    CHECK(!p.has_grad());
  });
  Nothing nothing;
  const auto constants = onnx_model(nothing, {4, 3, 5}, elementwise).graph.initializers;
  REQUIRE(constants.size() == 1);
  CHECK(constants[0].name == "constant");
  CHECK(constants[0].shape == Shape{1, 3, 1});
}

TEST_CASE("what cannot be said in ONNX is refused in one line that says why") {
  RandomStream random{.seed = 46, .stream = 0};
  Nothing nothing;
  const auto refusal = [&](const auto& forward) {
    return message_of<ValueError>([&] { onnx_model(nothing, {3, 4}, forward); });
  };
  Sequential dropping(Flatten{}, Dropout(0.5, random));
  Sequential fused(Conv2d<>(3, 4, 1, random, {.relu = true}));
  Dropout dropout(0.5, random);
  BatchNorm2d<> norm(3);
  const std::string mode = "set_training(model, false)";
  CHECK(contains(message_of<ValueError>([&] { onnx_model(dropping, {3, 4}); }), mode));
  CHECK(contains(message_of<ValueError>([&] { onnx_model(norm, {3, 4, 4}); }), mode));
  CHECK(contains(message_of<ValueError>([&] {
                   onnx_model(fused, {3, 4, 4}, [&](const Variable<>& x) {
                     return std::get<0>(fused.layers)(x, dropout.mask());
                   });
                 }),
                 mode));
  CHECK(contains(refusal([](const Variable<>& x) { return transpose(tanh(x)); }),
                 "an operation on 'tanh' has no"));
  CHECK(contains(refusal([](const Variable<>& x) { return transpose(x); }),
                 "an operation on the input has no"));
  CHECK(contains(refusal([](const Variable<>& x) {
                   return Variable<>(zeros({x.size(0), 3}));
                 }),
                 "does not depend"));
  CHECK(contains(refusal([](const Variable<>& x) {
                   return reshape(reshape(x, {6, 4}), {2, 12});
                 }),
                 "each sample"));
  CHECK(contains(refusal([](const Variable<>& x) { return x * Variable<>(ones(x.shape())); }),
                 "spans the batch"));
  CHECK(contains(message_of<ShapeError>([&] {
                   onnx_model(nothing, {3, 4}, [](const Variable<>& x) { return reshape(x, {1, 24}); });
                 }),
                 "[1, 24]"));
  CHECK(contains(message_of<ValueError>([&] {
                   NoGrad no_grad;
                   onnx_model(nothing, {3, 4}, [](const Variable<>& x) { return tanh(x); });
                 }),
                 "NoGrad"));
  CHECK(contains(
      message_of<ValueError>([&] {
        onnx_model(norm, {3, 4, 4}, [&](const Variable<>& x) { return norm(x); }, {.input = "weight"});
      }),
      "'weight'"));
}
