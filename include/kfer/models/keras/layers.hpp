// The layers of a Keras model as its weights files list them: which layers hold which weights, in any of the
// three layouts of Keras' HDF5 files.
#pragma once

#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kfer/io/hdf5.hpp"

namespace kfer::models {

/// One weight of a Keras layer.
struct KerasWeight {
  std::string role;    ///< "kernel", "bias", "gamma", "beta", "moving_mean" or "moving_variance"
  std::string source;  ///< the dataset's path
  io::TensorView value;
};

/// A Keras layer that has weights.
struct KerasLayer {
  std::string name;                  ///< Keras', "conv2d_3", "conv1_bn"
  std::string path;                  ///< where it lies in the file, with the models that it is part of
  std::vector<KerasWeight> weights;  ///< in the file's order
  std::string container = {};  ///< the list of layers that numbers it; empty where the file has an order

  const KerasWeight* find(std::string_view role) const {
    for (const auto& weight : weights)
      if (weight.role == role) return &weight;
    return nullptr;
  }
  std::size_t kernel_rank() const {
    const auto* kernel = find("kernel");
    return kernel ? kernel->value.shape.rank() : 0;
  }
  bool is_norm() const { return find("moving_mean") != nullptr; }
  bool is_transposed() const {
    return kernel_rank() == 4 && (name + path).find("transpose") != std::string::npos;
  }
};

namespace detail {

/// "conv2d_12" -> ("conv2d", 12), "conv2d" -> ("conv2d", 0): how Keras numbers what nobody named.
inline std::pair<std::string_view, std::uint64_t> stem_and_number(std::string_view name) {
  const auto bar = name.rfind('_');
  std::uint64_t number = 0;
  if (bar == std::string_view::npos || bar + 1 == name.size()) return {name, 0};
  const auto digits = name.substr(bar + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc{} || end != digits.data() + digits.size()) return {name, 0};
  return {name.substr(0, bar), number};
}

inline std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}
inline std::string_view but_last_part(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

inline bool is_floating(const io::TensorView& value) {
  return value.dtype.find('F') != std::string::npos;  // F16, BF16, F32, F64; not a dropout's integer state
}

/// Collects weights into layers, in the order in which the layers first appear.
class LayerList {
 public:
  void add(std::string_view path, std::string_view name, KerasWeight weight) {
    const auto [it, fresh] = index_.emplace(std::string(path), layers.size());
    if (fresh) layers.push_back({std::string(name), std::string(path), {}});
    layers[it->second].weights.push_back(std::move(weight));
  }
  std::vector<KerasLayer> layers;

 private:
  std::unordered_map<std::string, std::size_t> index_;
};

/// A group for each layer with the attribute `weight_names`; the root has `layer_names`. Keras 2 names a
/// weight "conv1_bn/gamma:0", Keras 3 "sequential/dense/kernel"; a model within a model is one layer of both.
inline std::vector<KerasLayer> legacy_layers(const io::Hdf5& file, const std::string& root) {
  LayerList out;
  const auto within = [](const std::string& group, const std::string& name) {
    return group.empty() ? name : group + '/' + name;
  };
  for (const auto& layer : file.attribute(root, "layer_names")) {
    const auto group = within(root, layer);
    for (const auto& weight : file.attribute(group, "weight_names")) {
      const auto source = within(group, weight);
      const auto& value = file.at(source);
      if (!is_floating(value)) continue;
      std::string_view role = weight;
      role = role.substr(0, role.rfind(':'));  // ":0"; npos keeps all
      const auto owner = but_last_part(role);
      out.add(within(group, std::string(owner)), owner.empty() ? std::string_view(layer) : last_part(owner),
              {std::string(last_part(role)), source, value});
    }
  }
  return std::move(out.layers);
}

/// .weights.h5 of Keras 3: weight i of a layer is "<layer>/vars/<i>", the group's attribute `name` (where
/// there is one) is the layer's. Groups are numbered by class; members are sorted by that number.
inline std::vector<KerasLayer> numbered_layers(const io::Hdf5& file) {
  LayerList out;
  for (const auto& [source, value] : file.datasets()) {
    const auto vars = but_last_part(source), path = but_last_part(vars);
    if (last_part(vars) != "vars" || source.starts_with("optimizer/") || !is_floating(value)) continue;
    const auto* name = file.find_attribute(std::string(vars), "name");
    out.add(path, name && name->size() == 1 ? std::string_view(name->front()) : last_part(path),
            {"", source, value});
  }
  for (auto& layer : out.layers) {
    layer.container = but_last_part(layer.path);
    constexpr const char* norm[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    constexpr const char* other[] = {"kernel", "bias"};
    const bool is_norm = layer.weights.front().value.shape.rank() == 1;
    for (auto& weight : layer.weights) {
      const auto number = last_part(weight.source);
      const std::size_t i = number.size() == 1 ? static_cast<std::size_t>(number[0] - '0') : 9;
      const std::size_t roles = is_norm ? std::size(norm) : std::size(other);
      weight.role = i >= roles ? std::string(number) : is_norm ? norm[i] : other[i];
    }
  }
  std::stable_sort(out.layers.begin(), out.layers.end(), [](const KerasLayer& a, const KerasLayer& b) {
    return std::pair(std::string_view(a.container), stem_and_number(last_part(a.path))) <
           std::pair(std::string_view(b.container), stem_and_number(last_part(b.path)));
  });
  return std::move(out.layers);
}

}  // namespace detail

/// The layers with weights of a file of Keras: save_weights("x.h5") and save("x.h5") of Keras 2 and 3, and
/// save_weights("x.weights.h5") of Keras 3. Optimisers' variables and dropouts' random states are left out.
/// Throws FormatError if the file is of none of these, or lacks a weight that it names.
inline std::vector<KerasLayer> keras_layers(const io::Hdf5& file) {
  for (const std::string root : {"", "model_weights"})
    if (file.find_attribute(root, "layer_names") != nullptr) return detail::legacy_layers(file, root);
  auto layers = detail::numbered_layers(file);
  require<FormatError>(!layers.empty(), "'", file.name(),
                       "': no weights of Keras: neither the attribute layer_names nor groups <layer>/vars");
  return layers;
}

}  // namespace kfer::models
