// Weights of a bundled model as an ONNX model for other runtimes:
//
//   export_onnx runs/multi-label/conv_net/weights/best.safetensors -o conv_net.onnx --sample check.npz
//
// Names and shapes of the tensors tell which model it is. --list prints those that a model needs.
// --sample writes random images with kfer's own answer to them, to compare the other runtime with.
#include <algorithm>
#include <cstdio>

#include "kfer/io/npz.hpp"
#include "kfer/kfer.hpp"
#include "kfer/models/classifier.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/nn/onnx.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/run.hpp"

using namespace kfer;

namespace {

constexpr std::int64_t default_image_size = 64, max_image_size = 4096;

struct Options {
  std::vector<std::string> weights;
  std::string output, sample;
  std::optional<std::string> model, form, activation;
  std::optional<std::int64_t> classes, kernel, image_size;
  std::int64_t sample_batch = 4;
  std::uint64_t seed = 46;
  bool list = false, keep_batch_norm = false;

  void add_to(Flags& flags) {
    flags.operands(weights, "WEIGHTS.safetensors", "weights saved by kfer, or of the same names and shapes")
        .add("output,o", output, "the ONNX file to write; replaced entirely or not at all")
        .add("model", model, "the model; by default what the weights' metadata say",
             {.choices = {"autoencoder", "autoencoder_classifier", "conv_net", "resnet18", "resnet50",
                          "resnet50_classifier"}})
        .add("classes", classes, "outputs of a classifier; by default as the weights' shapes say",
             {.min = 1, .max = 100000})
        .add("kernel", kernel, "extent of conv_net's kernels; by default as the weights' shapes say",
             {.min = 1})
        .add("image-size", image_size,
             "height and width of the images; by default as shapes or metadata say, else 64",
             {.min = 1, .max = max_image_size})
        .add("form", form, "of a ResNet: by default keras if its convolutions have biases, else torchvision",
             {.choices = {"keras", "torchvision"}})
        .add("activation", activation,
             "after a classifier's logits; by default as metadata (activation, or else task) say, else none",
             {.choices = {"none", "softmax", "sigmoid"}})
        .add("keep-batch-norm", keep_batch_norm,
             "write batch norms as layers; by default they are part of the convolutions before them")
        .add("sample", sample, "an .npz file to write: random images and kfer's own answer to them")
        .add("sample-batch", sample_batch, "images in the sample", {.min = 1, .max = 4096})
        .add("seed", seed, "of the sample's images")
        .add("list", list, "print names and shapes of the tensors that --model needs, and write nothing");
  }
};

bool is_classifier(const models::ModelKind& kind) {
  return kind.name == "conv_net" || kind.name.ends_with("_classifier");
}

/// Metadata "image_size", if there is one.
std::optional<std::int64_t> noted_image_size(const io::Safetensors& file) {
  const auto noted = file.metadata("image_size");
  if (!noted) return std::nullopt;
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(noted->data(), noted->data() + noted->size(), size);
  require<FormatError>(
      error == std::errc() && end == noted->data() + noted->size() && size >= 1 && size <= max_image_size,
      "'", file.name(), "': metadata image_size is '", *noted, "', expected a number from 1 to ",
      max_image_size);
  return size;
}

/// The model that these weights are of. What names and shapes of tensors tell, flags and metadata may only
/// repeat.
models::ModelKind model_of(const Options& options, const io::Safetensors& file) {
  const auto said = options.model ? options.model : file.metadata("model");
  const auto found = models::identify_tensors(file.tensors());
  require<FormatError>(found && (!said || *said == found->name), "'", file.name(), "' holds the tensors of ",
                       found ? found->name : "none of kfer's models",
                       said ? text(", not of ", *said, "; --list tells which those are") : "");
  auto kind = *found;
  const auto agree = [&](const char* flag, const std::optional<std::int64_t>& wanted, std::int64_t is) {
    if (!wanted) return;
    require<UsageError>(is != 0, "--", flag, ": ", kind.name, " has no such choice");
    require<UsageError>(*wanted == is, "--", flag, ' ', *wanted, ": the weights in '", file.name(),
                        "' are for ", is);
  };
  agree("classes", options.classes, kind.classes);
  agree("kernel", options.kernel, kind.kernel);
  if (kind.image_size)
    agree("image-size", options.image_size, kind.image_size);
  else  // the network takes any
    kind.image_size =
        options.image_size ? *options.image_size : noted_image_size(file).value_or(default_image_size);
  require<UsageError>(!options.form || !kind.form.empty(), "--form: ", kind.name, " has no such choice");
  kind.form = options.form.value_or(kind.form);
  return kind;
}

/// The same from flags alone.
models::ModelKind model_of(const Options& options) {
  require<UsageError>(options.model.has_value(), "--list needs --model");
  const models::ModelKind kind{
      .name = *options.model,
      .classes = options.classes.value_or(0),
      .kernel = options.kernel.value_or(models::ConvNetConfig{}.kernel),
      .image_size = options.image_size.value_or(default_image_size),
      .form = options.form.value_or(*options.model == "resnet18" ? "torchvision" : "keras")};
  require<UsageError>(kind.classes || !is_classifier(kind), "--list of a classifier needs --classes");
  return kind;
}

/// One line a tensor: name, then shape.
void list(const models::ModelKind& kind) {
  models::with_model(kind, [](auto& network) {
    for (const auto& [name, value] : state_dict(network))
      std::printf("%s %s\n", name.c_str(), to_string(value.shape()).c_str());
  });
}

/// "probabilities" of "sigmoid" and the like: the names of the ONNX model's output.
std::string output_name(const models::ModelKind& kind, const std::string& activation) {
  if (kind.name == "autoencoder") return "reconstruction";
  if (kind.name == "resnet18" || kind.name == "resnet50") return "features";
  return activation == "none" ? "logits" : "probabilities";
}

std::string activation_of(const Options& options, const models::ModelKind& kind,
                          const io::Safetensors& file) {
  if (!is_classifier(kind)) {
    require<UsageError>(!options.activation || options.activation == "none",
                        "--activation is for classifiers, not for ", kind.name);
    return "none";
  }
  auto activation = options.activation ? *options.activation : models::stated_activation(file);
  if (activation.empty()) activation = "none";
  require<FormatError>(activation == "none" || activation == "softmax" || activation == "sigmoid", "'",
                       file.name(), "': metadata activation is '", activation,
                       "', expected softmax, sigmoid or none");
  return activation;
}

/// What travels with the model: the weights' metadata, and what the export decided.
io::Metadata metadata_of(const models::ModelKind& kind, const std::string& activation,
                         const io::Safetensors& file) {
  if (const auto labels = file.metadata("labels"); labels && is_classifier(kind)) {
    const auto count = 1 + std::count(labels->begin(), labels->end(), ',');
    require<FormatError>(count == kind.classes, "'", file.name(), "': metadata name ", count, " labels, the ",
                         "model has ", kind.classes, " outputs");
  }
  io::Metadata out{{"model", kind.name},
                   {"kfer_version", version},
                   {"input", "RGB / 255, [N, 3, height, width]"},
                   {"activation", activation}};
  for (const auto& entry : file.metadata())
    if (std::none_of(out.begin(), out.end(), [&](const auto& own) { return own.first == entry.first; }))
      out.push_back(entry);
  return out;
}

template <class Forward>
void write_sample(const Options& options, const models::ModelKind& kind, const OnnxOptions& names,
                  const Forward& forward) {
  const auto images = uniform<float>({options.sample_batch, 3, kind.image_size, kind.image_size},
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
  const auto kind = model_of(options, file);
  const auto activation = activation_of(options, kind, file);
  const OnnxOptions names{.name = kind.name,
                          .input = "image",
                          .output = output_name(kind, activation),
                          .metadata = metadata_of(kind, activation, file)};
  models::with_model(kind, [&](auto& trained) {
    load_weights(trained, file);
    set_training(trained, false);
    auto network = options.keep_batch_norm ? trained : fold_batch_norm(trained);
    const auto forward = [&](const Variable<float>& x) {
      const auto y = network(x);
      return activation == "softmax" ? softmax(y) : activation == "sigmoid" ? sigmoid(y) : y;
    };
    const std::int64_t side = kind.image_size;
    const auto model = onnx_model(network, {3, side, side}, forward, names);
    if (!options.sample.empty()) write_sample(options, kind, names, forward);
    io::onnx::write(options.output, model);
    std::printf("%s: %s, image [N, 3, %lld, %lld] -> %s, %zu nodes, %lld parameters\n",
                options.output.c_str(), kind.name.c_str(), static_cast<long long>(side),
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
      list(model_of(options));
      return 0;
    }
    require<UsageError>(options.weights.size() == 1, "one file of weights is needed, got ",
                        options.weights.size(), "; see --help");
    require<UsageError>(!options.output.empty(), "--output is missing: the ONNX file to write");
    export_weights(options, options.weights[0]);
    return 0;
  });
}
