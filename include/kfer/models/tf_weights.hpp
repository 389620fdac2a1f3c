// Weights that Keras saved as a TensorFlow checkpoint (`model.save_weights("x.ckpt")` of TensorFlow 2, and
// ModelCheckpoint's), in kfer's names and layouts.
#pragma once

#include <charconv>
#include <map>

#include "kfer/io/tf_checkpoint.hpp"
#include "kfer/models/keras_order.hpp"

namespace kfer::models {

namespace detail {

/// "model/layer_with_weights-4/layer_with_weights-2/kernel/.ATTRIBUTES/VARIABLE_VALUE": the object that holds
/// the layers, the layer's numbers, outermost first, and what the variable is to it. No role for what is no
/// weight of a layer.
struct TfVariable {
  std::pair<std::string, std::vector<std::int64_t>> layer;
  std::string role;

  explicit TfVariable(std::string_view name) {
    constexpr std::string_view prefix = "layer_with_weights-", end = "/.ATTRIBUTES/VARIABLE_VALUE";
    const auto first = name.starts_with(prefix) ? 0 : name.find(text('/', prefix)) + 1;
    layer.first = name.substr(0, first);
    name.remove_prefix(first);
    while (name.starts_with(prefix)) {
      name.remove_prefix(prefix.size());
      std::int64_t number = 0;
      const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
      if (error != std::errc{} || rest == name.data() + name.size() || *rest != '/') return;
      layer.second.push_back(number);
      name.remove_prefix(static_cast<std::size_t>(rest - name.data()) + 1);
    }
    if (layer.second.empty() || !name.ends_with(end)) return;
    name.remove_suffix(end.size());
    if (name.find('/') == std::string_view::npos) role = name;
  }
};

/// Why a variable is not a weight.
inline std::string not_a_weight(std::string_view name) {
  if (name.find("/.OPTIMIZER_SLOT/") != std::string_view::npos) return "a slot of the optimiser";
  if (name.starts_with("optimizer/")) return "the optimiser's";
  if (name.starts_with("save_counter")) return "TensorFlow's count of saves";
  return "no weight of a layer";
}

}  // namespace detail

/// The weights of a checkpoint for kfer's `model` ("" tells it from the layers), then what is no weight, with
/// an empty name. Throws FormatError naming file and tensor where the layers are not those of the model.
inline std::vector<ImportedTensor> import_tf(const io::TfCheckpoint& file, std::string_view model = "") {
  std::map<decltype(detail::TfVariable::layer), KerasLayer> by_number;
  std::vector<ImportedTensor> others;
  for (const auto& [name, value] : file.tensors()) {
    const detail::TfVariable variable(name);
    if (variable.role.empty()) {
      others.push_back({"", name, detail::not_a_weight(name), {}, {}});
      continue;
    }
    auto& layer = by_number[variable.layer];
    layer.path = name.substr(0, name.find(text('/', variable.role, "/.ATTRIBUTES")));
    layer.weights.push_back({variable.role, name, value});
  }
  for (const auto& name : file.strings()) others.push_back({"", name, "strings", {}, {}});
  std::vector<KerasLayer> layers;
  for (auto& [number, layer] : by_number) layers.push_back(std::move(layer));
  number_keras_layers(layers);
  auto out = import_keras_layers(layers, model, file.name());
  out.insert(out.end(), others.begin(), others.end());
  return out;
}

}  // namespace kfer::models
