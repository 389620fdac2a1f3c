// Weights of Keras in kfer's models: the outputs of real Keras models from weights by formula
// (tools/make_keras_oracles.py), and files that Keras 2 and 3 saved (tools/make_hdf5_test_data.py).
#include "kfer/models/keras_weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <deque>

#include "kfer/io/csv.hpp"
#include "kfer/kfer.hpp"

using namespace kfer;
using models::ImportedTensor;
using models::KerasLayer;

namespace {

/// A model's layers in Keras' layout, as a file would give them, and what they point into.
struct FormulaModel {
  std::vector<KerasLayer> layers;
  std::deque<std::vector<float>> values;
};

Shape parse_shape(std::string_view text) {
  Shape shape;
  while (!text.empty()) {
    const auto end = std::min(text.find('x'), text.size());
    shape.push_back(std::stoll(std::string(text.substr(0, end))));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return shape;
}

/// Weight number w is stream w of seed 47.
FormulaModel formula_model(const std::string& model) {
  const auto table = io::CsvTable::open(test::model_data + "keras_layers.csv");
  FormulaModel out;
  for (std::size_t row = 0; row < table.size(); ++row) {
    if (table.cell(row, 0) != model) continue;
    const std::string layer(table.cell(row, 1)), role(table.cell(row, 2));
    const Shape shape = parse_shape(table.cell(row, 3));
    double scale = role == "bias" ? 0.05 : 0.1;
    if (role == "kernel") {
      const double last = static_cast<double>(shape.at(-1)), before = static_cast<double>(shape.at(-2));
      scale = std::sqrt(6 / ((last + before) * (static_cast<double>(shape.numel()) / (last * before))));
    }
    const bool positive = role == "gamma" || role == "moving_variance";
    const RandomStream random{.seed = 47, .stream = out.values.size()};
    auto& values = out.values.emplace_back(static_cast<std::size_t>(shape.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double u = random.uniform(i);
      values[i] = static_cast<float>(positive ? 0.5 + u : (2 * u - 1) * scale);
    }
    if (out.layers.empty() || out.layers.back().name != layer) out.layers.push_back({layer, layer, {}});
    out.layers.back().weights.push_back(
        {role, text(layer, '/', role), io::tensor_view(std::span<const float>(values), shape)});
  }
  REQUIRE(!out.layers.empty());
  return out;
}

template <class Model>
void load(Model& model, const std::vector<ImportedTensor>& tensors) {
  StateDict<float, Cpu> dict;
  for (const auto& t : tensors)
    if (!t.name.empty()) dict.emplace_back(t.name, Tensor<float>(t.shape, std::span<const float>(t.values)));
  load_state_dict(model, dict);  // throws unless every name and shape fits
  set_training(model, false);
}

Variable<float> images() {
  auto values = uniform({2, 3, 64, 64}, {.seed = 1000, .stream = 0}).to_vector();
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] *= static_cast<float>(i < values.size() / 2 ? i / 64 % 64 : i % 64) / 64;
  return Variable<float>(Tensor<float>({2, 3, 64, 64}, std::span<const float>(values)));
}

/// Largest difference from Keras' output, over its largest element.
double difference(const std::string& model, const std::vector<float>& got) {
  const auto expected = io::Safetensors::open(test::model_data + "keras.safetensors").values<float>(model);
  REQUIRE(got.size() == expected.size());
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double d = std::abs(double{got[i]} - expected[i]);
    worst = d <= worst ? worst : d;  // a NaN stays
    largest = std::max(largest, std::abs(double{expected[i]}));
  }
  return worst / largest;
}

template <class Model>
double difference(const std::string& name, Model model, const std::vector<KerasLayer>& layers) {
  load(model, models::import_keras_layers(layers));
  return difference(name, model(images()).value().to_vector());
}

/// [n, 3, 64, 64] -> [n, 3, 8, 8], the upper left corner.
std::vector<float> corner(const Tensor<float>& t) {
  std::vector<float> out;
  const auto all = t.to_vector();
  for (std::size_t plane = 0; plane < all.size() / (64 * 64); ++plane)
    for (std::size_t i = 0; i < 8; ++i)
      for (std::size_t j = 0; j < 8; ++j) out.push_back(all[(plane * 64 + i) * 64 + j]);
  return out;
}

template <class E, class Action>
bool throws_with(const Action& action, const std::vector<std::string>& words) {
  try {
    action();
  } catch (const E& error) {
    for (const auto& word : words)
      if (std::string(error.what()).find(word) == std::string::npos) {
        MESSAGE("'", word, "' is not in: ", error.what());
        return false;
      }
    return true;
  }
  return false;
}

const ImportedTensor& named(const std::vector<ImportedTensor>& tensors, const std::string& name) {
  for (const auto& t : tensors)
    if (t.name == name) return t;
  FAIL("no tensor ", name);
  return tensors.front();
}

}  // namespace

TEST_CASE("keras: imported weights give what the Keras models give") {
  RandomStream random{.seed = 1};
  constexpr double limit = 1e-5;
  CHECK(difference("conv_net", models::ConvNet<float>(24, random), formula_model("conv_net").layers) < limit);
  CHECK(difference("autoencoder_classifier", models::AutoencoderClassifier<float>(22, random),
                   formula_model("autoencoder_classifier").layers) < limit);
  models::Autoencoder<float> autoencoder(random);
  load(autoencoder, models::import_keras_layers(formula_model("autoencoder").layers));
  CHECK(difference("autoencoder", corner(autoencoder(images()).value())) < limit);
}

TEST_CASE("keras: ResNet50, by the layers' names, and by their order where files keep no names") {
  RandomStream random{.seed = 1};
  auto keras = formula_model("resnet50");
  CHECK(difference("resnet50", models::ResNet50<float>(random), keras.layers) < 1e-4);
  const auto tensors = models::import_keras_layers(keras.layers, "resnet50");
  CHECK(tensors.size() == 53 * 6);
  CHECK(named(tensors, "layer3.0.downsample.1.running_var").source == "conv4_block1_0_bn/moving_variance");

  int convolutions = 0, norms = 0;  // as early Keras 3 numbers them; the file lists them by path
  for (auto& layer : keras.layers) {
    layer.container = "layers";
    int& number = layer.is_norm() ? norms : convolutions;
    layer.name = layer.is_norm() ? "batch_normalization" : "conv2d";
    if (number > 0) layer.name += text('_', number);
    ++number;
  }
  std::sort(keras.layers.begin(), keras.layers.end(),
            [](const KerasLayer& a, const KerasLayer& b) { return a.name < b.name; });
  const auto again = models::import_keras_layers(keras.layers);
  REQUIRE(again.size() == tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    REQUIRE(again[i].name == tensors[i].name);
    REQUIRE(again[i].source == tensors[i].source);
    REQUIRE(again[i].values == tensors[i].values);
  }
}

TEST_CASE("keras: the ResNet50 classifier, and the comparison sees one kernel that is turned") {
  RandomStream random{.seed = 1};
  auto keras = formula_model("resnet50_classifier");
  models::ResNet50Classifier<float> model(6, random);
  auto tensors = models::import_keras_layers(keras.layers);
  load(model, tensors);
  CHECK(difference("resnet50_classifier", model(images()).value().to_vector()) < 1e-4);
  set_training(model, false);
  CHECK(difference("resnet50_classifier", fold_batch_norm(model)(images()).value().to_vector()) < 1e-4);

  for (auto& t : tensors)
    if (t.name == "backbone.layer2.1.conv2.weight")
      for (std::size_t kernel = 0; kernel < t.values.size(); kernel += 9)
        for (const auto& [a, b] : {std::pair(1, 3), std::pair(2, 6), std::pair(5, 7)})
          std::swap(t.values[kernel + static_cast<std::size_t>(a)],
                    t.values[kernel + static_cast<std::size_t>(b)]);
  load(model, tensors);
  CHECK(difference("resnet50_classifier", model(images()).value().to_vector()) > 1e-3);

  // For the backbone alone the two dense layers have no place.
  const auto backbone = models::import_keras_layers(keras.layers, "resnet50");
  CHECK(backbone.size() == 53 * 6 + 4);
  CHECK(backbone.back().name.empty());
  CHECK(backbone.back().source == "dense_1/bias");
  CHECK(backbone.back().note.find("resnet50") != std::string::npos);
  CHECK(backbone.back().values.empty());
}

TEST_CASE("keras: files of Keras 2 and 3, in every layout, to the last element") {
  // Weight number w of a model: element i, in Keras' layout, is w + i / 65536. The models are kfer's with
  // fewer filters, for images of 8x8 (the classifier) and 4x4 (the plain network).
  struct File {
    const char *name, *model;
    std::vector<Shape> kernels;  // in Keras' order and layout
  };
  const std::vector<Shape> classifier = {{3, 3, 3, 4}, {3, 3, 4, 4}, {3, 3, 4, 4}, {3, 3, 5, 4}, {3, 3, 4, 5},
                                         {3, 3, 3, 4}, {3, 3, 3, 3}, {192, 6},     {6, 6}};
  const File files[] = {
      {"keras2_conv_net.h5", "conv_net", {{3, 3, 3, 5}, {3, 3, 5, 4}, {3, 3, 4, 2}, {32, 6}}},
      {"keras2_autoencoder_classifier.h5", "autoencoder_classifier", classifier},
      {"keras3_autoencoder_classifier.weights.h5", "autoencoder_classifier", classifier}};
  for (const auto& expected : files) {
    CAPTURE(expected.name);
    const auto file = io::Hdf5::open(std::string(KFER_TEST_DATA "/io/") + expected.name);
    const auto tensors = models::import_keras(file);
    const bool plain = expected.kernels.size() == 4;
    const std::vector<std::string> layers = plain ? std::vector<std::string>{"conv1", "conv2", "conv3", "fc"}
                                                  : std::vector<std::string>{"autoencoder.encoder.conv1",
                                                                             "autoencoder.encoder.conv2",
                                                                             "autoencoder.encoder.conv3",
                                                                             "autoencoder.decoder.conv1",
                                                                             "autoencoder.decoder.conv2",
                                                                             "autoencoder.decoder.conv3",
                                                                             "autoencoder.decoder.conv4",
                                                                             "fc1",
                                                                             "fc2"};
    REQUIRE(tensors.size() == 2 * layers.size());
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const auto &kernel = tensors[2 * l], &bias = tensors[2 * l + 1];
      CHECK(kernel.name == layers[l] + ".weight");
      CHECK(bias.name == layers[l] + ".bias");
      CHECK(file.at(kernel.source).shape == expected.kernels[l]);
      const Shape& s = expected.kernels[l];
      const float number = static_cast<float>(2 * l);
      std::size_t i = 0;
      bool same = true;
      if (s.rank() == 4) {  // [a, b, c, d] -> [d, c, a, b]
        REQUIRE(kernel.shape == Shape{s[3], s[2], s[0], s[1]});
        for (std::int64_t d = 0; d < s[3]; ++d)
          for (std::int64_t c = 0; c < s[2]; ++c)
            for (std::int64_t a = 0; a < s[0]; ++a)
              for (std::int64_t b = 0; b < s[1]; ++b, ++i)
                same &= kernel.values[i] ==
                        number + static_cast<float>(((a * s[1] + b) * s[2] + c) * s[3] + d) / 65536;
      } else {  // rows behind a Flatten: Keras counts (h, w, c), kfer (c, h, w)
        REQUIRE(kernel.shape == Shape{s[1], s[0]});
        const std::int64_t channels = s[0] == 192 ? 3 : s[0] == 32 ? 2 : s[0], area = s[0] / channels;
        for (std::int64_t out = 0; out < s[1]; ++out)
          for (std::int64_t c = 0; c < channels; ++c)
            for (std::int64_t place = 0; place < area; ++place, ++i)
              same &= kernel.values[i] ==
                      number + static_cast<float>((place * channels + c) * s[1] + out) / 65536;
      }
      CHECK(same);
      for (std::size_t k = 0; k < bias.values.size(); ++k)
        CHECK(bias.values[k] == number + 1 + static_cast<float>(k) / 65536);
    }
    CHECK(models::import_keras(file, expected.model).size() == tensors.size());
    CHECK(throws_with<FormatError>([&] { models::import_keras(file, "resnet50"); },
                                   {expected.name, "53 convolutions"}));
    CHECK(throws_with<ValueError>([&] { models::import_keras(file, "vgg"); }, {"vgg", "conv_net"}));
  }
}

TEST_CASE("keras: halves and doubles are converted") {
  auto keras = formula_model("conv_net");
  auto& bias = keras.layers.back().weights[1];
  const std::vector<double> doubles(24, 0.25);
  const std::vector<std::uint16_t> halves(24, 0x3400);
  bias.value = io::tensor_view(std::span<const double>(doubles), {24});
  const auto a = models::import_keras_layers(keras.layers);
  bias.value = {"F16", {24}, std::as_bytes(std::span(halves))};
  const auto b = models::import_keras_layers(keras.layers);
  CHECK(a.back().values == std::vector<float>(24, 0.25f));
  CHECK(b.back().values == std::vector<float>(24, 0.25f));
}

TEST_CASE("keras: layers that are not those of a model are refused, naming them") {
  const auto refuses = [](const std::vector<KerasLayer>& layers, std::string_view model,
                          std::vector<std::string> words) {
    words.push_back("'x.h5'");
    return throws_with<FormatError>([&] { models::import_keras_layers(layers, model, "x.h5"); }, words);
  };
  const auto whole = formula_model("conv_net");
  auto layers = whole.layers;
  layers[1].weights.pop_back();
  CHECK(refuses(layers, "", {layers[1].name, "no bias"}));
  layers = whole.layers;
  layers.pop_back();
  CHECK(refuses(layers, "", {"no model", "3 convolutions", "0 dense"}));
  layers = whole.layers;
  layers[0].weights[1].value = layers[1].weights[1].value;
  CHECK(refuses(layers, "", {layers[0].name + "/bias", "64", "128"}));
  layers = whole.layers;
  layers.back().weights[0].value.shape = {131070, 24};
  CHECK(refuses(layers, "", {"no square image"}));
  layers = whole.layers;
  layers.push_back({"embedding", "embedding", {{"embeddings", "e/embeddings", layers[3].weights[0].value}}});
  CHECK(refuses(layers, "", {"embedding", "e/embeddings"}));
  layers = whole.layers;
  for (auto& layer : layers) layer.container = layer.name;  // each in a model of its own, none with a number
  layers[0].name = "first";
  CHECK(refuses(layers, "", {"order is not known"}));
  layers = whole.layers;
  layers[2].name = layers[0].name;
  CHECK(refuses(layers, "", {"order is not known"}));

  auto resnet = formula_model("resnet50");
  resnet.layers[4].name = "conv9_block1_1_conv";
  CHECK(refuses(resnet.layers, "", {"no layer 'conv2_block1_2_conv'"}));
  resnet.layers[4].name = "res2a_branch2a";
  CHECK(refuses(resnet.layers, "", {"res2a_branch2a", "keras-applications"}));

  const auto file = io::Hdf5::open(KFER_TEST_DATA "/io/hdf5_old.h5");
  CHECK(
      throws_with<FormatError>([&] { models::import_keras(file); }, {"hdf5_old.h5", "no weights of Keras"}));
}
