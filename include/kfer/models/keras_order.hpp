// The weights of a Keras model as a plain list, in the order of `model.get_weights()`: what NumPy archives
// and TensorFlow checkpoints keep of it.
#pragma once

#include "kfer/models/keras_weights.hpp"

namespace kfer::models {

/// Names layers by kind and number in the order given, for `import_keras_layers`. Lists and checkpoints do
/// not tell a transposed convolution from another; in the one family of models that has any, the
/// autoencoders, they are the fourth to the sixth of seven.
inline void number_keras_layers(std::vector<KerasLayer>& layers) {
  const auto convolutions = std::ranges::count_if(layers, [](const auto& l) { return l.kernel_rank() == 4; });
  const bool norms = std::ranges::any_of(layers, [](const auto& layer) { return layer.is_norm(); });
  std::map<std::size_t, int> number;  // of each kind, told by the kernel's rank
  for (auto& layer : layers) {
    const auto rank = layer.kernel_rank();
    const int i = number[rank]++;
    const bool transposed = convolutions == 7 && !norms && rank == 4 && i >= 3 && i < 6;
    const char* kind = transposed ? "conv2d_transpose" : rank == 4 ? "conv2d" : rank == 2 ? "dense" : "norm";
    layer.name = text(kind, '_', i);
  }
}

/// The tensors of kfer's `model` ("" tells it from the layers) from the arrays of get_weights(): kernel and
/// bias of a convolution or dense layer, or gamma, beta, moving mean and variance of a batch norm, layer by
/// layer. Throws FormatError, naming `file` and the array, for any other list.
inline std::vector<ImportedTensor> import_keras_list(const std::vector<io::NamedTensor>& arrays,
                                                     std::string_view model, std::string_view file) {
  std::vector<KerasLayer> layers;
  for (std::size_t i = 0; i < arrays.size();) {
    const bool has_kernel = arrays[i].second.shape.rank() > 1;
    const auto roles = has_kernel
                           ? std::vector<const char*>{"kernel", "bias"}
                           : std::vector<const char*>{"gamma", "beta", "moving_mean", "moving_variance"};
    KerasLayer layer{.name = "", .path = arrays[i].first, .weights = {}};
    for (const char* role : roles) {
      require<FormatError>(i < arrays.size() && (role == roles[0] || arrays[i].second.shape.rank() == 1), "'",
                           file, "': array '", arrays[std::min(i, arrays.size() - 1)].first, "' is ",
                           i < arrays.size() ? "no" : "followed by no", ' ', role,
                           ", which the order of Keras' get_weights() has there");
      layer.weights.push_back({role, arrays[i].first, arrays[i].second});
      ++i;
    }
    layers.push_back(std::move(layer));
  }
  number_keras_layers(layers);
  return import_keras_layers(layers, model, file);
}

}  // namespace kfer::models
