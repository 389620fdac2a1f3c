// A trained classifier of images whose model is known at run time only: from its weights.
//
// Names and shapes of the tensors tell the model (identify.hpp), the number of classes and, but for ResNet,
// the size of images. The rest is metadata that training writes: "task" (a label set's name), "labels"
// (joined by commas), "activation" ("softmax" or "sigmoid"), "image_size", "epoch". Older weights and weights
// from elsewhere lack some of it; ClassifierOptions supply that. Facts stated twice ("model", "kernel") must
// agree.
#pragma once

#include <charconv>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "kfer/autograd/no_grad.hpp"
#include "kfer/data/label_sets.hpp"
#include "kfer/io/safetensors.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/elementwise/unary.hpp"
#include "kfer/ops/softmax/softmax.hpp"

namespace kfer::models {

/// What becomes of the logits: probabilities of classes that exclude each other, or of labels that do not.
enum class Activation { softmax, sigmoid };

constexpr std::string_view name_of(Activation activation) {
  return activation == Activation::softmax ? "softmax" : "sigmoid";
}

/// What is known of weights beside their metadata, and goes before those. All may stay empty.
struct ClassifierOptions {
  std::string task =
      "";  ///< a label set whose names and activation apply: "6_basic_emo", "22_emo", "multi-label"
  std::vector<std::string> labels = {};  ///< names of the outputs, in order
  std::string activation = "";           ///< "softmax" or "sigmoid"
  std::int64_t image_size = 0;           ///< height and width of the images it takes
};

/// What a classifier is.
struct ClassifierInfo {
  ModelKind model;
  std::vector<std::string> labels;
  Activation activation = Activation::softmax;
  std::int64_t image_size = 0;  ///< it takes [N, 3, image_size, image_size], RGB in [0, 1]
  std::string epoch;            ///< of its training; may be empty
};

/// The names in "a,b,c".
inline std::vector<std::string> split_labels(std::string_view joined) {
  std::vector<std::string> out;
  for (;;) {
    const auto comma = joined.find(',');
    out.emplace_back(joined.substr(0, comma));
    if (comma == std::string_view::npos) return out;
    joined.remove_prefix(comma + 1);
  }
}

/// The activation that goes with a label set's name: labels exclude each other in all but the multi-label
/// one. "" for "". Throws ValueError for an unknown task.
inline std::string activation_of_task(const std::string& task) {
  if (task.empty()) return "";
  return &data::label_set(task) == &data::multi_label ? "sigmoid" : "softmax";
}
/// What metadata say of the activation: "activation", or else what goes with "task". "" if there is neither.
inline std::string stated_activation(const io::Safetensors& file) {
  const auto stated = file.metadata("activation").value_or("");
  return stated.empty() ? activation_of_task(file.metadata("task").value_or("")) : stated;
}

namespace detail {

/// Reads a file's shapes and metadata into a ClassifierInfo.
class ClassifierReader {
 public:
  ClassifierReader(const io::Safetensors& file, const ClassifierOptions& options)
      : file_(file), options_(options) {}

  ClassifierInfo read() {
    ClassifierInfo info;
    info.model = model();
    info.image_size = image_size(info.model);
    const auto task = options_.task.empty() ? file_.metadata("task").value_or("") : options_.task;
    info.labels = labels(task);
    info.activation = activation();
    info.epoch = file_.metadata("epoch").value_or("");
    check(missing_.empty(), "the weights do not say their ", missing_,
          " (metadata that older weights lack): give it as an option");
    const auto classes = static_cast<std::uint64_t>(info.model.classes);
    check(info.labels.size() == classes, info.labels.size(), " labels for weights of ", classes, " classes");
    std::unordered_set<std::string_view> names;
    for (const auto& label : info.labels) {
      check(!label.empty(), "label ", names.size() + 1, " is empty");
      check(names.insert(label).second, "the label '", label, "' is given twice");
    }
    return info;
  }

 private:
  static constexpr std::int64_t max_side = 4096;  ///< of an image, in pixels

  template <class... Parts>
  void check(bool ok, const Parts&... parts) const {
    require<FormatError>(ok, "'", file_.name(), "': ", parts...);
  }

  ModelKind model() const {
    const auto kind = identify_tensors(file_.tensors());
    const auto stated = file_.metadata("model").value_or("");
    check(kind.has_value(), "no model of kfer has these tensors",
          stated.empty() ? "" : "; metadata 'model': ", stated);
    check(stated.empty() || stated == kind->name, "metadata 'model' is '", stated,
          "', the tensors are those of '", kind->name, "'");
    check(kind->name.ends_with("_classifier") || kind->name == ConvNet<>::name, "weights of '", kind->name,
          "', expected a classifier: ", AutoencoderClassifier<>::name, ", ", ConvNet<>::name, " or ",
          ResNet50Classifier<>::name);
    if (kind->name == ConvNet<>::name) {
      agrees("kernel", kind->kernel);
    } else {  // what the model allocates for it is in the file
      const auto& head = file_.at("fc2.weight").shape;
      check(head == Shape({kind->classes, kind->classes}), "tensor 'fc2.weight' has shape ", head,
            ", expected ", Shape({kind->classes, kind->classes}));
    }
    return *kind;
  }

  /// A whole number in the metadata, 0 if there is none.
  std::int64_t number(const char* key) const {
    const auto value = file_.metadata(key);
    if (!value) return 0;
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), out);
    check(error == std::errc{} && end == value->data() + value->size() && out > 0, "metadata '", key,
          "' is '", *value, "', expected a number above 0");
    return out;
  }
  void agrees(const char* key, std::int64_t shapes) const {
    const auto stated = number(key);
    check(stated == 0 || stated == shapes, "metadata '", key, "' is ", stated, ", the tensors' shapes say ",
          shapes);
  }
  void note_missing(const char* key) { missing_ += text(missing_.empty() ? "'" : ", '", key, "'"); }

  std::int64_t image_size(const ModelKind& kind) {
    if (kind.image_size != 0) {
      agrees("image_size", kind.image_size);
      check(options_.image_size == 0 || options_.image_size == kind.image_size, "images of ",
            options_.image_size, " pixels a side are asked for, the weights take ", kind.image_size);
      return kind.image_size;
    }
    const auto size = options_.image_size ? options_.image_size : number("image_size");
    if (size == 0) note_missing("image_size");
    check(size >= 0 && size <= max_side, "images of ", size, " pixels a side, expected 1 to ", max_side);
    return size;
  }

  std::vector<std::string> labels(const std::string& task) {
    if (!options_.labels.empty()) return options_.labels;
    if (options_.task.empty())  // a task that is asked for goes before labels that were noted
      if (const auto joined = file_.metadata("labels"); joined && !joined->empty())
        return split_labels(*joined);
    if (!task.empty()) {
      const auto& names = data::label_set(task).names;
      return {names.begin(), names.end()};
    }
    note_missing("labels");
    return {};
  }

  Activation activation() {
    auto name = options_.activation;
    if (name.empty())
      name = options_.task.empty() ? stated_activation(file_) : activation_of_task(options_.task);
    if (name.empty()) note_missing("activation");
    check(name.empty() || name == "softmax" || name == "sigmoid", "the activation is '", name,
          "', expected softmax or sigmoid");
    return name == "sigmoid" ? Activation::sigmoid : Activation::softmax;
  }

  const io::Safetensors& file_;
  const ClassifierOptions& options_;
  std::string missing_;
};

}  // namespace detail

/// What the weights in `file` are of. Throws FormatError naming every fact that neither shapes nor metadata
/// nor options tell; for facts that contradict each other; for weights of something else than a classifier.
/// Throws ValueError for an unknown task.
inline ClassifierInfo classifier_info(const io::Safetensors& file, const ClassifierOptions& options = {}) {
  return detail::ClassifierReader(file, options).read();
}

/// A trained classifier, in inference: its model is behind a function. Copies share the weights.
template <class D = Cpu>
class Classifier {
 public:
  /// Throws what `classifier_info` and `load_weights` throw.
  explicit Classifier(const io::Safetensors& file, const ClassifierOptions& options = {})
      : info_(classifier_info(file, options)),
        logits_(with_model<float, D>(info_.model, [&]<class Model>(Model& model) {
          load_weights(model, file);
          set_training(model, false);
          return std::make_shared<Function>(
              [model = fold_batch_norm(std::move(model))](const auto& x) mutable { return model(x); });
        })) {}
  /// Weights from a file. Throws IoError and FormatError also for one that cannot be read.
  explicit Classifier(const std::string& path, const ClassifierOptions& options = {})
      : Classifier(io::Safetensors::open(path), options) {}

  const ClassifierInfo& info() const { return info_; }

  /// Probabilities [N, classes] of images [N, 3, image_size, image_size], RGB in [0, 1]. Records no
  /// gradients.
  Tensor<float, D> operator()(const Tensor<float, D>& images) const {
    const NoGrad no_grad;
    const auto logits = (*logits_)(Variable<float, D>(images));
    return (info_.activation == Activation::softmax ? softmax(logits, 1) : sigmoid(logits)).value();
  }

 private:
  using Function = std::function<Variable<float, D>(const Variable<float, D>&)>;

  ClassifierInfo info_;
  std::shared_ptr<Function> logits_;
};

}  // namespace kfer::models
