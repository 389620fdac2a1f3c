// Weights of a bundled model as an ONNX model for other runtimes:
//
//   export_onnx runs/multi-label/conv_net/weights/best.safetensors -o conv_net.onnx --sample check.npz
//
// What the file does not say about its model follows from the shapes of its tensors; flags override both.
// --sample writes random images with kfer's own answer to them, to compare the other runtime with.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "kfer/io/npz.hpp"
#include "kfer/kfer.hpp"
#include "kfer/nn/onnx.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/run.hpp"

using namespace kfer;

namespace {

constexpr const char* model_names[] = {"autoencoder", "autoencoder_classifier", "conv_net", "resnet50",
                                       "resnet50_classifier"};

struct Options {
  std::vector<std::string> weights;
  std::string output, sample;
  std::optional<std::string> model, form, activation;
  std::optional<std::int64_t> classes, kernel, image_size;
  std::int64_t sample_batch = 4;
  std::uint64_t seed = 46;
  bool list = false;

  void add_to(Flags& flags) {
    flags.operands(weights, "WEIGHTS.safetensors", "weights saved by kfer, or of the same names and shapes")
        .add("output,o", output, "the ONNX file to write; replaced entirely or not at all")
        .add("model", model, "the model; by default what the weights' metadata say",
             {.choices = {std::begin(model_names), std::end(model_names)}})
        .add("classes", classes, "outputs of a classifier; by default as the weights' shapes say",
             {.min = 1, .max = 100000})
        .add("kernel", kernel, "extent of conv_net's kernels; by default as the weights' shapes say",
             {.min = 1})
        .add("image-size", image_size,
             "height and width of the images; by default as shapes or metadata say, else 64",
             {.min = 1, .max = 4096})
        .add("form", form, "of resnet50: by default keras if its convolutions have biases, else torchvision",
             {.choices = {"keras", "torchvision"}})
        .add("activation", activation, "after a classifier's logits; by default as metadata say, else none",
             {.choices = {"none", "softmax", "sigmoid"}})
        .add("sample", sample, "an .npz file to write: random images and kfer's own answer to them")
        .add("sample-batch", sample_batch, "images in the sample", {.min = 1, .max = 4096})
        .add("seed", seed, "of the sample's images")
        .add("list", list, "print names and shapes of the tensors that --model needs, and write nothing");
  }
};

/// Which network it is: all that its constructor needs to know.
struct Architecture {
  std::string model, form = "keras";
  std::int64_t classes = 0, kernel = 5, image_size = 64;

  /// Throws ValueError for a model that kfer does not have.
  void check_model() const {
    std::string known;
    for (const auto* name : model_names) known += text(known.empty() ? "" : ", ", name);
    require(std::ranges::find(model_names, model) != std::end(model_names), "unknown model '", model,
            "': expected one of ", known);
  }
  bool is_classifier() const { return model == "conv_net" || model.ends_with("_classifier"); }

  /// Calls `use(model)` with the network, its weights random.
  template <class Use>
  void with_model(Use&& use) const {
    RandomStream random{.seed = 0, .stream = 0};
    const auto config = form == "keras" ? models::ResNetConfig::keras() : models::ResNetConfig::torchvision();
    const auto run = [&](auto network) { use(network); };
    if (model == "autoencoder") run(models::Autoencoder<float>(random));
    if (model == "autoencoder_classifier")
      run(models::AutoencoderClassifier<float>(classes, random, image_size));
    if (model == "conv_net")
      run(models::ConvNet<float>(classes, random, {.kernel = kernel, .image_size = image_size}));
    if (model == "resnet50") run(models::ResNet50<float>(random, config));
    if (model == "resnet50_classifier") run(models::ResNet50Classifier<float>(classes, random, config));
  }
};

/// An extent of a weight: what shapes tell of the network. Throws FormatError if there is no such weight.
std::int64_t extent(const io::Safetensors& file, const std::string& weight, std::size_t rank,
                    std::size_t dim) {
  const Shape& shape = file.at(weight).shape;
  require<FormatError>(shape.rank() == rank, "'", file.name(), "': '", weight, "' has shape ", shape,
                       ", expected rank ", rank);
  return shape[dim];
}

/// The image size of a network whose dense layer takes `channels` values a pixel.
std::int64_t image_size_of(const io::Safetensors& file, const std::string& weight, std::int64_t channels) {
  const auto in = extent(file, weight, 2, 1);
  const auto side = static_cast<std::int64_t>(std::llround(std::sqrt(static_cast<double>(in / channels))));
  require<FormatError>(side * side * channels == in, "'", file.name(), "': '", weight, "' takes ", in,
                       " values, which are not ", channels, " channels of a square image");
  return side;
}

/// Metadata "image_size", if there is one.
std::optional<std::int64_t> noted_image_size(const io::Safetensors& file) {
  const auto noted = file.metadata("image_size");
  if (!noted) return std::nullopt;
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(noted->data(), noted->data() + noted->size(), size);
  require<FormatError>(
      error == std::errc() && end == noted->data() + noted->size() && size >= 1 && size <= 4096, "'",
      file.name(), "': metadata image_size is '", *noted, "', expected a number from 1 to 4096");
  return size;
}

/// The network that these weights are of. What shapes tell, flags may only repeat.
Architecture architecture_of(const Options& options, const io::Safetensors& file) {
  const auto model = options.model ? options.model : file.metadata("model");
  require<FormatError>(model.has_value(), "'", file.name(),
                       "' does not say which model it is of: add --model");
  Architecture a{.model = *model};
  a.check_model();
  const auto agreed = [&](const char* flag, const std::optional<std::int64_t>& wanted, std::int64_t found) {
    require<UsageError>(!wanted || *wanted == found, "--", flag, " ", wanted.value_or(0),
                        ": the weights in '", file.name(), "' are for ", found);
    return found;
  };
  const auto classes = [&](const char* last) {
    a.classes = agreed("classes", options.classes, extent(file, last, 2, 0));
  };
  if (a.model == "conv_net") {
    classes("fc.weight");
    a.kernel = agreed("kernel", options.kernel, extent(file, "conv1.weight", 4, 2));
    a.image_size = agreed("image-size", options.image_size, image_size_of(file, "fc.weight", 32));
  } else if (a.model == "autoencoder_classifier") {
    classes("fc2.weight");
    a.image_size = agreed("image-size", options.image_size, image_size_of(file, "fc1.weight", 3));
  } else {  // any image size will do
    if (a.model == "resnet50_classifier") classes("fc2.weight");
    const bool bias = file.contains(a.model == "resnet50" ? "conv1.bias" : "backbone.conv1.bias");
    a.form = options.form.value_or(bias ? "keras" : "torchvision");
    a.image_size = options.image_size ? *options.image_size : noted_image_size(file).value_or(a.image_size);
  }
  return a;
}

/// The same from flags alone.
Architecture architecture_of(const Options& options) {
  require<UsageError>(options.model.has_value(), "--list needs --model");
  Architecture a{.model = *options.model};
  require<UsageError>(options.classes || !a.is_classifier(), "--list of a classifier needs --classes");
  a.classes = options.classes.value_or(a.classes);
  a.kernel = options.kernel.value_or(a.kernel);
  a.image_size = options.image_size.value_or(a.image_size);
  a.form = options.form.value_or(a.form);
  return a;
}

/// One line a tensor: name, then shape.
void list(const Architecture& architecture) {
  architecture.with_model([](auto& network) {
    for (const auto& [name, value] : state_dict(network))
      std::printf("%s %s\n", name.c_str(), to_string(value.shape()).c_str());
  });
}

/// "probabilities" of "sigmoid" and the like: the names of the ONNX model's output.
std::string output_name(const Architecture& architecture, const std::string& activation) {
  if (architecture.model == "autoencoder") return "reconstruction";
  if (architecture.model == "resnet50") return "features";
  return activation == "none" ? "logits" : "probabilities";
}

std::string activation_of(const Options& options, const Architecture& architecture,
                          const io::Safetensors& file) {
  if (!architecture.is_classifier()) {
    require<UsageError>(!options.activation || options.activation == "none",
                        "--activation is for classifiers, not for ", architecture.model);
    return "none";
  }
  const auto activation =
      options.activation ? *options.activation : file.metadata("activation").value_or("none");
  require<FormatError>(activation == "none" || activation == "softmax" || activation == "sigmoid", "'",
                       file.name(), "': metadata activation is '", activation,
                       "', expected softmax, sigmoid or none");
  return activation;
}

/// What travels with the model: the weights' metadata, and what the export decided.
io::Metadata metadata_of(const Architecture& architecture, const std::string& activation,
                         const io::Safetensors& file) {
  if (const auto labels = file.metadata("labels"); labels && architecture.is_classifier()) {
    const auto count = 1 + std::count(labels->begin(), labels->end(), ',');
    require<FormatError>(count == architecture.classes, "'", file.name(), "': metadata name ", count,
                         " labels, the ", "model has ", architecture.classes, " outputs");
  }
  io::Metadata out{{"model", architecture.model},
                   {"kfer_version", version},
                   {"input", "RGB / 255, [N, 3, height, width]"},
                   {"activation", activation}};
  for (const auto& entry : file.metadata())
    if (std::none_of(out.begin(), out.end(), [&](const auto& own) { return own.first == entry.first; }))
      out.push_back(entry);
  return out;
}

template <class Forward>
void write_sample(const Options& options, const Architecture& architecture, const OnnxOptions& names,
                  const Forward& forward) {
  const auto images =
      uniform<float>({options.sample_batch, 3, architecture.image_size, architecture.image_size},
                     {.seed = options.seed, .stream = 0});
  NoGrad no_grad;
  const Tensor<float> y = forward(Variable<float>(images)).value();
  const auto array = [](const Tensor<float>& t) {
    return io::npy_array(std::span<const float>(t.to_vector()), t.shape());
  };
  const std::vector<io::NamedArray> arrays{{names.input, array(images)}, {names.output, array(y)}};
  io::write_npz(options.sample, arrays);
}

void export_weights(const Options& options, const std::string& path) {
  const auto file = io::Safetensors::open(path);
  const auto architecture = architecture_of(options, file);
  const auto activation = activation_of(options, architecture, file);
  const OnnxOptions names{.name = architecture.model,
                          .input = "image",
                          .output = output_name(architecture, activation),
                          .metadata = metadata_of(architecture, activation, file)};
  architecture.with_model([&](auto& network) {
    load_weights(network, path);
    set_training(network, false);
    const auto forward = [&](const Variable<float>& x) {
      const auto y = network(x);
      return activation == "softmax" ? softmax(y) : activation == "sigmoid" ? sigmoid(y) : y;
    };
    const std::int64_t side = architecture.image_size;
    const auto model = onnx_model(network, {3, side, side}, forward, names);
    if (!options.sample.empty()) write_sample(options, architecture, names, forward);
    io::onnx::write(options.output, model);
    std::printf("%s: %s, image [N, 3, %lld, %lld] -> %s, %zu nodes, %lld parameters\n",
                options.output.c_str(), architecture.model.c_str(), static_cast<long long>(side),
                static_cast<long long>(side), names.output.c_str(), model.graph.nodes.size(),
                static_cast<long long>(count_parameters(network).total));
  });
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("export_onnx", [&] {
    Options options;
    Flags flags("export_onnx", "Writes a bundled model with its weights as an ONNX model.");
    options.add_to(flags);
    if (!flags.parse(argc, argv)) return 0;
    if (options.list) {
      require<UsageError>(options.weights.empty(), "--list takes no weights: it says what they must be");
      list(architecture_of(options));
      return 0;
    }
    require<UsageError>(options.weights.size() == 1, "one file of weights is needed, got ",
                        options.weights.size(), "; see --help");
    require<UsageError>(!options.output.empty(), "--output is missing: the ONNX file to write");
    export_weights(options, options.weights[0]);
    return 0;
  });
}
