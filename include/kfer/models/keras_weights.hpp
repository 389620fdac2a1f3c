// Weights that Keras saved, in kfer's names and layouts.
//
// Keras keeps activations channels-last and kernels HWIO (transposed convolutions HWOI) and [in, out]; kfer
// NCHW, OIHW ([in, out, H, W]) and [out, in]. What a dense layer behind Flatten takes is in another order,
// too.
#pragma once

#include <cmath>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/models/imported.hpp"
#include "kfer/models/keras/layers.hpp"
#include "kfer/nn/state_dict.hpp"

namespace kfer::models {

namespace detail {

/// A stored tensor's elements as float.
inline std::vector<float> float_values(const KerasWeight& weight) {
  std::vector<float> out(static_cast<std::size_t>(weight.value.shape.numel()));
  const auto convert = [&]<class S>(S, auto to_number) {
    require<FormatError>(weight.value.data.size() == out.size() * sizeof(S), "'", weight.source,
                         "': ", weight.value.data.size(), " bytes, expected ", out.size() * sizeof(S));
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<float>(to_number(io::load_le<S>(weight.value.data.data() + i * sizeof(S))));
  };
  const auto same = [](auto x) { return x; };
  const auto& dtype = weight.value.dtype;
  if (dtype == "F32")
    convert(float{}, same);
  else if (dtype == "F64")
    convert(double{}, same);
  else if (dtype == "F16")
    convert(std::uint16_t{}, kfer::detail::half_to_float);
  else if (dtype == "BF16")
    convert(std::uint16_t{}, [](std::uint16_t b) { return std::bit_cast<float>(std::uint32_t{b} << 16); });
  else
    throw FormatError(text("'", weight.source, "' is ", dtype, ", expected a floating type"));
  return out;
}

/// The elements of `values`, of shape `from`, with axis `axes[i]` as the result's axis i.
inline std::vector<float> permuted(const std::vector<float>& values, const Shape& from,
                                   const std::array<std::size_t, 4>& axes) {
  std::array<std::size_t, 4> stride{}, extent{};
  std::size_t step = 1;
  for (std::size_t i = 4; i-- > 0;) {
    stride[i] = step;
    step *= static_cast<std::size_t>(from[i]);
  }
  for (std::size_t i = 0; i < 4; ++i) extent[i] = static_cast<std::size_t>(from[axes[i]]);
  std::vector<float> out;
  out.reserve(values.size());
  for (std::size_t a = 0; a < extent[0]; ++a)
    for (std::size_t b = 0; b < extent[1]; ++b)
      for (std::size_t c = 0; c < extent[2]; ++c)
        for (std::size_t d = 0; d < extent[3]; ++d)
          out.push_back(
              values[a * stride[axes[0]] + b * stride[axes[1]] + c * stride[axes[2]] + d * stride[axes[3]]]);
  return out;
}

/// ResNet50's layers with weights in Keras' order, by Keras' names, and kfer's names for them.
inline std::vector<std::pair<std::string, std::string>> resnet50_layers() {
  std::vector<std::pair<std::string, std::string>> out = {{"conv1_conv", "conv1"}, {"conv1_bn", "bn1"}};
  constexpr int blocks[] = {3, 4, 6, 3};
  for (int stage = 1; stage <= 4; ++stage)
    for (int block = 0; block < blocks[stage - 1]; ++block) {
      const auto add = [&](int number, bool norm) {
        const auto last = number == 0 ? text("downsample.", int{norm}) : text(norm ? "bn" : "conv", number);
        out.emplace_back(text("conv", stage + 1, "_block", block + 1, '_', number, norm ? "_bn" : "_conv"),
                         text("layer", stage, '.', block, '.', last));
      };
      for (const int number : {1, 2}) add(number, false), add(number, true);
      if (block == 0) add(0, false);
      add(3, false);
      if (block == 0) add(0, true);
      add(3, true);
    }
  return out;
}

/// Turns the layers of one file into the tensors of one model.
class KerasImport {
 public:
  KerasImport(const std::vector<KerasLayer>& layers, std::string_view file) : file_(file) {
    for (const auto& layer : layers) {
      if (layer.is_norm())
        norms_.push_back(&layer);
      else if (layer.kernel_rank() == 4)
        (layer.is_transposed() ? transposed_ : convolutions_).push_back(&layer);
      else if (layer.kernel_rank() == 2)
        dense_.push_back(&layer);
      else
        fail("layer '", layer.path, "' with weight '", layer.weights.front().source, "' of shape ",
             layer.weights.front().value.shape, " is of a kind that no model of kfer has");
    }
    for (auto* list : {&convolutions_, &transposed_, &dense_, &norms_}) order(*list);
  }

  std::vector<ImportedTensor> run(std::string_view model) {
    if (model.empty()) model = detect();
    if (model == "resnet50")
      resnet("");
    else if (model == "resnet50_classifier")
      resnet("backbone."), classifier();
    else if (model == "autoencoder")
      autoencoder("");
    else if (model == "autoencoder_classifier")
      autoencoder("autoencoder."), classifier(3);
    else if (model == "conv_net")
      conv_net();
    else
      throw ValueError(
          text("unknown model '", model,
               "': resnet50, resnet50_classifier, autoencoder, autoencoder_classifier or conv_net"));
    for (const auto* layer : dense_)
      if (!used_.contains(layer))
        for (const auto& weight : layer->weights)
          out_.push_back({"", weight.source, text("not part of kfer's ", model), {}, {}});
    return std::move(out_);
  }

 private:
  using Layers = std::vector<const KerasLayer*>;

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    throw FormatError(text("'", file_, "': ", parts...));
  }
  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    if (!ok) fail(parts...);
  }

  /// Layers that Keras named itself are sorted by their numbers: where some are frozen, files list those
  /// last. Others keep the file's order, if it has one.
  void order(Layers& layers) const {
    const auto key = [](const KerasLayer* layer) { return stem_and_number(layer->name); };
    const auto same = [&](auto property) {
      return std::all_of(layers.begin(), layers.end(), [&](const KerasLayer* layer) {
        return property(layer) == property(layers.front());
      });
    };
    if (!same([&](const KerasLayer* layer) { return key(layer).first; })) {
      check(same([](const KerasLayer* layer) { return layer->container; }),
            "layers of one kind in several models, ", layers.front()->path,
            " among them: their order is not known");
      return;
    }
    std::sort(layers.begin(), layers.end(), [&](auto* a, auto* b) { return key(a) < key(b); });
    const auto twins =
        std::adjacent_find(layers.begin(), layers.end(), [&](auto* a, auto* b) { return key(a) == key(b); });
    check(twins == layers.end(), "two layers are called '", twins == layers.end() ? "" : (*twins)->name,
          "': their order is not known");
  }

  std::string inventory() const {
    return text(convolutions_.size(), " convolutions, ", transposed_.size(), " transposed ones, ",
                dense_.size(), " dense layers and ", norms_.size(), " batch norms");
  }

  std::string_view detect() const {
    const auto is = [&](std::size_t c, std::size_t t, std::size_t n) {
      return convolutions_.size() == c && transposed_.size() == t && norms_.size() == n;
    };
    if (is(4, 3, 0) && dense_.empty()) return "autoencoder";
    if (is(4, 3, 0) && dense_.size() == 2) return "autoencoder_classifier";
    if (is(3, 0, 0) && dense_.size() == 1) return "conv_net";
    if (is(53, 0, 53)) return dense_.size() == 2 ? "resnet50_classifier" : "resnet50";
    fail("no model of kfer has ", inventory());
  }

  void expect(std::string_view model, std::size_t c, std::size_t t, std::size_t n) const {
    for (const auto* list : {&convolutions_, &norms_})
      for (const auto* layer : *list)
        check(layer->name.find("_branch2a") == std::string::npos, "layer '", layer->name,
              "' is of the ResNet50 of Keras before keras-applications 1.0.8, another network (other padding "
              "and "
              "epsilon): use weights with layers conv1_conv, conv1_bn, ...");
    check(convolutions_.size() == c && transposed_.size() == t && norms_.size() == n, model, " has ", c,
          " convolutions, ", t, " transposed ones and ", n, " batch norms, the file has ", inventory());
  }

  const KerasWeight& weight(const KerasLayer& layer, std::string_view role, std::size_t rank) {
    const auto* out = layer.find(role);
    check(out != nullptr, "layer '", layer.path, "' has no ", role);
    check(out->value.shape.rank() == rank, "'", out->source, "' is of shape ", out->value.shape,
          ", expected rank ", rank);
    used_.emplace(&layer, true);
    return *out;
  }

  void add(std::string name, const KerasWeight& from, std::string note, const Shape& shape,
           std::vector<float> values) {
    out_.push_back({std::move(name), from.source, std::move(note), shape, std::move(values)});
  }
  void vector(const KerasLayer& layer, std::string_view role, std::string name, std::int64_t size) {
    const auto& from = weight(layer, role, 1);
    check(from.value.shape[0] == size, "'", from.source, "' has ", from.value.shape[0],
          " elements, expected ", size);
    add(std::move(name), from, "as it is", from.value.shape, float_values(from));
  }

  void convolution(const KerasLayer& layer, const std::string& name, bool transposed = false) {
    const auto& kernel = weight(layer, "kernel", 4);
    const Shape& s = kernel.value.shape;
    add(name + ".weight", kernel, transposed ? "HWOI -> [in, out, H, W]" : "HWIO -> OIHW",
        {s[3], s[2], s[0], s[1]}, permuted(float_values(kernel), s, {3, 2, 0, 1}));
    vector(layer, "bias", name + ".bias", transposed ? s[2] : s[3]);
  }

  /// `channels` > 0: its input is a square image of so many channels, flattened.
  void dense(const KerasLayer& layer, const std::string& name, std::int64_t channels = 0) {
    const auto& kernel = weight(layer, "kernel", 2);
    const auto in = kernel.value.shape[0], out = kernel.value.shape[1];
    std::int64_t side = 1;
    if (channels > 0) {
      side = std::llround(std::sqrt(static_cast<double>(in) / static_cast<double>(channels)));
      check(side * side * channels == in, "'", kernel.source, "' takes ", in,
            " features, no square image of ", channels, " channels");
    }
    const auto values =
        permuted(float_values(kernel), {side, side, channels > 0 ? channels : in, out}, {3, 2, 0, 1});
    add(name + ".weight", kernel, channels > 0 ? "[H W C, out] -> [out, C H W]" : "[in, out] -> [out, in]",
        {out, in}, values);
    vector(layer, "bias", name + ".bias", out);
  }

  void norm(const KerasLayer& layer, const std::string& name) {
    const auto size = weight(layer, "gamma", 1).value.shape[0];
    vector(layer, "gamma", name + ".weight", size);
    vector(layer, "beta", name + ".bias", size);
    vector(layer, "moving_mean", name + ".running_mean", size);
    vector(layer, "moving_variance", name + ".running_var", size);
  }

  void resnet(const std::string& prefix) {
    expect("resnet50", 53, 0, 53);
    std::map<std::string_view, const KerasLayer*> by_name;
    for (const auto* list : {&convolutions_, &norms_})
      for (const auto* layer : *list)
        check(by_name.emplace(layer->name, layer).second, "two layers '", layer->name, "'");
    // Files of early Keras 3 do not keep names, only the number of each layer among those of its class.
    const bool named = by_name.contains("conv1_conv");
    std::size_t convolutions = 0, norms = 0;
    for (const auto& [keras, kfer] : resnet50_layers()) {
      const bool is_norm = keras.ends_with("_bn");
      const auto* layer = named ? by_name[keras] : is_norm ? norms_[norms++] : convolutions_[convolutions++];
      check(layer != nullptr && layer->is_norm() == is_norm, "no layer '", keras, "'");
      if (is_norm)
        norm(*layer, prefix + kfer);
      else
        convolution(*layer, prefix + kfer);
    }
  }

  void autoencoder(const std::string& prefix) {
    expect("autoencoder", 4, 3, 0);
    for (std::size_t i = 0; i < 3; ++i) convolution(*convolutions_[i], text(prefix, "encoder.conv", i + 1));
    for (std::size_t i = 0; i < 3; ++i)
      convolution(*transposed_[i], text(prefix, "decoder.conv", i + 1), true);
    convolution(*convolutions_[3], prefix + "decoder.conv4");
  }

  void conv_net() {
    expect("conv_net", 3, 0, 0);
    check(dense_.size() == 1, "conv_net has one dense layer, the file ", dense_.size());
    for (std::size_t i = 0; i < 3; ++i) convolution(*convolutions_[i], text("conv", i + 1));
    dense(*dense_[0], "fc", convolutions_[2]->find("kernel")->value.shape[3]);
  }

  void classifier(std::int64_t channels = 0) {
    check(dense_.size() == 2, "a classifier has two dense layers, the file ", dense_.size());
    dense(*dense_[0], "fc1", channels);
    dense(*dense_[1], "fc2");
  }

  std::string_view file_;
  Layers convolutions_, transposed_, dense_, norms_;
  std::map<const KerasLayer*, bool> used_;
  std::vector<ImportedTensor> out_;
};

}  // namespace detail

/// The tensors of kfer's `model` from the layers of a Keras model; `file` is what messages call it.
inline std::vector<ImportedTensor> import_keras_layers(const std::vector<KerasLayer>& layers,
                                                       std::string_view model = "",
                                                       std::string_view file = "keras") {
  return detail::KerasImport(layers, file).run(model);
}

/// The weights of a Keras file (save_weights' legacy .h5, save's whole-model .h5, Keras 3's .weights.h5) for
/// kfer's `model`: "resnet50", "resnet50_classifier", "autoencoder", "autoencoder_classifier" or "conv_net";
/// "" tells the model from the layers. In the model's order, every parameter and buffer of it; behind them
/// dense layers that kfer's model does not have (ImageNet's classifier) with an empty name. Throws
/// FormatError naming file and layer where the layers are not those of the model, ValueError for another
/// `model`.
inline std::vector<ImportedTensor> import_keras(const io::Hdf5& file, std::string_view model = "") {
  return import_keras_layers(keras_layers(file), model, file.name());
}

}  // namespace kfer::models
