// Weights that Keras saved as a TensorFlow checkpoint (`model.save_weights("x.ckpt")` of TensorFlow 2, and
// ModelCheckpoint's), in kfer's names and layouts.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>

#include "kfer/io/tf_checkpoint.hpp"
#include "kfer/models/keras_order.hpp"

namespace kfer::models {

namespace detail {

/// The place of "layer_with_weights-4/layer_with_weights-2/kernel/.ATTRIBUTES/VARIABLE_VALUE" in
/// get_weights(): the layer's numbers, then the variable's among its layer's. None for what is no weight of a
/// layer.
inline std::optional<std::vector<std::int64_t>> keras_place(std::string_view name) {
  constexpr std::string_view layer = "layer_with_weights-", end = "/.ATTRIBUTES/VARIABLE_VALUE";
  constexpr std::string_view kinds[] = {"kernel", "gamma", "bias", "beta", "moving_mean", "moving_variance"};
  std::vector<std::int64_t> place;
  while (name.starts_with(layer)) {
    name.remove_prefix(layer.size());
    std::int64_t number = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || rest == name.data() + name.size() || *rest != '/') return std::nullopt;
    place.push_back(number);
    name.remove_prefix(static_cast<std::size_t>(rest - name.data()) + 1);
  }
  if (place.empty() || !name.ends_with(end)) return std::nullopt;
  name.remove_suffix(end.size());
  const auto* kind = std::ranges::find(kinds, name);
  if (kind == std::end(kinds)) return std::nullopt;
  place.push_back(kind - kinds);
  return place;
}

/// Why a variable is not a weight.
inline std::string not_a_weight(std::string_view name) {
  if (name.find("/.OPTIMIZER_SLOT/") != std::string_view::npos) return "a slot of the optimiser";
  if (name.starts_with("optimizer/")) return "the optimiser's";
  if (name.starts_with("save_counter")) return "TensorFlow's count of saves";
  return "no weight of a layer";
}

}  // namespace detail

/// The weights of a checkpoint for kfer's `model` ("" tells it from their number and shapes), in the order of
/// the layers; then what is none, with an empty name. Throws FormatError naming file and tensor where the
/// layers are not those of the model.
inline std::vector<ImportedTensor> import_tf(const io::TfCheckpoint& file, std::string_view model = "") {
  std::vector<std::pair<std::vector<std::int64_t>, const io::NamedTensor*>> weights;
  std::vector<ImportedTensor> others;
  for (const auto& tensor : file.tensors())
    if (auto place = detail::keras_place(tensor.first))
      weights.emplace_back(std::move(*place), &tensor);
    else
      others.push_back({"", tensor.first, detail::not_a_weight(tensor.first), {}, {}});
  for (const auto& name : file.strings()) others.push_back({"", name, "strings", {}, {}});
  std::sort(weights.begin(), weights.end());
  std::vector<io::NamedTensor> arrays;
  for (const auto& [place, tensor] : weights) arrays.push_back(*tensor);
  auto out = import_keras_order(arrays, std::string(model), text("'", file.name(), "'"));
  out.insert(out.end(), others.begin(), others.end());
  return out;
}

}  // namespace kfer::models
