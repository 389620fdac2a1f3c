// Whole training steps of the published models on the Cuda backend's kernels (Simt: the host SIMT executor),
// against the Cpu: same seed, same batch, same losses and weights.
#include <doctest/doctest.h>

#include "kfer/autograd/backward.hpp"
#include "kfer/models/autoencoder.hpp"
#include "kfer/models/conv_net.hpp"
#include "kfer/models/resnet.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/ops/ops_cuda.hpp"
#include "kfer/optim/optim.hpp"
#include "kfer/optim/optim_cuda.hpp"
#include "kfer/tensor/compare.hpp"
#include "kfer/tensor/transfer.hpp"
#include "kfer/train/captured_step.hpp"

using namespace kfer;

namespace {

struct Run {
  std::vector<double> losses;
  std::vector<std::pair<std::string, Tensor<float, Cpu>>> weights;
};

/// `steps` steps on one batch of 2; losses before each, and all parameters and buffers afterwards. By
/// gradient descent with momentum: Adam divides by a gradient's own size, and makes steps of rounding noise.
template <class T, class D, class Make>
Run train(const Make& make, std::int64_t side, int steps) {
  auto model = make.template operator()<T, D>();
  const auto images = uniform({2, 3, side, side}, {.seed = 5});
  std::vector<float> labels(2 * 6);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = i % 3 == 0;
  const auto x = cast<T>(Variable<float, D>(to_device<D>(images)));
  const auto targets = to_device<D>(Tensor<float, Cpu>({2, 6}, std::span<const float>(labels)));
  Sgd<float, D> optimizer(named_parameters(model), {.lr = 0.02, .momentum = 0.9});
  Run run;
  for (int i = 0; i < steps; ++i) {
    optimizer.zero_grad();
    const auto loss = bce_with_logits(cast<float>(model(x)), targets);
    run.losses.push_back(loss.item());
    backward(loss);
    optimizer.step();
  }
  for_each_member(model, [&](const std::string& path, auto& member) {
    using X = std::remove_cvref_t<decltype(member)>;
    if constexpr (std::is_same_v<X, Variable<float, D>>)
      run.weights.emplace_back(path, to_device<Cpu>(member.value().row_major()));
    else if constexpr (std::is_same_v<X, Tensor<float, D>>)
      run.weights.emplace_back(path, to_device<Cpu>(member.row_major()));
  });
  return run;
}

void check_same(const Run& cpu, const Run& gpu, double losses, double weights) {
  REQUIRE(cpu.losses.size() == gpu.losses.size());
  for (std::size_t i = 0; i < cpu.losses.size(); ++i) {
    CAPTURE(i);
    CHECK(gpu.losses[i] == doctest::Approx(cpu.losses[i]).epsilon(losses));
  }
  REQUIRE(cpu.weights.size() == gpu.weights.size());
  for (std::size_t i = 0; i < cpu.weights.size(); ++i) {
    CAPTURE(cpu.weights[i].first);
    CHECK(largest_difference(gpu.weights[i].second, cpu.weights[i].second) < weights);
  }
}

struct ConvNetOf8 {
  template <class T, class D>
  auto operator()() const {
    RandomStream random{.seed = 46};
    return models::ConvNet<T, D>(6, random, {.kernel = 5, .image_size = 8});
  }
};
struct AutoencoderOf16 {
  template <class T, class D>
  auto operator()() const {
    RandomStream random{.seed = 46};
    return models::AutoencoderClassifier<T, D>(6, random, 16);
  }
};
/// ResNet50's parts at a size of a test: stem, pooling, two bottlenecks of which one halves the map, head.
template <class T, class D>
struct SmallResNet {
  using parameter_type = Variable<parameter_t<T>, D>;
  Conv2d<T, D> conv1;
  BatchNorm2d<T, D> bn1;
  MaxPool2d pool{{.kernel = 3, .stride = 2, .padding = 1}};
  models::Bottleneck<T, D> block1, block2;
  Linear<T, D> fc;

  SmallResNet(RandomStream random, const models::ResNetConfig& config)
      : conv1(3, 16, 7, random, {.stride = 2, .padding = 3, .bias = config.conv_bias}),
        bn1(16, {.momentum = config.momentum, .eps = config.eps, .relu = true}),
        block1(16, 8, 1, random, config),
        block2(32, 16, 2, random, config),
        fc(64, 6, random) {}

  Variable<T, D> operator()(const Variable<T, D>& x) {
    return fc(global_avg_pool(block2(block1(pool(bn1(conv1(x)))))));
  }
  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv1", conv1);
    v("bn1", bn1);
    v("block1", block1);
    v("block2", block2);
    v("fc", fc);
  }
};
struct SmallResNetOf {
  models::ResNetConfig config;
  template <class T, class D>
  auto operator()() const {
    return SmallResNet<T, D>({.seed = 46}, config);
  }
};

}  // namespace

TEST_CASE("ConvNet trains on the kernels as on the Cpu, dropout included") {
  check_same(train<float, Cpu>(ConvNetOf8{}, 8, 3), train<float, Simt>(ConvNetOf8{}, 8, 3), 1e-5, 1e-5);
}
TEST_CASE("the autoencoder's classifier trains on the kernels as on the Cpu") {
  check_same(train<float, Cpu>(AutoencoderOf16{}, 16, 3), train<float, Simt>(AutoencoderOf16{}, 16, 3), 1e-5,
             1e-5);
}
TEST_CASE("bottlenecks train on the kernels as on the Cpu, in both forms") {
  for (const auto& config : {models::ResNetConfig::keras(), models::ResNetConfig::torchvision()}) {
    const SmallResNetOf make{config};
    check_same(train<float, Cpu>(make, 32, 2), train<float, Simt>(make, 32, 2), 1e-5, 1e-4);
  }
}
TEST_CASE("ResNet50's inference on the kernels equals the Cpu's") {
  const auto logits = [&]<class D>(D) {
    RandomStream random{.seed = 46};
    models::ResNet50Classifier<float, D> model(6, random);
    set_training(model, false);
    NoGrad no_grad;
    const auto images = uniform({1, 3, 32, 32}, {.seed = 5});
    return to_device<Cpu>(model(Variable<float, D>(to_device<D>(images))).value().row_major());
  };
  CHECK(relative_rms(logits(Simt{}), logits(Cpu{})) < 1e-4);
}
TEST_CASE("ConvNet in bfloat16 with float parameters stays near float") {
  const Run exact = train<float, Cpu>(ConvNetOf8{}, 8, 3), half = train<bfloat16, Simt>(ConvNetOf8{}, 8, 3);
  for (std::size_t i = 0; i < exact.losses.size(); ++i)
    CHECK(half.losses[i] == doctest::Approx(exact.losses[i]).epsilon(0.03));
  REQUIRE(half.weights.size() == exact.weights.size());
}

namespace {
/// The losses of four steps on one batch; all but the first as replays of a captured graph, if asked for.
template <class T, class Make>
std::vector<double> four_losses(const Make& make, std::int64_t side, bool captured) {
  auto model = make.template operator()<T, Simt>();
  const auto x = cast<T>(to_device<Simt>(uniform({2, 3, side, side}, {.seed = 5})));
  const auto targets = to_device<Simt>(uniform({2, 6}, {.seed = 6}));
  Adam<float, Simt> optimizer(named_parameters(model), {.lr = 1e-3});
  const auto compute = [&](const Tensor<T, Simt>& images, const Tensor<float, Simt>& labels) {
    return bce_with_logits(cast<float>(model(Variable<T, Simt>(images))), labels);
  };
  std::vector<double> losses;
  const auto eager = [&] {
    optimizer.zero_grad();
    const auto loss = compute(x, targets);
    losses.push_back(loss.item());
    backward(loss);
    optimizer.step();
  };
  eager();
  if (!captured) {
    for (int i = 0; i < 3; ++i) eager();
    return losses;
  }
  std::vector<RandomStream*> streams;
  for_each_random(model, [&](const std::string&, RandomStream& random) { streams.push_back(&random); });
  const std::tuple inputs(x, targets);
  CapturedStep<decltype(model), Adam<float, Simt>, std::remove_const_t<decltype(inputs)>> step(
      model, optimizer, streams, inputs, compute);
  for (int i = 0; i < 3; ++i) {
    step.run(inputs);
    losses.push_back(step.loss());
  }
  return losses;
}
}  // namespace

TEST_CASE_TEMPLATE("the models' steps are captured, and replay what eager steps compute", T, float,
                   bfloat16) {
  CHECK(four_losses<T>(ConvNetOf8{}, 8, true) == four_losses<T>(ConvNetOf8{}, 8, false));
  CHECK(four_losses<T>(AutoencoderOf16{}, 16, true) == four_losses<T>(AutoencoderOf16{}, 16, false));
  const SmallResNetOf resnet{models::ResNetConfig::keras()};
  CHECK(four_losses<T>(resnet, 32, true) == four_losses<T>(resnet, 32, false));
}
