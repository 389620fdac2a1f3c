// Which model some weights belong to: told from names and shapes, so that a file of weights is enough to make
// the model it fits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kfer/models/autoencoder.hpp"
#include "kfer/models/conv_net.hpp"
#include "kfer/models/resnet.hpp"
#include "kfer/models/resnet18.hpp"

namespace kfer::models {

/// One of kfer's models, as far as its weights tell it from others.
struct ModelKind {
  std::string name;             ///< as model_name: "resnet50", "conv_net", ...
  std::int64_t classes = 0;     ///< of a classifier
  std::int64_t kernel = 0;      ///< of conv_net
  std::int64_t image_size = 0;  ///< of conv_net and autoencoder_classifier
  std::string form = {};        ///< of a ResNet: "keras" or "torchvision"
};

/// The configuration of a ResNet form. Throws ValueError unless it is "keras" or "torchvision".
inline ResNetConfig resnet_config(std::string_view form) {
  require(form == "keras" || form == "torchvision", "a ResNet's form is keras or torchvision, got '", form,
          "'");
  return form == "keras" ? ResNetConfig::keras() : ResNetConfig::torchvision();
}

/// The model whose state dictionary holds such tensors, or none. `shape_of(name)` is a pointer to the shape
/// of the tensor of that name, or null. A first guess: the model made from it says whether all names and
/// shapes fit.
template <class ShapeOf>
std::optional<ModelKind> identify_model(const ShapeOf& shape_of) {
  const auto shape = [&](const char* name, std::size_t rank) -> const Shape* {
    const Shape* found = shape_of(std::string(name));
    return found && found->rank() == rank ? found : nullptr;
  };
  const auto side = [](std::int64_t inputs,
                       std::int64_t channels) {  // of the square maps that were flattened
    std::int64_t n = 0;
    while (n * n * channels < inputs && n < 4096) ++n;
    return n;
  };
  const auto form = [&](const char* bias) { return shape(bias, 1) ? "keras" : "torchvision"; };
  if (shape("backbone.layer1.0.conv3.weight", 4)) {
    const auto* head = shape("fc2.bias", 1);
    return ModelKind{
        .name = "resnet50_classifier", .classes = head ? (*head)[0] : 0, .form = form("backbone.conv1.bias")};
  }
  if (shape("layer1.0.conv3.weight", 4)) return ModelKind{.name = "resnet50", .form = form("conv1.bias")};
  if (shape("layer1.0.conv2.weight", 4)) return ModelKind{.name = "resnet18", .form = form("conv1.bias")};
  if (const auto* fc1 = shape("fc1.weight", 2); fc1 && shape("autoencoder.encoder.conv1.weight", 4))
    return ModelKind{
        .name = "autoencoder_classifier", .classes = (*fc1)[0], .image_size = side((*fc1)[1], 3)};
  if (shape("encoder.conv1.weight", 4)) return ModelKind{.name = "autoencoder"};
  const auto *conv = shape("conv1.weight", 4), *fc = shape("fc.weight", 2);
  if (conv && fc)
    return ModelKind{
        .name = "conv_net", .classes = (*fc)[0], .kernel = (*conv)[3], .image_size = side((*fc)[1], 32)};
  return std::nullopt;
}

/// The same for the tensors of a file (any range of name and something with a shape).
template <class Tensors>
std::optional<ModelKind> identify_tensors(const Tensors& tensors) {
  return identify_model([&](const std::string& name) -> const Shape* {
    for (const auto& [other, tensor] : tensors)
      if (other == name) return &tensor.shape;
    return nullptr;
  });
}

/// Makes the model (its weights are random) and returns `use(model)`. Throws ValueError for a kind that is
/// none, or whose sizes no model has.
template <FloatingElement T = float, class D = Cpu, class Use>
auto with_model(const ModelKind& kind, Use&& use) {
  RandomStream random{.seed = 0, .stream = 0};
  const auto sizes = [&](std::int64_t image_limit) {
    require(kind.classes >= 1 && kind.classes <= 100'000, kind.name, ": ", kind.classes, " classes");
    require(image_limit == 0 || (kind.image_size >= 1 && kind.image_size <= image_limit), kind.name,
            ": images of size ", kind.image_size);
  };
  if (kind.name == "resnet50") {
    ResNet50<T, D> model(random, resnet_config(kind.form));
    return use(model);
  }
  if (kind.name == "resnet18") {
    ResNet18<T, D> model(random, resnet_config(kind.form));
    return use(model);
  }
  if (kind.name == "resnet50_classifier") {
    sizes(0);
    ResNet50Classifier<T, D> model(kind.classes, random, resnet_config(kind.form));
    return use(model);
  }
  if (kind.name == "autoencoder") {
    Autoencoder<T, D> model(random);
    return use(model);
  }
  if (kind.name == "autoencoder_classifier") {
    sizes(512);
    AutoencoderClassifier<T, D> model(kind.classes, random, kind.image_size);
    return use(model);
  }
  require(kind.name == "conv_net", "kfer has no model '", kind.name, "'");
  sizes(512);
  require(kind.kernel >= 1 && kind.kernel <= 31 && kind.kernel % 2 == 1, "conv_net: kernels of size ",
          kind.kernel);
  ConvNet<T, D> model(kind.classes, random, {.kernel = kind.kernel, .image_size = kind.image_size});
  return use(model);
}

}  // namespace kfer::models
