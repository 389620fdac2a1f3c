// The weights of Keras models as a plain list: the order of `model.get_weights()`, and of the numbered layers
// of a TensorFlow checkpoint.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kfer/models/imported.hpp"
#include "kfer/nn/state_dict.hpp"

namespace kfer::models {

/// kfer's names of the arrays that the Keras model's get_weights() lists, in that order. Throws ValueError
/// for a model that kfer cannot import from Keras.
inline std::vector<std::string> keras_order(std::string_view model) {
  std::vector<std::string> names;
  const auto layer = [&](const std::string& name) {
    for (const char* kind : {".weight", ".bias"}) names.push_back(name + kind);
  };
  const auto norm = [&](const std::string& name) {
    for (const char* kind : {".weight", ".bias", ".running_mean", ".running_var"})
      names.push_back(name + kind);
  };
  const auto autoencoder = [&](const std::string& prefix) {
    for (const char* part : {"encoder.conv1", "encoder.conv2", "encoder.conv3", "decoder.conv1",
                             "decoder.conv2", "decoder.conv3", "decoder.conv4"})
      layer(prefix + part);
  };
  const auto resnet50 = [&](const std::string& prefix) {
    layer(prefix + "conv1");
    norm(prefix + "bn1");
    const int blocks[] = {3, 4, 6, 3};
    for (int stage = 0; stage < 4; ++stage)
      for (int i = 0; i < blocks[stage]; ++i) {
        // Keras sorts layers by their distance from the output: the shortcut's stand beside the third
        // convolution and its norm, before them.
        const auto block = text(prefix, "layer", stage + 1, '.', i, '.');
        layer(block + "conv1");
        norm(block + "bn1");
        layer(block + "conv2");
        norm(block + "bn2");
        if (i == 0) layer(block + "downsample.0");
        layer(block + "conv3");
        if (i == 0) norm(block + "downsample.1");
        norm(block + "bn3");
      }
  };
  if (model == "autoencoder") {
    autoencoder("");
  } else if (model == "autoencoder_classifier") {
    autoencoder("autoencoder.");
    layer("fc1");
    layer("fc2");
  } else if (model == "conv_net") {
    for (const char* name : {"conv1", "conv2", "conv3", "fc"}) layer(name);
  } else if (model == "resnet50") {
    resnet50("");
  } else if (model == "resnet50_classifier") {
    resnet50("backbone.");
    layer("fc1");
    layer("fc2");
  } else {
    throw ValueError(text("kfer has no Keras order of weights for a model '", model, "'"));
  }
  return names;
}

/// The model that has so many arrays, the first of such a shape (HWIO): "" if none.
inline std::string model_of_keras_order(std::size_t arrays, const Shape& first) {
  for (const char* model :
       {"autoencoder", "autoencoder_classifier", "conv_net", "resnet50", "resnet50_classifier"})
    if (arrays == keras_order(model).size()) {
      const std::string_view name = model;
      const std::int64_t width = name.starts_with("resnet") ? 64 : name == "conv_net" ? 128 : 32;
      if (first.rank() == 4 && first[2] == 3 && first[3] == width) return model;
    }
  return "";
}

/// One array of a Keras model as kfer's tensor `name`: kernels from HWIO to OIHW (of transposed convolutions
/// from HWOI to IOHW: the same permutation), of dense layers from [in, out] to [out, in]; behind Flatten the
/// inputs, which Keras counts channels last, are put in NCHW order: `flattened_channels`, 0 elsewhere. Throws
/// FormatError naming `source` for integers and for sizes that are none of those.
inline ImportedTensor from_keras(const std::string& name, const std::string& source,
                                 const io::TensorView& view, std::int64_t flattened_channels = 0) {
  const auto where = text("tensor '", source, "'");
  const auto in = kfer::detail::floating_values<float>(view, where);
  ImportedTensor out{.name = name, .source = source, .note = "as it is", .shape = view.shape, .values = in};
  const Shape& s = view.shape;
  std::size_t to = 0;
  if (s.rank() == 4) {
    const std::int64_t area = s[0] * s[1], columns = s[2] * s[3];
    out.shape = {s[3], s[2], s[0], s[1]};
    out.note = name.find("decoder.conv") != std::string::npos && !name.ends_with("conv4.weight")
                   ? "HWOI -> IOHW"
                   : "HWIO -> OIHW";
    for (std::int64_t o = 0; o < s[3]; ++o)
      for (std::int64_t i = 0; i < s[2]; ++i)
        for (std::int64_t p = 0; p < area; ++p)
          out.values[to++] = in[static_cast<std::size_t>(p * columns + i * s[3] + o)];
  } else if (s.rank() == 2) {
    const std::int64_t channels = flattened_channels ? flattened_channels : 1;
    require<FormatError>(s[0] % channels == 0, where, " of shape ", s, ": ", s[0],
                         " inputs are no multiple of ", channels, " channels");
    const std::int64_t area = s[0] / channels;
    out.shape = {s[1], s[0]};
    out.note = flattened_channels ? "(HWC)O -> O(CHW)" : "IO -> OI";
    for (std::int64_t o = 0; o < s[1]; ++o)
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t p = 0; p < area; ++p)
          out.values[to++] = in[static_cast<std::size_t>((p * channels + c) * s[1] + o)];
  } else {
    require<FormatError>(s.rank() == 1, where, ": shape ", s, " is none of a Keras layer's");
  }
  return out;
}

/// A list of arrays in the order of get_weights(). `model` "" tells the model from their number and the
/// first's shape. Throws FormatError, its message beginning with `where`, if it is none of kfer's, or another
/// number.
inline std::vector<ImportedTensor> import_keras_order(const std::vector<io::NamedTensor>& arrays,
                                                      std::string model, std::string_view where) {
  if (model.empty() && !arrays.empty()) model = model_of_keras_order(arrays.size(), arrays[0].second.shape);
  require<FormatError>(!model.empty(), where, ": ", arrays.size(),
                       " arrays are the weights of no Keras model that kfer knows");
  const auto names = keras_order(model);
  require<FormatError>(names.size() == arrays.size(), where, ": Keras' ", model, " has ", names.size(),
                       " arrays, got ", arrays.size());
  std::vector<ImportedTensor> out;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const bool flattened = (model == "conv_net" && names[i] == "fc.weight") ||
                           (model == "autoencoder_classifier" && names[i] == "fc1.weight");
    out.push_back(from_keras(names[i], arrays[i].first, arrays[i].second,
                             !flattened            ? 0
                             : model == "conv_net" ? 32
                                                   : 3));
  }
  return out;
}

}  // namespace kfer::models
