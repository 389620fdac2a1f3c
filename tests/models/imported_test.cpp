// Weights of other programs in kfer's models: what TensorFlow and torchvision compute from them
// (tests/data/README.md), and what any other program computed, where KFER_PEER_CASE names a directory.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

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
  const auto index = io::read_file(test::model_data + "tf_autoencoder.index"), shard = tf_autoencoder_data();
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
  CHECK(tensors[6].note == "HWOI -> [in, out, H, W]");
  CHECK(tensors[6].source == "layer_with_weights-3/kernel/.ATTRIBUTES/VARIABLE_VALUE");

  RandomStream random{.seed = 1, .stream = 0};
  models::Autoencoder<float> model(random);
  load_state_dict(model, dictionary(tensors));
  set_training(model, false);
  const auto y = model(Variable<float>(uniform({4, 3, 16, 16}, {.seed = 1000, .stream = 0})));
  const auto expected =
      stored(io::Safetensors::open(test::model_data + "tf_autoencoder.safetensors"), "reconstruction");
  REQUIRE(y.shape() == expected.shape());
  CHECK(largest_difference(y.value(), expected) < 1e-5);

  CHECK_THROWS_AS(models::import_tf(checkpoint, "conv_net"), FormatError);
  CHECK_THROWS_AS(models::import_tf(checkpoint, "resnet18"), ValueError);
}

TEST_CASE("resnet18 and resnet50 in torchvision's form compute torchvision's features") {
  const auto file = io::Safetensors::open(test::model_data + "torchvision.safetensors");
  const auto images = uniform({2, 3, 64, 64}, {.seed = 1000, .stream = 0});
  for (const std::string name : {"resnet18", "resnet50"}) {
    CAPTURE(name);
    models::with_model({.name = name, .form = "torchvision"}, [&](auto& model) {
      REQUIRE(names_of(model) == file.metadata(name + ".state_dict").value());
      test::fill_by_formula(model);
      set_training(model, false);
      const auto y = model(Variable<float>(images));
      CHECK(largest_difference(y.value(), stored(file, name)) < 1e-4);
      auto folded = fold_batch_norm(model);
      const auto z = folded(Variable<float>(images));
      CHECK(largest_difference(z.value(), stored(file, name)) < 1e-4);
      CHECK(relative_rms(cast<double>(z.value()), cast<double>(y.value())) < 1e-5);
      NoGrad no_grad;
      CHECK(largest_difference(folded(Variable<float>(images)).value(), stored(file, name)) < 1e-4);
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
  const auto parameters = named_parameters(model);
  for (const std::size_t which : {std::size_t{0}, std::size_t{12}, parameters.size() - 1}) {
    const std::string name = parameters[which].first;
    auto p = parameters[which].second;
    CAPTURE(name);
    const auto values = p.value().to_vector();
    const double exact = p.grad().to_vector()[1], step = 1e-5;
    const auto shifted = [&](double by) {
      auto v = values;
      v[1] += by;
      p.mutable_value() = Tensor<double>(p.shape(), std::span<const double>(v));
      return loss().item();
    };
    const double numeric = (shifted(step) - shifted(-step)) / (2 * step);
    shifted(0);
    CHECK(std::abs(numeric - exact) < 1e-6 * (1 + std::abs(exact)));
  }
}

TEST_CASE("lists of arrays are taken in the order of the real Keras models' layers") {
  const auto table = io::CsvTable::open(test::model_data + "parameter_counts.csv");
  for (const std::string model : {"autoencoder", "autoencoder_classifier", "conv_net", "resnet50"}) {
    CAPTURE(model);
    const std::string name = model == "resnet50" ? "resnet50_classifier" : model;
    models::with_model(
        {.name = name, .classes = 24, .kernel = 5, .image_size = 64, .form = "keras"}, [&](auto& made) {
          std::map<std::string, Shape> shapes;
          for (const auto& [path, tensor] : state_dict(made)) shapes.emplace(path, tensor.shape());
          // An array of each weight, as get_weights() would list them: all values are the array's number.
          std::vector<std::pair<std::string, std::vector<float>>> values;
          std::vector<io::NamedTensor> arrays;
          std::size_t layers = 0;
          for (std::size_t row = 0; row < table.size(); ++row) {
            if (table.cell(row, 0) != model || table.cell(row, 2).empty()) continue;
            if (table.as_int(row, 1) != (model == "autoencoder" ? 0 : 24)) continue;
            const auto layer = test::layer_name(model, layers++, std::string(table.cell(row, 2)));
            const bool norm = table.cell(row, 3) == "BatchNormalization";
            for (const char* kind : {"weight", "bias", "running_mean", "running_var"}) {
              if (!norm && kind[0] == 'r') continue;
              const auto path = text(layer, '.', kind);
              REQUIRE(shapes.contains(path));
              const Shape s = shapes.at(path);
              const Shape keras = s.rank() == 4   ? Shape{s[2], s[3], s[1], s[0]}
                                  : s.rank() == 2 ? Shape{s[1], s[0]}
                                                  : s;
              values.emplace_back(path, std::vector<float>(static_cast<std::size_t>(s.numel()),
                                                           static_cast<float>(values.size())));
              arrays.emplace_back(text("arr_", arrays.size()),
                                  io::tensor_view(std::span<const float>(values.back().second), keras));
            }
          }
          REQUIRE(values.size() == shapes.size());
          for (const auto& tensor : models::import_keras_list(arrays, "", "x.npz")) {
            CAPTURE(tensor.name);
            REQUIRE(shapes.contains(tensor.name));
            CHECK(tensor.shape == shapes.at(tensor.name));
            const auto number = static_cast<std::size_t>(tensor.values.at(0));
            CHECK(values.at(number).first == tensor.name);
            CHECK(tensor.source == text("arr_", number));
            shapes.erase(tensor.name);
          }
          CHECK(shapes.empty());
        });
  }
}

TEST_CASE("a list of arrays that is no Keras model's is refused, naming the array") {
  const std::vector<float> values(24);
  const auto view = [&](const Shape& shape) {
    return io::tensor_view(std::span<const float>(values).first(static_cast<std::size_t>(shape.numel())),
                           shape);
  };
  const std::vector<std::vector<io::NamedTensor>> lists = {
      {},
      {{"k", view({3, 4})}},                                   // no bias
      {{"k", view({3, 4})}, {"other", view({4, 2})}},          // another kernel where the bias should be
      {{"g", view({4})}, {"b", view({4})}, {"m", view({4})}},  // no variance
      {{"k", view({3, 4})}, {"b", view({4})}},                 // one dense layer: no model of kfer
      {{"k", view({2, 2, 2})}, {"b", view({2})}},              // no such kernel
  };
  for (const auto& list : lists) CHECK_THROWS_AS(models::import_keras_list(list, "", "x.npz"), FormatError);
  CHECK_THROWS_AS(models::import_keras_list(lists[4], "conv_net", "x.npz"), FormatError);
  CHECK_THROWS_AS(models::import_keras_list(lists[4], "vgg16", "x.npz"), ValueError);
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

TEST_CASE("the form of a ResNet's weights is told by its metadata and its biases, which must agree") {
  const auto path = (std::filesystem::temp_directory_path() / text("kfer_form_", ::getpid())).string();
  const std::vector<float> values(64);
  const auto config = [&](const char* bias, const char* form) {
    std::vector<io::NamedTensor> tensors = {{"bn1.weight", io::tensor_view<float>(values, {64})}};
    if (bias) tensors.emplace_back(bias, io::tensor_view<float>(values, {64}));
    io::write_safetensors(path, tensors, form ? io::Metadata{{"form", form}} : io::Metadata{});
    return models::resnet_config_of(path);
  };
  for (const char* form : {static_cast<const char*>(nullptr), "keras"})
    for (const char* bias : {"conv1.bias", "backbone.conv1.bias"}) {
      CHECK(config(bias, form).conv_bias);
      CHECK(config(bias, form).stride_on_first);
    }
  for (const char* form : {static_cast<const char*>(nullptr), "torchvision"}) {
    CHECK_FALSE(config(nullptr, form).conv_bias);
    CHECK(config(nullptr, form).eps == 1e-5);
  }
  CHECK_THROWS_AS(config(nullptr, "keras"), FormatError);
  CHECK_THROWS_AS(config("conv1.bias", "torchvision"), FormatError);
  CHECK_THROWS_AS(config(nullptr, "caffe"), FormatError);
  std::filesystem::remove(path);
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
