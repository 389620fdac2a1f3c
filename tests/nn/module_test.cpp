// Modules: names, walks, counts, modes, and weights that move in and out.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "kfer/autograd/backward.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/tensor/compare.hpp"

using namespace kfer;

namespace {

struct Block {
  Conv2d<> conv;
  BatchNorm2d<> bn;
  std::optional<Conv2d<>> shortcut;

  Block(std::int64_t in, std::int64_t out, RandomStream& random)
      : conv(in, out, 3, random, {.padding = 1, .bias = false}), bn(out, {.relu = true}) {
    if (in != out) shortcut.emplace(in, out, 1, random);
  }
  Variable<> operator()(const Variable<>& x) { return bn(conv(x), shortcut ? (*shortcut)(x) : x); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv", conv);
    v("bn", bn);
    v("shortcut", shortcut);
  }
};

struct Net {
  static constexpr std::string_view name = "net";
  std::vector<Block> layers;
  Dropout dropout;
  Linear<> fc;

  explicit Net(RandomStream random = {.seed = 46}, std::int64_t classes = 5)
      : dropout(0.5, random), fc(4, classes, random) {
    layers.emplace_back(3, 4, random);
    layers.emplace_back(4, 4, random);
  }
  Variable<> operator()(const Variable<>& x) {
    auto y = x;
    for (auto& layer : layers) y = layer(y);
    return fc(dropout(global_avg_pool(y)));
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("layers", layers);
    v("dropout", dropout);
    v("fc", fc);
  }
};

struct Scratch {
  std::string path =
      (std::filesystem::temp_directory_path() / text("kfer-nn-", static_cast<long>(::getpid()))).string();
  ~Scratch() { std::filesystem::remove(path); }
};

template <class M>
std::string names(M& m) {
  std::string out;
  for (const auto& [name, value] : state_dict(m)) out += text(name, value.shape(), ' ');
  return out;
}

Variable<> images() {
  return Variable<>(uniform({2, 3, 6, 5}, {.seed = 9}, -1, 1));
}

/// Gives its child's two members one, two or three names.
struct Named {
  std::size_t names;
  Linear<> child;
  void visit(const auto& v) {
    if (names == 1) v({"kernel"}, child);
    if (names == 2) v({"kernel", "offset"}, child);
    if (names == 3) v({"kernel", "offset", "scale"}, child);
  }
};

}  // namespace

static_assert(Module<Net> && Module<Linear<double>> && Module<ReLU> && Module<Sequential<Linear<>, ReLU>>);
static_assert(!Module<int> && !Module<Variable<>> && !Module<Tensor<>>);

TEST_CASE("parameters, buffers and children are named as torchvision names them") {
  Net net;
  CHECK(names(net) ==
        "layers.0.conv.weight[4, 3, 3, 3] layers.0.bn.weight[4] layers.0.bn.bias[4] "
        "layers.0.bn.running_mean[4] "
        "layers.0.bn.running_var[4] layers.0.shortcut.weight[4, 3, 1, 1] layers.0.shortcut.bias[4] "
        "layers.1.conv.weight[4, 4, 3, 3] layers.1.bn.weight[4] layers.1.bn.bias[4] "
        "layers.1.bn.running_mean[4] "
        "layers.1.bn.running_var[4] fc.weight[5, 4] fc.bias[5] ");
  CHECK(parameters(net).size() == 10);
  CHECK(named_parameters(net)[3].first == "layers.0.shortcut.weight");
  CHECK(named_buffers(net).size() == 4);
  std::string streams;
  for_each_random(net, [&](const std::string& name, RandomStream&) { streams += name; });
  CHECK(streams == "dropout.random");
  RandomStream random{.seed = 1};
  Sequential sequence(Linear<>(3, 4, random), ReLU{}, Linear<>(4, 2, random, {.bias = false}));
  CHECK(names(sequence) == "0.weight[4, 3] 0.bias[4] 2.weight[2, 4] ");
}

TEST_CASE("names given for a child's members are as many as the members") {
  RandomStream random{.seed = 1};
  Named named{2, Linear<>(3, 4, random)};
  CHECK(names(named) == "kernel[4, 3] offset[4] ");
  for (const std::size_t wrong : {1, 3}) {
    named.names = wrong;
    CHECK_THROWS_AS(names(named), ValueError);
  }
}

TEST_CASE("counts are Keras': the total has the running statistics") {
  Net net;
  const std::int64_t trainable = 4 * 3 * 9 + 8 + 4 * 3 + 4 + 4 * 4 * 9 + 8 + 20 + 5;
  CHECK(count_parameters(net) == ParameterCount{trainable + 16, trainable});
  set_requires_grad(net.layers[0], false);
  CHECK(count_parameters(net) == ParameterCount{trainable + 16, trainable - (4 * 3 * 9 + 8 + 4 * 3 + 4)});
  const auto table = summary(net);
  CHECK(
      table.find("layers.1.bn           16          8  weight[4] bias[4] running_mean[4] running_var[4]\n") !=
      std::string::npos);
  CHECK(table.find("layers.0.conv        108          0  weight[4, 3, 3, 3]\n") != std::string::npos);
}

TEST_CASE("a seed makes the weights, and copies share them") {
  Net a, b, c(RandomStream{.seed = 47});
  const auto equal = [](Net& x, Net& y) {
    const auto p = state_dict(x), q = state_dict(y);
    for (std::size_t i = 0; i < p.size(); ++i)
      if (p[i].second.to_vector() != q[i].second.to_vector()) return false;
    return true;
  };
  CHECK(equal(a, b));
  CHECK(!equal(a, c));
  CHECK(a.layers[0].conv.weight.value().to_vector() != a.layers[1].conv.weight.value().to_vector());
  Net shared = a;
  shared.fc.weight.mutable_value().mutable_data()[0] = 7;
  CHECK(a.fc.weight.value().to_vector()[0] == 7);
}

TEST_CASE("modes: training, inference, frozen") {
  Net net;
  const auto x = images();
  const auto means = [&] { return net.layers[0].bn.running_mean.to_vector(); };
  const auto start = means();
  const auto first = net(x).value().to_vector();
  const auto moved = means();
  CHECK(moved != start);                       // batch statistics are followed
  CHECK(net(x).value().to_vector() != first);  // and dropout draws anew
  set_training(net, false);
  const auto before = means();
  CHECK(net(x).value().to_vector() == net(x).value().to_vector());
  CHECK(means() == before);
  set_training(net, true);
  set_frozen(net.layers[0], true);
  const auto y = net.layers[0](x);
  CHECK(!y.requires_grad());
  CHECK(means() == before);
  {
    set_training(net, false);
    CHECK(net.layers[0](x).value().to_vector() == y.value().to_vector());
    set_training(net, true);
  }
  CHECK(net.layers[0].bn.frozen);
  CHECK(net(x).requires_grad());  // the rest still trains
  set_frozen(net.layers[0], false);
  CHECK(net.layers[0](x).requires_grad());
  CHECK(means() != before);
}

TEST_CASE("gradients reach every parameter and are cleared") {
  Net net;
  backward(mean(square(net(images()))));
  for (const auto& named : named_parameters(net)) {
    CAPTURE(named.first);
    CHECK(named.second.has_grad());
  }
  zero_grad(net);
  for (const auto& p : parameters(net)) CHECK(!p.has_grad());
}

TEST_CASE("state dictionaries are snapshots that load back") {
  Net net, other(RandomStream{.seed = 3});
  const auto x = images();
  net(x);
  const auto snapshot = state_dict(net);
  const auto values = snapshot[0].second.to_vector();
  net.layers[0].conv.weight.mutable_value().mutable_data()[0] += 1;
  CHECK(snapshot[0].second.to_vector() == values);
  load_state_dict(other, snapshot);
  CHECK(other.layers[0].conv.weight.value().to_vector() == values);
  CHECK(other.layers[1].bn.running_mean.to_vector() == net.layers[1].bn.running_mean.to_vector());
}

TEST_CASE("what does not fit is listed in full, and nothing is loaded") {
  Net net;
  auto dict = state_dict(net);
  dict[0].second = zeros({4, 3, 3, 2});
  dict[1].first = "layers.0.bn.gamma";
  dict.erase(dict.begin() + 3);
  dict.back().second = zeros({6});
  const auto before = net.fc.weight.value().to_vector();
  dict[dict.size() - 2].second = zeros({5, 4});
  CHECK_THROWS_WITH_AS(
      load_state_dict(net, dict),
      "the state dictionary does not fit the model; 2 missing: layers.0.bn.weight, "
      "layers.0.bn.running_mean; 1 unexpected: layers.0.bn.gamma; 2 of another shape: "
      "layers.0.conv.weight (expected [4, 3, 3, 3], got [4, 3, 3, 2]), fc.bias (expected [5], got [6])",
      ShapeError);
  CHECK(net.fc.weight.value().to_vector() == before);
}

TEST_CASE("weights in files: exact, of the named model, partly on demand") {
  Scratch file;
  Net net, loaded(RandomStream{.seed = 8});
  net(images());
  save_weights(net, file.path, {{"epoch", "3"}});
  load_weights(loaded, file.path);
  const auto a = state_dict(net), b = state_dict(loaded);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].second.to_vector() == b[i].second.to_vector());
  const auto stored = io::Safetensors::open(file.path);
  CHECK(stored.metadata("model") == "net");
  CHECK(stored.metadata("epoch") == "3");

  Net wider(RandomStream{.seed = 8}, 7);
  CHECK_THROWS_AS(load_weights(wider, file.path), ShapeError);
  const auto fc = wider.fc.weight.value().to_vector();
  load_weights(wider, file.path, {.ignore = {"fc."}});
  CHECK(wider.fc.weight.value().to_vector() == fc);
  CHECK(wider.layers[0].conv.weight.value().to_vector() == a[0].second.to_vector());

  RandomStream random;
  Linear<> nameless(2, 2, random);
  CHECK_THROWS_WITH_AS(load_weights(nameless, file.path),
                       doctest::Contains("2 missing: weight, bias; 14 unexpected"), ShapeError);
  CHECK_THROWS_AS(load_weights(net, file.path + ".missing"), IoError);
  CHECK_THROWS_AS(save_weights(net, "/nonexistent-directory/w.safetensors"), IoError);
  std::ofstream(file.path, std::ios::binary | std::ios::trunc) << "no tensors";
  CHECK_THROWS_AS(load_weights(net, file.path), FormatError);
}

TEST_CASE("stored weights of every floating type are converted, PyTorch's batch counters skipped") {
  Scratch file;
  RandomStream random;
  Linear<> layer(2, 1, random);
  const std::vector<float> bias{0.5f};
  const std::vector<std::int64_t> count{12};
  const auto load = [&](const char* dtype, auto bits) {
    using U = decltype(bits);
    const std::vector<U> weight{bits, U{}};
    io::NamedTensor w{"weight", io::TensorView{dtype,
                                               {1, 2},
                                               io::Bytes(reinterpret_cast<const std::byte*>(weight.data()),
                                                         weight.size() * sizeof(U))}};
    io::write_safetensors(
        file.path, std::vector<io::NamedTensor>{
                       w,
                       {"bias", io::tensor_view(std::span<const float>(bias), {1})},
                       {"num_batches_tracked", io::tensor_view(std::span<const std::int64_t>(count), {})}});
    load_weights(layer, file.path);
    return layer.weight.value().to_vector()[0];
  };
  CHECK(load("F64", 0.1) == 0.1f);
  CHECK(load("BF16", std::uint16_t{0x3FC0}) == 1.5f);
  CHECK(load("F16", std::uint16_t{0xBE00}) == -1.5f);
  CHECK_THROWS_WITH_AS(load("I32", std::int32_t{1}), doctest::Contains("tensor 'weight' is I32"),
                       FormatError);
}

TEST_CASE("half precision is read exactly, every one of its numbers") {
  for (std::uint32_t h = 0; h < 65536; ++h) {
    const int exponent = h >> 10 & 31, fraction = h & 1023;
    double expected = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
    if (exponent == 31) expected = fraction ? NAN : HUGE_VAL;
    if (h >> 15) expected = -expected;
    const double got = detail::half_to_float(static_cast<std::uint16_t>(h));
    if (std::isnan(expected))
      REQUIRE(std::isnan(got));
    else
      REQUIRE((got == expected && std::signbit(got) == std::signbit(expected)));
  }
}

TEST_CASE("the first layer whose result is not finite is found") {
  Net net;
  set_training(net, false);
  const auto run = [&] { return net(images()); };
  CHECK(!first_non_finite_layer(net, run));
  net.layers[1].bn.running_var.mutable_data()[2] = -1;
  CHECK(first_non_finite_layer(net, run) == "layers.1.bn");
  net.layers[0].shortcut->bias->mutable_value().mutable_data()[0] = HUGE_VALF;
  CHECK(first_non_finite_layer(net, run) == "layers.0.shortcut");
  CHECK(detail::LayerObserver::current() == nullptr);
  CHECK(grad_enabled());
}
