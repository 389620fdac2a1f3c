// Weights that tests and the scripts of tests/data/models make alike, so that no file need hold them.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "kfer/kfer.hpp"

namespace kfer::test {

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
