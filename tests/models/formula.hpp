// What the tests of models share with the scripts of tests/data/models: weights by formula, so that no file
// need hold them, and Keras' layers in kfer's names.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "kfer/kfer.hpp"

namespace kfer::test {

inline const std::string model_data = std::string(KFER_TEST_DATA) + "/models/";

/// kfer's name of the index-th Keras layer with weights.
inline std::string layer_name(const std::string& model, std::size_t index, const std::string& keras) {
  if (model == "resnet50") {
    if (keras == "conv1_conv") return "backbone.conv1";
    if (keras == "conv1_bn") return "backbone.bn1";
    if (!keras.starts_with("conv")) return index == 106 ? "fc1" : "fc2";
    const int stage = keras[4] - '0', block = keras[11] - '0', number = keras[13] - '0';
    const bool norm = keras.ends_with("_bn");
    return text("backbone.layer", stage - 1, '.', block - 1, '.',
                number == 0 ? text("downsample.", int{norm}) : text(norm ? "bn" : "conv", number));
  }
  if (model == "conv_net") return index == 3 ? "fc" : text("conv", index + 1);
  const std::string part = index < 3 ? text("encoder.conv", index + 1) : text("decoder.conv", index - 2);
  if (model == "autoencoder") return part;
  return index < 7 ? "autoencoder." + part : text("fc", index - 6);
}

/// Weights by formula: tensor number t of the state dictionary is stream t of seed 46.
template <class Model>
void fill_by_formula(Model& model) {
  StateDict<float, Cpu> dict;
  std::uint64_t stream = 0;
  for (const auto& [name, tensor] : state_dict(model)) {
    const Shape& s = tensor.shape();
    const auto dot = name.rfind('.');
    const std::string kind = name.substr(dot + 1), path = name.substr(0, dot),
                      layer = path.substr(path.rfind('.') + 1);
    const bool norm = layer.starts_with("bn") || path.ends_with("downsample.1");
    const RandomStream random{.seed = 46, .stream = stream++};
    std::vector<float> values(static_cast<std::size_t>(s.numel()));
    double scale = 0.05;
    if (!norm && kind == "weight")
      scale = std::sqrt(6.0 / static_cast<double>((s[0] + s[1]) * (s.numel() / (s[0] * s[1]))));
    if (norm) scale = 0.1;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double u = random.uniform(i);
      values[i] = static_cast<float>(
          norm && (kind == "weight" || kind == "running_var") ? 0.5 + u : (2 * u - 1) * scale);
    }
    dict.emplace_back(name, Tensor<float>(s, std::span<const float>(values)));
  }
  load_state_dict(model, dict);
}

}  // namespace kfer::test
