// The K-drama models against the published ones: parameter counts of every layer, and twenty training steps
// against PyTorch from the same weights, images and dropout masks (tests/data/README.md).
#include <doctest/doctest.h>

#include <cmath>
#include <map>

#include "kfer/io/csv.hpp"
#include "kfer/kfer.hpp"
#include "models/formula.hpp"
#include "support/golden.hpp"

using namespace kfer;

namespace {

/// Parameters and running statistics of each layer: name -> (total, trainable).
template <class Model>
std::map<std::string, ParameterCount> layer_counts(Model& model) {
  std::map<std::string, ParameterCount> counts;
  const auto layer = [](const std::string& path) { return path.substr(0, path.rfind('.')); };
  for_each_parameter(model, [&](const std::string& path, const auto& p) {
    counts[layer(path)].total += p.numel();
    if (p.requires_grad()) counts[layer(path)].trainable += p.numel();
  });
  for_each_buffer(model,
                  [&](const std::string& path, const auto& b) { counts[layer(path)].total += b.numel(); });
  return counts;
}

template <class Model>
void check_counts(const std::string& name, std::int64_t classes, Model model) {
  CAPTURE(name);
  CAPTURE(classes);
  const auto table = io::CsvTable::open(test::model_data + "parameter_counts.csv");
  const auto ours = layer_counts(model);
  std::size_t layers = 0;
  for (std::size_t row = 0; row < table.size(); ++row) {
    if (table.cell(row, 0) != name || table.as_int(row, 1) != classes) continue;
    const ParameterCount expected{table.as_int(row, 4), table.as_int(row, 5)};
    const std::string keras(table.cell(row, 2));
    if (keras.empty()) {
      CHECK(count_parameters(model) == expected);
      continue;
    }
    const std::string layer = test::layer_name(name, layers++, keras);
    CAPTURE(layer);
    REQUIRE(ours.contains(layer));
    CHECK(ours.at(layer) == expected);
  }
  CHECK(layers == ours.size());
  CHECK(layers > 0);
}

Tensor<float> labels_of_step(std::uint64_t step, std::int64_t batch) {
  std::vector<float> labels(static_cast<std::size_t>(batch) * 24);
  for (std::size_t i = 0; i < labels.size(); ++i)
    labels[i] = RandomStream{2000, step}.uniform(i) < 0.1f ? 1.f : 0.f;
  return {{batch, 24}, std::span<const float>(labels)};
}

/// Largest relative differences of losses and gradient norms, largest difference of logits. Losses are held
/// to what rounding alone leaves; a gradient also jumps where rounding takes a ReLU to its other side.
struct Limits {
  double loss, gradient, logits;
};

/// Trains 20 steps and compares with the golden file; `output(model, x)` gives the logits, `sample` what of
/// them is stored.
template <class Model, class Make, class Output, class Sample>
void check_training(const std::string& name, int which, const Limits& limits, const Make& make,
                    const Output& output, const Sample& sample, bool reconstruct) {
  const auto file = io::Safetensors::open(test::model_data + name + ".safetensors");
  const test::GoldenCase golden(file, which);
  CAPTURE(name);
  CAPTURE(golden.number("learning_rate"));
  const std::int64_t batch = std::stoll(file.metadata("batch").value());
  Model model = make();
  std::string names;
  for (const auto& [path, tensor] : state_dict(model)) names += (names.empty() ? "" : ",") + path;
  REQUIRE(names == file.metadata("state_dict").value());
  test::fill_by_formula(model);
  set_training(model, true);
  Adam<float> optimizer(named_parameters(model),
                        {.lr = golden.number("learning_rate"), .epsilon = 1e-7, .epsilon_hat = true});
  const auto expected = file.values<float>("case" + std::to_string(which) + "/loss");
  for (std::uint64_t step = 0; step < 20; ++step) {
    std::uint64_t layer = 0;
    for_each_random(model, [&](const std::string&, RandomStream& random) {
      random = {.seed = 3000, .stream = 16 * step + layer++};
    });
    const auto x = uniform({batch, 3, 64, 64}, {.seed = 1000, .stream = step});
    zero_grad(model);
    const auto logits = output(model, Variable<float>(x));
    const auto loss = bce_with_logits(logits, reconstruct ? x : labels_of_step(step, batch));
    backward(loss);
    CAPTURE(step);
    CHECK(std::abs(loss.item() / expected[step] - 1) < limits.loss);
    if (step == 0) {
      const auto want = file.values<float>("logits");
      const auto got = sample(logits.value());
      REQUIRE(got.size() == want.size());
      double worst = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const double d = std::abs(got[i] - want[i]);
        worst = d <= worst ? worst : d;
      }
      CHECK(worst < limits.logits);
      const auto norms = file.values<float>("grad_norm");
      std::size_t i = 0;
      for (const auto& named : named_parameters(model)) {
        const auto& p = named.second;
        if (!p.requires_grad()) continue;
        CAPTURE(named.first);
        double sum = 0;
        for (const float g : p.grad().to_vector()) sum += double{g} * g;
        REQUIRE(i < norms.size());
        // A convolution's bias before a batch norm has no gradient but rounding noise.
        if (norms[i] > 1e-10) CHECK(std::abs(std::sqrt(sum) / norms[i] - 1) < limits.gradient);
        ++i;
      }
      CHECK(i == norms.size());
    }
    optimizer.step();
  }
}

const auto everything = [](const Tensor<float>& t) { return t.to_vector(); };
const auto forward = [](auto& model, const Variable<float>& x) { return model(x); };

}  // namespace

TEST_CASE("every layer has the published number of parameters, for 6, 22 and 24 outputs") {
  RandomStream random{.seed = 1, .stream = 0};
  check_counts("autoencoder", 0, models::Autoencoder<float>(random));
  for (const std::int64_t classes : {6, 22, 24}) {
    check_counts("autoencoder_classifier", classes, models::AutoencoderClassifier<float>(classes, random));
    check_counts("conv_net", classes,
                 models::ConvNet<float>(classes, random, {.kernel = classes == 24 ? 5 : 3}));
    models::ResNet50Classifier<float> resnet(classes, random);
    resnet.freeze_as_published();
    check_counts("resnet50", classes, resnet);
  }
}

TEST_CASE("autoencoder: twenty steps of reconstruction as in PyTorch") {
  RandomStream random{.seed = 1, .stream = 0};
  check_training<models::Autoencoder<float>>(
      "autoencoder", 0, {1e-4, 1e-4, 1e-4}, [&] { return models::Autoencoder<float>(random); },
      [](auto& model, const auto& x) { return model.logits(x); },
      [](const Tensor<float>& t) {
        std::vector<float> corner;
        const auto all = t.to_vector();
        for (std::int64_t n = 0; n < t.size(0); ++n)
          for (std::int64_t i = 0; i < 8; ++i)
            for (std::int64_t j = 0; j < 8; ++j)
              corner.push_back(all[static_cast<std::size_t>((n * 3 * 64 + i) * 64 + j)]);
        return corner;
      },
      true);
}

TEST_CASE("autoencoder classifier: twenty steps as in PyTorch") {
  RandomStream random{.seed = 1, .stream = 0};
  for (const int which : {0, 1})
    check_training<models::AutoencoderClassifier<float>>(
        "autoencoder_classifier", which, {1e-4, 1e-3, 1e-4},
        [&] { return models::AutoencoderClassifier<float>(24, random); }, forward, everything, false);
}

TEST_CASE("conv_net: twenty steps as in PyTorch") {
  RandomStream random{.seed = 1, .stream = 0};
  check_training<models::ConvNet<float>>(
      "conv_net", 0, {1e-4, 1e-3, 1e-4}, [&] { return models::ConvNet<float>(24, random); }, forward,
      everything, false);
}

TEST_CASE("resnet50: twenty steps as in PyTorch, frozen as published") {
  RandomStream random{.seed = 1, .stream = 0};
  check_training<models::ResNet50Classifier<float>>(
      "resnet50", 0, {1e-4, 5e-3, 2e-3},
      [&] {
        models::ResNet50Classifier<float> model(24, random);
        model.freeze_as_published();
        return model;
      },
      forward, everything, false);
}

TEST_CASE("the same seed gives the same weights, bit for bit, after training") {
  const auto train = [] {
    RandomStream random{.seed = 5, .stream = 0};
    models::ConvNet<float> model(24, random, {.kernel = 3, .image_size = 16});
    Adam<float> optimizer(named_parameters(model), {.lr = 1e-3});
    for (std::uint64_t step = 0; step < 3; ++step) {
      zero_grad(model);
      backward(bce_with_logits(model(Variable<float>(uniform({16, 3, 16, 16}, {7, step}))),
                               labels_of_step(step, 16)));
      optimizer.step();
    }
    std::vector<float> all;
    for (const auto& [name, tensor] : state_dict(model)) {
      const auto values = tensor.to_vector();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  };
  CHECK(train() == train());
}

TEST_CASE("models refuse images and weights that do not fit, naming both shapes") {
  RandomStream random{.seed = 1, .stream = 0};
  models::ConvNet<float> model(6, random, {.kernel = 3, .image_size = 16});
  CHECK_THROWS_AS(model(Variable<float>(zeros({1, 3, 32, 32}))), ShapeError);
  CHECK_THROWS_AS(model(Variable<float>(zeros({1, 4, 16, 16}))), ShapeError);
  models::Autoencoder<float> other(random);
  CHECK_THROWS_AS(load_state_dict(model, state_dict(other)), Error);
}
