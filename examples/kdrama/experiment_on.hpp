// A classifier's training and test, for any device: experiment_cpu.cpp has it for the Cpu, experiment_cuda.cu
// for Cuda.
#pragma once

#include <chrono>
#include <optional>

#include "kdrama/pretrain_on.hpp"
#include "kfer/data/class_weights.hpp"
#include "kfer/data/leakage.hpp"
#include "kfer/metrics/metrics.hpp"
#include "kfer/models/torchvision_weights.hpp"

namespace kdrama {

struct Evaluation {
  double loss = 0;
  std::vector<float> probabilities, labels;
};

inline Scores scores_of(const metrics::Predictions& predictions, bool multi_label) {
  Scores scores{.accuracy = metrics::argmax_accuracy(predictions)};
  for (std::size_t i = 0; multi_label && i < thresholds.size(); ++i) {
    scores.exact_match[i] = metrics::exact_match(predictions, thresholds[i]);
    scores.micro_f1[i] = metrics::micro_f1(predictions, thresholds[i]);
  }
  return scores;
}

inline Scores baseline_scores(std::span<const float> train_labels, const Dataset& test) {
  const auto b = metrics::majority_baseline(train_labels, test.labels(), test.classes());
  Scores scores{.accuracy = b.argmax_accuracy};
  scores.exact_match.fill(b.exact_match);
  scores.micro_f1.fill(b.micro_f1);
  return scores;
}

/// One experiment on one device, with activations of type T (and float parameters: --amp is bfloat16).
template <class T, class D>
class Experiment {
 public:
  Experiment(const Options& options, const std::string& resume_command)
      : options_(options),
        resume_command_(resume_command),
        set_(options.set()),
        train_(open(options.data, set_, data::Split::train)),
        valid_(open(options.data, set_, data::Split::valid)),
        test_(open(options.data, set_, data::Split::test)),
        used_(used_part(train_, options.data)) {
    if (!options.run.test_only) arguments_ = arguments_of(options);
  }

  Result run() {
    RandomStream random{.seed = options_.seed, .stream = 0};
    const std::int64_t classes = train_.classes();
    if (options_.model == "conv_net") {
      models::ConvNet<T, D> model(classes, random, {.kernel = options_.kernel});
      return train_and_test(model);
    }
    if (options_.model == "autoencoder") {
      models::AutoencoderClassifier<T, D> model(classes, random);
      Result result;
      if (!options_.run.test_only && !pretrain(model.autoencoder, result)) return result;
      return train_and_test(model, std::move(result));
    }
    models::ResNet50Classifier<T, D> model(classes, random, backbone_form());
    if (!options_.run.test_only) {
      if (!options_.weights.empty())
        load_weights(model.backbone, options_.weights);
      else
        std::fprintf(stderr,
                     "resnet50: no --weights: the backbone starts from random numbers, not from ImageNet\n");
    }
    if (options_.freeze == "published") model.freeze_as_published();
    return train_and_test(model);
  }

 private:
  std::string pretraining() const { return options_.directory() + "/pretrain"; }
  std::string tested_weights() const { return options_.run.tested_weights(options_.directory()); }

  /// Keras' form, as published, unless the weights given are of torchvision's.
  models::ResNetConfig backbone_form() const {
    const std::string path = options_.run.test_only ? tested_weights() : options_.weights;
    return path.empty() ? models::ResNetConfig::keras() : models::resnet_config_of(path);
  }

  TrainerOptions training() const {
    TrainerOptions o = trainer_options(options_.run, options_.device, arguments_, resume_command_);
    o.directory = options_.directory();
    o.epochs = options_.epochs;
    std::string names;
    for (const auto label : set_.names) names += text(names.empty() ? "" : ",", label);
    o.metadata = {{"task", std::string(set_.name)},
                  {"labels", names},
                  {"activation", options_.multi_label() ? "sigmoid" : "softmax"},
                  {"image_size", text(train_.image_height())}};
    if (options_.model == "conv_net") o.metadata.emplace_back("kernel", text(options_.kernel));
    return o;
  }

  /// The autoencoder's part, from a file or by reconstructing the training images first. False if
  /// interrupted.
  bool pretrain(models::Autoencoder<T, D>& model, Result& result) const {
    if (options_.run.resume && holds_run(options_.directory())) return true;  // the state has its weights
    if (!options_.autoencoder.empty()) {
      load_weights(model, options_.autoencoder);
      return true;
    }
    if (options_.pretrain_epochs == 0) return true;
    PretrainOptions p;
    p.data = options_.data;
    p.batch_size = options_.batch_size;
    p.epochs = options_.pretrain_epochs;
    p.lr = options_.pretrain_lr;
    p.epsilon = options_.epsilon;
    p.seed = options_.pretrain_seed;
    std::fprintf(stderr, "autoencoder: %lld epochs of reconstruction first\n",
                 static_cast<long long>(p.epochs));
    // Before: interrupted in its pre-training, the run must not be taken for the one that was there.
    if (options_.run.overwrite && !options_.run.resume) RunDirectory(options_.directory()).remove_products();
    const auto pretrained = fit_autoencoder(model, train_, p, pretraining(), training());
    result.train_seconds = pretrained.train_seconds;
    result.wait_seconds = pretrained.wait_seconds;
    result.resumed = pretrained.resumed;
    result.training.interrupted = pretrained.training.interrupted;
    return !result.training.interrupted;
  }

  Variable<float, D> loss(const Variable<float, D>& logits, const Tensor<float, D>& labels,
                          const CrossEntropyOptions<float, D>& weighted = {}) const {
    return options_.multi_label() ? bce_with_logits(logits, labels)
                                  : softmax_cross_entropy(logits, labels, weighted);
  }

  /// Mean loss and probabilities of all images of `data`, in order.
  template <class Model>
  Evaluation evaluate(Model& model, const Part& data, Loader& loader, std::int64_t epoch) const {
    NoGrad no_grad;
    set_training(model, false);
    auto folded = fold_batch_norm(model);
    Evaluation out;
    loader.seek(epoch, 0);
    for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
      const auto& batch = loader.next();
      const auto logits = cast<float>(folded(Variable<T, D>(cast<T>(images_of<D>(batch, data)))));
      out.loss += loss(logits, labels_of<D>(batch, data)).item() * static_cast<double>(batch.size);
      const auto p = (options_.multi_label() ? sigmoid(logits) : softmax(logits)).value().to_vector();
      out.probabilities.insert(out.probabilities.end(), p.begin(), p.end());
      out.labels.insert(out.labels.end(), batch.labels.begin(), batch.labels.end());
    }
    out.loss /= static_cast<double>(data.size());
    return out;
  }

  template <class Model>
  Result train_and_test(Model& model, Result result = {}) {
    result.pretrained = !options_.weights.empty();
    if (options_.run.test_only)
      load_weights(model, tested_weights());
    else if (!train(model, result))
      return result;
    const Part all(test_, 0, test_.size());
    Loader loader(all, loading(options_.data, options_.batch_size, options_.seed, false));
    auto e = evaluate(model, all, loader, 0);
    result.test_loss = e.loss;
    result.probabilities = std::move(e.probabilities);
    result.labels = std::move(e.labels);
    const auto train_labels =
        train_.labels().first(static_cast<std::size_t>(used_.size() * train_.classes()));
    result.train_labels.assign(train_labels.begin(), train_labels.end());
    result.scores = scores_of({result.probabilities, result.labels, test_.classes()}, options_.multi_label());
    result.baseline = baseline_scores(train_labels, test_);
    result.samples = samples(result);
    result.leakage = data::leakage(clips(train_, used_.size()), clips(test_, test_.size())).percent();
    result.train_images = used_.size();
    result.valid_images = valid_.size();
    result.test_images = test_.size();
    return result;
  }

  /// Of the first `images` images.
  static std::vector<std::string_view> clips(const Dataset& dataset, std::int64_t images) {
    std::vector<std::string_view> out;
    for (std::int64_t i = 0; i < images; ++i) out.push_back(dataset.clip_id(i));
    return out;
  }

  /// The first test images that were understood and the first that were not, as many of each.
  std::vector<Sample> samples(const Result& result, std::size_t each = 12) const {
    const auto width = set_.width();
    const metrics::Predictions predictions(result.probabilities, result.labels, test_.classes());
    std::vector<Sample> right, wrong;
    for (std::int64_t i = 0; i < test_.size() && (right.size() < each || wrong.size() < each); ++i) {
      const auto p = predictions.scores(i), labels = predictions.labels(i);
      bool same = true;
      if (options_.multi_label())
        for (std::size_t c = 0; c < width; ++c) same &= (p[c] >= 0.5f) == (labels[c] == 1.f);
      else
        same = metrics::argmax(p) == metrics::argmax(labels);
      auto& into = same ? right : wrong;
      if (into.size() == each) continue;
      Sample sample{{}, test_.image_id(i), {labels.begin(), labels.end()}, {p.begin(), p.end()}};
      sample.pixels.resize(static_cast<std::size_t>(test_.image_height() * test_.image_width() * 3));
      test_.load(i, sample.pixels);
      into.push_back(std::move(sample));
    }
    right.insert(right.end(), std::make_move_iterator(wrong.begin()), std::make_move_iterator(wrong.end()));
    return right;
  }

  /// Weights of the classes in the training loss; evaluation counts every image once, as Keras does.
  std::optional<Tensor<float, D>> class_weights() const {
    const bool wanted =
        options_.class_weights == "published" || (options_.class_weights == "auto" && options_.task == "6");
    if (!wanted || options_.multi_label()) return std::nullopt;
    std::vector<std::int64_t> counts(set_.width());
    for (std::int64_t i = 0; i < used_.size(); ++i)
      for (std::size_t c = 0; c < counts.size(); ++c) counts[c] += used_.labels(i)[c] == 1.f;
    const auto weights = data::kdrama_class_weights(counts);
    return Tensor<float, D>({train_.classes()}, std::span<const float>(weights));
  }

  /// False if interrupted.
  template <class Model>
  bool train(Model& model, Result& result) {
    Loader loader(used_, loading(options_.data, options_.batch_size, options_.seed, true));
    const Part valid(valid_, 0, valid_.size());
    Loader valid_loader(valid, loading(options_.data, options_.batch_size, options_.seed, false));
    Adam<float, D> optimizer(named_parameters(model),
                             {.lr = options_.lr, .epsilon = options_.epsilon, .epsilon_hat = true});
    TrainerOptions o = training();
    o.early_stopping = {.monitor = "val_loss", .patience = options_.patience};
    o.schedule = ExponentialDecay{options_.lr, options_.lr_decay,
                                  options_.lr_decay_epochs * static_cast<double>(loader.batches_per_epoch())};
    if (o.resume && !holds_run(o.directory) && holds_run(pretraining()))
      o.resume = false;  // it was interrupted in its pre-training
    const CrossEntropyOptions<float, D> weighted{.class_weights = class_weights(),
                                                 .reduction = Reduction::batch_mean};
    Trainer trainer(model, optimizer, o);
    result.resumed |= o.resume;
    result.arguments = arguments_;
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t evaluations = 0;
    data::Prefetcher<Loader, D> batches(loader, {3, used_.image_height(), used_.image_width()});
    result.training = trainer.fit(
        batches,
        StagedLoss{
            [](const data::DeviceBatch<D>& batch) { return std::tuple(cast<T>(batch.images), batch.labels); },
            [&](const Tensor<T, D>& images, const Tensor<float, D>& labels) {
              return loss(cast<float>(model(Variable<T, D>(images))), labels, weighted);
            }},
        [&] {
          const auto e = evaluate(model, valid, valid_loader, evaluations++);
          const metrics::Predictions predictions(e.probabilities, e.labels, valid_.classes());
          Metrics out{{"val_loss", e.loss}};
          if (options_.multi_label())
            out.emplace_back("val_exact_match", metrics::exact_match(predictions, 0.5f));
          out.emplace_back("val_accuracy", metrics::argmax_accuracy(predictions));
          return out;
        });
    result.train_seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    result.wait_seconds += loader.wait_seconds();
    result.history = trainer.history();
    return !result.training.interrupted;
  }

  const Options& options_;
  const std::string& resume_command_;
  const data::LabelSet& set_;
  Dataset train_, valid_, test_;
  Part used_;
  io::Json arguments_;
};

template <class D>
Result run_on(const Options& options, const std::string& resume_command) {
  const std::string device = set_up<D>(options.device);
  return with_activations<D>(options.device, [&]<class T>() {
    Result result = Experiment<T, D>(options, resume_command).run();
    result.device = device;
    return result;
  });
}

}  // namespace kdrama
