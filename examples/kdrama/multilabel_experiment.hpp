// The experiment itself, for any device: multilabel_cpu.cpp has it for the Cpu, multilabel_cuda.cu for Cuda.
#pragma once

#include <chrono>
#include <cmath>
#include <fstream>

#include "kdrama/multilabel.hpp"
#include "kfer/data/kdrama.hpp"
#include "kfer/data/loader.hpp"
#include "kfer/data/prefetch.hpp"
#include "kfer/kfer.hpp"
#include "kfer/metrics/metrics.hpp"

namespace kdrama {

using namespace kfer;
using Dataset = data::KdramaDataset;
using Loader = data::Loader<Dataset>;

/// The first rows of a data set, or all but the first.
class Part {
 public:
  Part(const Dataset& all, std::int64_t begin, std::int64_t end) : all_(&all), begin_(begin), end_(end) {}
  std::int64_t size() const { return end_ - begin_; }
  int image_height() const { return all_->image_height(); }
  int image_width() const { return all_->image_width(); }
  std::int64_t classes() const { return all_->classes(); }
  auto labels(std::int64_t i) const { return all_->labels(begin_ + i); }
  void load(std::int64_t i, std::span<std::uint8_t> hwc) const { all_->load(begin_ + i, hwc); }

 private:
  const Dataset* all_;
  std::int64_t begin_, end_;
};
using PartLoader = data::Loader<Part>;

template <class T, class D, class Source>
Tensor<T, D> images_of(const data::Batch& batch, const Source& data) {
  return cast<T>(Tensor<float, D>({batch.size, 3, data.image_height(), data.image_width()},
                                  std::span<const float>(batch.images)));
}
template <class D>
Tensor<float, D> labels_of(const data::Batch& batch) {
  return {{batch.size, static_cast<std::int64_t>(batch.labels.size()) / batch.size},
          std::span<const float>(batch.labels)};
}

struct Evaluation {
  double loss = 0;
  std::vector<float> probabilities, labels;
};

/// Mean loss and sigmoid outputs of all images of `data`, in order.
template <class T, class D, class Model, class Source>
Evaluation evaluate(Model& model, const Source& data, data::Loader<Source>& loader, std::int64_t epoch) {
  NoGrad no_grad;
  set_training(model, false);
  Evaluation out;
  loader.seek(epoch, 0);
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const auto& batch = loader.next();
    const auto logits = cast<float>(model(Variable<T, D>(images_of<T, D>(batch, data))));
    out.loss += bce_with_logits(logits, labels_of<D>(batch)).item() * static_cast<double>(batch.size);
    const auto p = sigmoid(logits).value().to_vector();
    out.probabilities.insert(out.probabilities.end(), p.begin(), p.end());
    out.labels.insert(out.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  out.loss /= static_cast<double>(data.size());
  return out;
}

inline Scores scores_of(const Evaluation& e, std::int64_t classes) {
  const metrics::Predictions predictions(e.probabilities, e.labels, classes);
  Scores scores{};
  for (int i = 0; i < 5; ++i) {
    scores.exact_match[i] = metrics::exact_match(predictions, thresholds[i]);
    scores.micro_f1[i] = metrics::micro_f1(predictions, thresholds[i]);
  }
  scores.argmax_accuracy = metrics::argmax_accuracy(predictions);
  return scores;
}

inline Scores baseline_scores(const Dataset& train, const Dataset& test) {
  const auto b = metrics::majority_baseline(train.labels(), test.labels(), test.classes());
  Scores scores{};
  for (int i = 0; i < 5; ++i) {
    scores.exact_match[i] = b.exact_match;
    scores.micro_f1[i] = b.micro_f1;
  }
  scores.argmax_accuracy = b.argmax_accuracy;
  return scores;
}

/// One experiment on one device, with activations of type T (and float parameters: --amp is bfloat16).
template <class T, class D>
class Experiment {
 public:
  Experiment(const MultilabelOptions& options, const io::Json& arguments, const std::string& resume_command)
      : options_(options),
        arguments_(arguments),
        resume_command_(resume_command),
        train_(open(data::Split::train)),
        valid_(open(data::Split::valid)),
        test_(open(data::Split::test)),
        used_(train_, 0, options.limit > 0 ? std::min(options.limit, train_.size()) : train_.size()) {}

  MultilabelResult run() {
    RandomStream random{.seed = options_.seed, .stream = 0};
    const std::int64_t classes = train_.classes();
    if (options_.model == "conv_net") {
      models::ConvNet<T, D> model(classes, random, {.kernel = options_.kernel});
      return train_and_test(model);
    }
    if (options_.model == "autoencoder") {
      models::AutoencoderClassifier<T, D> model(classes, random);
      if (!options_.test_only && !pretrain(model.autoencoder)) return interrupted();
      return train_and_test(model);
    }
    models::ResNet50Classifier<T, D> model(classes, random);
    if (!options_.weights.empty())
      load_weights(model.backbone, options_.weights);
    else if (!options_.test_only)
      std::fprintf(stderr,
                   "resnet50: no --weights: the backbone starts from random numbers, not from ImageNet\n");
    if (options_.freeze == "published") model.freeze_as_published();
    return train_and_test(model);
  }

 private:
  Dataset open(data::Split split) const {
    require<UsageError>(!options_.data_path.empty(),
                        "--data-path is missing: the directory with tfrecords/ and label/");
    data::KdramaOptions o;
    o.partition = options_.split == "by-clip" ? data::Partition::by_clip : data::Partition::published;
    o.on_corrupt = options_.on_corrupt == "skip" ? data::OnCorrupt::skip : data::OnCorrupt::fail;
    Dataset set(options_.data_path, data::multi_label, split, o);
    if (set.skipped())
      std::fprintf(stderr, "%s: %lld damaged records skipped, the first: %s\n",
                   std::string(data::name_of(split)).c_str(), static_cast<long long>(set.skipped()),
                   set.problems().front().c_str());
    return set;
  }

  data::LoaderOptions loading(bool train) const {
    return {.batch_size = options_.batch_size,
            .workers = options_.workers,
            .shuffle = train,
            .drop_last = train,
            .seed = options_.seed};
  }

  TrainerOptions training(const std::string& directory, std::int64_t epochs) const {
    TrainerOptions o;
    o.directory = directory;
    o.epochs = epochs;
    o.save_every = options_.save_every;
    o.resume = options_.resume;
    o.overwrite = options_.overwrite;
    o.arguments = arguments_;
    o.resume_command = resume_command_;
    o.capture = !options_.eager;
    return o;
  }

  /// Reconstruction of the training images, the last tenth of them held out, as published: the weights of the
  /// last epoch count. False if interrupted.
  bool pretrain(models::Autoencoder<T, D>& model) {
    if (!options_.autoencoder.empty()) {
      load_weights(model, options_.autoencoder);
      return true;
    }
    if (options_.pretrain_epochs == 0) return true;
    const Part fit(train_, 0, used_.size() - used_.size() / 10), held_out(train_, fit.size(), used_.size());
    PartLoader fit_loader(fit, loading(true));
    std::optional<PartLoader> held_out_loader;
    if (held_out.size()) held_out_loader.emplace(held_out, loading(false));
    Adam<float, D> optimizer(named_parameters(model),
                             {.lr = options_.pretrain_lr, .epsilon = options_.epsilon, .epsilon_hat = true});
    const auto reconstruction = [&](const Tensor<T, D>& images, const Tensor<float, D>& targets) {
      return bce_with_logits(cast<float>(model.logits(Variable<T, D>(images))), targets);
    };
    const StagedLoss loss{
        [](const data::DeviceBatch<D>& batch) { return std::tuple(cast<T>(batch.images), batch.images); },
        reconstruction};
    data::Prefetcher<PartLoader, D> batches(fit_loader, {3, fit.image_height(), fit.image_width()});
    TrainerOptions o = training(options_.directory() + "/pretrain", options_.pretrain_epochs);
    o.early_stopping = {.monitor = "epoch", .maximize = true};  // the last epoch is the one to keep
    if (o.resume && !std::ifstream(o.directory + "/state.safetensors")) o.resume = false;
    Trainer trainer(model, optimizer, o);
    std::int64_t epoch = 0;
    const auto result = trainer.fit(batches, loss, [&] {
      Metrics metrics{{"epoch", static_cast<double>(trainer.history().size() + 1)}};
      double sum = 0;
      if (held_out_loader) {
        held_out_loader->seek(epoch, 0);
        for (std::int64_t i = 0; i < held_out_loader->batches_per_epoch(); ++i) {
          const auto& batch = held_out_loader->next();
          const auto images = images_of<float, D>(batch, fit);
          sum += reconstruction(cast<T>(images), images).item() * static_cast<double>(batch.size);
        }
        metrics.emplace_back("val_loss", sum / static_cast<double>(held_out.size()));
        ++epoch;
      }
      return metrics;
    });
    return !result.interrupted;
  }

  MultilabelResult interrupted() const {
    MultilabelResult result;
    result.training.interrupted = true;
    return result;
  }

  template <class Model>
  MultilabelResult train_and_test(Model& model) {
    MultilabelResult result;
    result.train_images = used_.size();
    result.test_images = test_.size();
    if (options_.test_only)
      load_weights(model, options_.test_weights.empty() ? options_.directory() + "/weights/best.safetensors"
                                                        : options_.test_weights);
    else if (!train(model, result))
      return result;
    Loader loader(test_, loading(false));
    result.scores = scores_of(evaluate<T, D>(model, test_, loader, 0), test_.classes());
    result.baseline = baseline_scores(train_, test_);
    return result;
  }

  /// False if interrupted.
  template <class Model>
  bool train(Model& model, MultilabelResult& result) {
    PartLoader loader(used_, loading(true));
    Loader valid_loader(valid_, loading(false));
    Adam<float, D> optimizer(named_parameters(model),
                             {.lr = options_.lr, .epsilon = options_.epsilon, .epsilon_hat = true});
    TrainerOptions o = training(options_.directory(), options_.epochs);
    o.early_stopping = {.monitor = "val_loss", .patience = options_.patience};
    o.schedule = ExponentialDecay{options_.lr, options_.lr_decay,
                                  options_.lr_decay_epochs * static_cast<double>(loader.batches_per_epoch())};
    if (o.resume && options_.model == "autoencoder" && !std::ifstream(o.directory + "/state.safetensors"))
      o.resume = false;  // it was interrupted in its pre-training
    Trainer trainer(model, optimizer, o);
    const auto begin = std::chrono::steady_clock::now();
    std::int64_t evaluations = 0;
    data::Prefetcher<PartLoader, D> batches(loader, {3, used_.image_height(), used_.image_width()});
    result.training = trainer.fit(
        batches,
        StagedLoss{
            [](const data::DeviceBatch<D>& batch) { return std::tuple(cast<T>(batch.images), batch.labels); },
            [&](const Tensor<T, D>& images, const Tensor<float, D>& labels) {
              return bce_with_logits(cast<float>(model(Variable<T, D>(images))), labels);
            }},
        [&] {
          const auto e = evaluate<T, D>(model, valid_, valid_loader, evaluations++);
          const metrics::Predictions predictions(e.probabilities, e.labels, valid_.classes());
          return Metrics{{"val_loss", e.loss}, {"val_exact_match", metrics::exact_match(predictions, 0.5f)}};
        });
    result.train_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    result.wait_seconds = loader.wait_seconds();
    return !result.training.interrupted;
  }

  const MultilabelOptions& options_;
  const io::Json& arguments_;
  const std::string& resume_command_;
  Dataset train_, valid_, test_;
  Part used_;
};

template <class D>
MultilabelResult run_multilabel_on(const MultilabelOptions& options, const io::Json& arguments,
                                   const std::string& resume_command) {
  if constexpr (requires { D::math(); }) {
    D::math().strict_fp32 = options.strict_fp32;
    std::fprintf(stderr, "%s\n", D::description().c_str());
  }
  if (options.amp) {
    if constexpr (std::is_same_v<D, Cpu>)
      throw UsageError(
          "--amp computes in bfloat16 on a GPU; the Cpu computes in float: leave it out, or use --device "
          "cuda");
    else
      return Experiment<bfloat16, D>(options, arguments, resume_command).run();
  }
  return Experiment<float, D>(options, arguments, resume_command).run();
}

}  // namespace kdrama
