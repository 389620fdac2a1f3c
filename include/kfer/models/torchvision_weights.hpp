// Weights under torchvision's names, which are kfer's own: state dictionaries of torchvision.models.resnet50
// and resnet18, and of every model that kfer saved.
#pragma once

#include "kfer/io/safetensors.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/models/imported.hpp"

namespace kfer::models {

/// The tensors of a state dictionary as they are, but for those that kfer's model has no place for: the
/// classifier of a ResNet (kfer's end with the pooled features) and PyTorch's batch counters. Throws
/// FormatError, its message beginning with `where`, for integers elsewhere.
inline std::vector<ImportedTensor> import_state_dict(const std::vector<io::NamedTensor>& tensors,
                                                     std::string_view where) {
  const auto kind = identify_tensors(tensors);
  const bool headless = kind && (kind->name == "resnet50" || kind->name == "resnet18");
  std::vector<ImportedTensor> out;
  for (const auto& [name, view] : tensors) {
    if (kfer::detail::is_bookkeeping(name))
      out.push_back({"", name, "PyTorch's count of batches", {}, {}});
    else if (headless && name.starts_with("fc."))
      out.push_back({"", name, "the classifier", {}, {}});
    else
      out.push_back({name, name, "as it is", view.shape,
                     kfer::detail::floating_values<float>(view, text(where, ": tensor '", name, "'"))});
  }
  return out;
}

/// The form that a file of ResNet weights is in, for the model to be made in: by its metadata "form", or by
/// its convolutions, which have biases in Keras' form alone. Throws IoError and FormatError as reading does.
inline ResNetConfig resnet_config_of(const std::string& path) {
  const auto file = io::Safetensors::open(path);
  const auto stated = file.metadata("form");
  const bool biases = file.contains("conv1.bias") || file.contains("backbone.conv1.bias");
  const auto form = stated.value_or(biases ? "keras" : "torchvision");
  require<FormatError>(form == (biases ? "keras" : "torchvision"), "'", path, "': metadata say form '", form,
                       "', but its convolutions have ", biases ? "" : "no ", "biases");
  return resnet_config(form);
}

}  // namespace kfer::models
