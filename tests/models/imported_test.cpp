// Weights of other programs in kfer's models: what TensorFlow and torchvision compute from them
// (tests/data/README.md), and what any other program computed, where KFER_PEER_CASE names a directory.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "kfer/io/csv.hpp"
#include "kfer/io/npz.hpp"
#include "kfer/kfer.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/models/keras_order.hpp"
#include "kfer/models/tf_weights.hpp"
#include "kfer/models/torchvision_weights.hpp"
#include "models/formula.hpp"
#include "support/golden.hpp"

using namespace kfer;

namespace {

const std::string data = std::string(KFER_TEST_DATA) + "/models/";

template <class Model>
std::string names_of(Model& model) {
  std::string names;
  for (const auto& [name, tensor] : state_dict(model)) names += (names.empty() ? "" : ",") + name;
  return names;
}

Tensor<float> stored(const io::Safetensors& file, const std::string& name) {
  return {file.at(name).shape, std::span<const float>(file.values<float>(name))};
}

/// The imported tensors that have a place, as a state dictionary.
StateDict<float, Cpu> dictionary(const std::vector<models::ImportedTensor>& tensors) {
  StateDict<float, Cpu> dict;
  for (const auto& tensor : tensors)
    if (!tensor.name.empty())
      dict.emplace_back(tensor.name, Tensor<float>(tensor.shape, std::span<const float>(tensor.values)));
  return dict;
}

/// A kernel as Keras stores it: OIHW (IOHW) to HWIO (HWOI).
std::vector<float> keras_kernel(const Tensor<float>& w) {
  const auto v = w.to_vector();
  const auto o = w.size(0), i = w.size(1), area = w.size(2) * w.size(3);
  std::vector<float> out(v.size());
  for (std::int64_t a = 0; a < o; ++a)
    for (std::int64_t b = 0; b < i; ++b)
      for (std::int64_t p = 0; p < area; ++p)
        out[static_cast<std::size_t>((p * i + b) * o + a)] =
            v[static_cast<std::size_t>((a * i + b) * area + p)];
  return out;
}

/// The data shard of tests/data/models/tf_autoencoder.index: what the script let TensorFlow save, by the same
/// formula. The index holds a CRC of every tensor, so a single wrong bit is an error.
std::vector<std::byte> tf_autoencoder_data() {
  RandomStream random{.seed = 1, .stream = 0};
  models::Autoencoder<float> model(random);
  test::fill_by_formula(model);
  std::vector<std::byte> out;
  out.push_back(std::byte{5});  // the string: its length, the CRC of that, its bytes
  const std::uint32_t length = 5;
  io::append_le(out, io::masked_crc32c(std::as_bytes(std::span(&length, 1))));
  io::append(out, io::as_bytes("graph"));
  const auto dict = state_dict(model);
  for (std::size_t layer = 0; layer < 7; ++layer) {  // names are sorted: a bias, its slot, a kernel
    const auto bias = dict[2 * layer + 1].second.to_vector(), kernel = keras_kernel(dict[2 * layer].second);
    io::append(out, std::as_bytes(std::span(bias)));
    if (layer == 0) out.resize(out.size() + 32 * sizeof(float));
    io::append(out, std::as_bytes(std::span(kernel)));
  }
  io::append_le(out, std::int64_t{7});
  return out;
}

}  // namespace

TEST_CASE("an autoencoder that TensorFlow saved reconstructs as TensorFlow does") {
  const auto index = io::read_file(data + "tf_autoencoder.index"), shard = tf_autoencoder_data();
  const io::Bytes shards[] = {shard};
  const auto checkpoint = io::TfCheckpoint::parse(index, shards, "tf_autoencoder.index");
  CHECK(checkpoint.tensors().size() == 16);
  const auto tensors = models::import_tf(checkpoint);
  REQUIRE(tensors.size() == 17);
  for (std::size_t i = 14; i < 17; ++i) CHECK(tensors[i].name.empty());
  CHECK(tensors[14].note == "a slot of the optimiser");
  CHECK(tensors[15].note == "the optimiser's");
  CHECK(tensors[16].note == "strings");
  CHECK(tensors[6].name == "decoder.conv1.weight");
  CHECK(tensors[6].note == "HWOI -> IOHW");
  CHECK(tensors[6].source == "layer_with_weights-3/kernel/.ATTRIBUTES/VARIABLE_VALUE");

  RandomStream random{.seed = 1, .stream = 0};
  models::Autoencoder<float> model(random);
  load_state_dict(model, dictionary(tensors));
  set_training(model, false);
  const auto y = model(Variable<float>(uniform({4, 3, 16, 16}, {.seed = 1000, .stream = 0})));
  const auto expected = stored(io::Safetensors::open(data + "tf_autoencoder.safetensors"), "reconstruction");
  REQUIRE(y.shape() == expected.shape());
  CHECK(largest_difference(y.value(), expected) < 1e-5);

  CHECK_THROWS_AS(models::import_tf(checkpoint, "conv_net"), FormatError);
  CHECK_THROWS_AS(models::import_tf(checkpoint, "resnet18"), ValueError);
}

TEST_CASE("resnet18 and resnet50 in torchvision's form compute torchvision's features") {
  const auto file = io::Safetensors::open(data + "torchvision.safetensors");
  const auto images = uniform({2, 3, 64, 64}, {.seed = 1000, .stream = 0});
  for (const std::string name : {"resnet18", "resnet50"}) {
    CAPTURE(name);
    models::with_model({.name = name, .form = "torchvision"}, [&](auto& model) {
      REQUIRE(names_of(model) == file.metadata(name + ".state_dict").value());
      test::fill_by_formula(model);
      set_training(model, false);
      const auto y = model(Variable<float>(images));
      CHECK(largest_difference(y.value(), stored(file, name)) < 1e-4);
    });
  }
  models::with_model({.name = "resnet18", .form = "torchvision"},
                     [&](auto& model) { CHECK(count_parameters(model).total == 11'186'112); });
}

TEST_CASE("resnet18 trains: its gradients are those of finite differences") {
  RandomStream random{.seed = 3, .stream = 0};
  models::ResNet18<double> model(random);
  set_training(model, false);  // running statistics: a smooth function of one image
  const Variable<double> x(uniform<double>({1, 3, 32, 32}, {.seed = 4, .stream = 0}));
  const auto loss = [&] { return sum(model(x)); };
  zero_grad(model);
  backward(loss());
  for (const auto& [name, p] :
       {named_parameters(model)[0], named_parameters(model)[12], named_parameters(model).back()}) {
    CAPTURE(name);
    const auto values = p.value().to_vector();
    const double exact = p.grad().to_vector()[1], step = 1e-5;
    const auto shifted = [&](double by) {
      auto v = values;
      v[1] += by;
      auto q = p;
      q.mutable_value() = Tensor<double>(p.shape(), std::span<const double>(v));
      return loss().item();
    };
    const double numeric = (shifted(step) - shifted(-step)) / (2 * step);
    shifted(0);
    CHECK(std::abs(numeric - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

TEST_CASE("Keras' order of weights is that of the real models' layers, and leaves no parameter out") {
  const auto table = io::CsvTable::open(data + "parameter_counts.csv");
  for (const std::string model :
       {"autoencoder", "autoencoder_classifier", "conv_net", "resnet50_classifier"}) {
    CAPTURE(model);
    const std::string listed = model == "resnet50_classifier" ? "resnet50" : model;
    const auto order = models::keras_order(model);
    models::with_model({.name = model, .classes = 24, .kernel = 5, .image_size = 64, .form = "keras"},
                       [&](auto& made) {
                         std::map<std::string, Shape> shapes;
                         for (const auto& [name, tensor] : state_dict(made))
                           shapes.emplace(name, tensor.shape());
                         CHECK(shapes.size() == order.size());
                         // Walk the layers of the file, in Keras' order, and ours: as many parameters each.
                         std::size_t at = 0;
                         for (std::size_t row = 0; row < table.size(); ++row) {
                           if (table.cell(row, 0) != listed || table.cell(row, 2).empty()) continue;
                           if (table.as_int(row, 1) != (model == "autoencoder" ? 0 : 24)) continue;
                           const std::string keras(table.cell(row, 2));
                           CAPTURE(keras);
                           const std::size_t arrays = table.cell(row, 3) == "BatchNormalization" ? 4 : 2;
                           REQUIRE(at + arrays <= order.size());
                           std::int64_t values = 0;
                           for (std::size_t i = at; i < at + arrays; ++i) {
                             REQUIRE(shapes.contains(order[i]));
                             values += shapes.at(order[i]).numel();
                             if (keras.ends_with("_0_conv"))
                               CHECK(order[i].find("downsample.0.") != std::string::npos);
                             if (keras.ends_with("_0_bn"))
                               CHECK(order[i].find("downsample.1.") != std::string::npos);
                           }
                           CHECK(values == table.as_int(row, 4));
                           at += arrays;
                         }
                         CHECK(at == order.size());
                       });
  }
}

TEST_CASE("behind Flatten, Keras' channels-last inputs find their places") {
  // A dense layer of 2x2 maps of 3 channels to 2 outputs: the value tells its place, h w c o.
  std::vector<float> values(24);
  for (int i = 0; i < 24; ++i) values[static_cast<std::size_t>(i)] = static_cast<float>(i);
  const auto out = models::from_keras("fc1.weight", "dense", io::tensor_view<float>(values, {12, 2}), 3);
  CHECK(out.shape == Shape{2, 12});
  for (int o = 0; o < 2; ++o)
    for (int c = 0; c < 3; ++c)
      for (int p = 0; p < 4; ++p)
        CHECK(out.values[static_cast<std::size_t>(o * 12 + c * 4 + p)] ==
              static_cast<float>((p * 3 + c) * 2 + o));
  CHECK_THROWS_AS(models::from_keras("fc", "dense", io::tensor_view<float>(values, {8, 3}), 3), FormatError);
  CHECK_THROWS_AS(models::from_keras("fc", "dense", io::tensor_view<float>(values, {2, 3, 4})), FormatError);
  const std::vector<std::int64_t> integers(2);
  CHECK_THROWS_AS(models::from_keras("fc", "dense", io::tensor_view<std::int64_t>(integers, {2})),
                  FormatError);
  CHECK_THROWS_AS(models::import_keras_order({}, "", "x.npz"), FormatError);
  CHECK_THROWS_AS(
      models::import_keras_order({{"a", io::tensor_view<float>(values, {24})}}, "conv_net", "x.npz"),
      FormatError);
}

TEST_CASE("models are told from their weights") {
  const models::ModelKind kinds[] = {
      {.name = "resnet50", .form = "keras"},
      {.name = "resnet50", .form = "torchvision"},
      {.name = "resnet18", .form = "torchvision"},
      {.name = "resnet50_classifier", .classes = 22, .form = "keras"},
      {.name = "autoencoder"},
      {.name = "autoencoder_classifier", .classes = 6, .image_size = 64},
      {.name = "conv_net", .classes = 22, .kernel = 3, .image_size = 32},
  };
  for (const auto& kind : kinds) {
    CAPTURE(kind.name);
    models::with_model(kind, [&](auto& model) {
      CHECK(model_name(model) == kind.name);
      const auto dict = state_dict(model);
      std::vector<std::pair<std::string, io::TensorView>> views;
      for (const auto& [name, tensor] : dict)
        views.emplace_back(name, io::TensorView{"F32", tensor.shape(), {}});
      const auto found = models::identify_tensors(views);
      REQUIRE(found.has_value());
      CHECK(found->name == kind.name);
      CHECK(found->classes == kind.classes);
      CHECK(found->kernel == kind.kernel);
      CHECK(found->image_size == kind.image_size);
      CHECK(found->form == kind.form);
    });
  }
  CHECK_FALSE(models::identify_tensors(std::vector<io::NamedTensor>{}).has_value());
  const auto nothing = [](auto&) {};
  CHECK_THROWS_AS(models::with_model({.name = "vgg16"}, nothing), ValueError);
  CHECK_THROWS_AS(models::with_model({.name = "resnet50", .form = "caffe"}, nothing), ValueError);
  CHECK_THROWS_AS(
      models::with_model({.name = "conv_net", .classes = 6, .kernel = 4, .image_size = 64}, nothing),
      ValueError);
}

TEST_CASE("of a state dictionary the classifier and the counters stay behind") {
  const std::vector<float> ones(64, 1.0f);
  const std::vector<std::int64_t> count = {7};
  const std::vector<io::NamedTensor> tensors = {
      {"layer1.0.conv2.weight", io::tensor_view<float>(ones, {4, 4, 2, 2})},
      {"bn1.num_batches_tracked", io::tensor_view<std::int64_t>(count, {})},
      {"fc.bias", io::tensor_view<float>(ones, {64})}};
  const auto out = models::import_state_dict(tensors, "'x'");
  REQUIRE(out.size() == 3);
  CHECK(out[0].name == "layer1.0.conv2.weight");
  CHECK(out[0].values == ones);
  CHECK(out[1].name.empty());
  CHECK(out[2].name.empty());
  CHECK(out[2].note == "the classifier");
  const std::vector<io::NamedTensor> integer = {{"conv1.weight", io::tensor_view<std::int64_t>(count, {1})}};
  CHECK_THROWS_AS(models::import_state_dict(integer, "'x'"), FormatError);
}

TEST_CASE("what other programs compute from the same weights") {
  // For tests/peers: weights.safetensors as import_weights wrote it, case.npz with the images x, the outputs
  // y and the tolerance; the weights are saved again as saved.safetensors, for the other program to read.
  const char* directory = std::getenv("KFER_PEER_CASE");
  if (directory == nullptr) return;
  const std::string folder = std::string(directory) + '/';
  const auto weights = io::Safetensors::open(folder + "weights.safetensors");
  std::map<std::string, Tensor<float>> arrays;
  for (const auto& [name, array] : io::read_npz(folder + "case.npz"))
    arrays.emplace(name, Tensor<float>(array.shape, std::span<const float>(array.values<float>())));
  const auto kind = models::identify_tensors(weights.tensors());
  REQUIRE(kind.has_value());
  models::with_model(*kind, [&](auto& model) {
    load_weights(model, folder + "weights.safetensors");
    set_training(model, false);
    const NoGrad guard;
    const auto y = model(Variable<float>(arrays.at("x")));
    REQUIRE(y.shape() == arrays.at("y").shape());
    const double difference = largest_difference(y.value(), arrays.at("y"));
    std::printf("%s: largest difference %.2e\n", kind->name.c_str(), difference);
    CHECK(difference < arrays.at("tolerance").item());
    save_weights(model, folder + "saved.safetensors");
  });
}
