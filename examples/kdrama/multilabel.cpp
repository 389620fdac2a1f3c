#include "kdrama/multilabel.hpp"

#include <chrono>
#include <cmath>
#include <fstream>

#include "kfer/data/kdrama.hpp"
#include "kfer/data/loader.hpp"
#include "kfer/kfer.hpp"
#include "kfer/metrics/metrics.hpp"

namespace kdrama {

using namespace kfer;
using Dataset = data::KdramaDataset;
using Loader = data::Loader<Dataset>;

void MultilabelOptions::add_to(Flags& flags) {
  flags.add("data-path", data_path, "directory with tfrecords/ and label/")
      .add("model", model, "what to train", {.choices = {"autoencoder", "conv_net", "resnet50"}})
      .add("device", device, "cpu or cuda")
      .add("batch-size,b", batch_size, "images a step; the last partial batch is dropped", {.min = 1})
      .add("epochs", epochs, "at most", {.min = 0})
      .add("patience", patience, "epochs without a better val_loss before training stops; 0: never",
           {.min = 0})
      .add("lr", lr, "learning rate of the first step", {.min = 0})
      .add("lr-decay", lr_decay, "factor on the learning rate over --lr-decay-epochs, applied continuously",
           {.min = 0, .max = 1})
      .add("lr-decay-epochs", lr_decay_epochs, "see --lr-decay", {.min = 1e-9})
      .add("epsilon", epsilon, "of Adam, outside of the bias correction as in Keras", {.min = 1e-30})
      .add("kernel", kernel, "conv_net: extent of its kernels", {.min = 1, .max = 31})
      .add("freeze", freeze, "resnet50: layers that are not trained", {.choices = {"published", "none"}})
      .add("weights", weights, "resnet50: backbone to start from (safetensors with torchvision's names)")
      .add("autoencoder", autoencoder,
           "autoencoder: pre-trained weights (safetensors), instead of pre-training")
      .add("pretrain-epochs", pretrain_epochs, "autoencoder: epochs of reconstruction before", {.min = 0})
      .add("pretrain-lr", pretrain_lr, "autoencoder: learning rate of the reconstruction", {.min = 0})
      .add("seed", seed, "of weights, order and dropout")
      .add("workers,j", workers, "threads that decode images; 0: none besides the training loop",
           {.min = 0, .max = 256})
      .add("split", split, "published: by image; by-clip: no clip on two sides",
           {.choices = {"published", "by-clip"}})
      .add("on-corrupt", on_corrupt, "what a damaged record does", {.choices = {"fail", "skip"}})
      .add("limit", limit, "train on the first so many images only; 0: all", {.min = 0})
      .add("output-dir", output_dir, "where runs are kept")
      .add("name", name, "of the run (default: the model)")
      .add("save-every", save_every, "also save the state every so many steps; 0: every epoch", {.min = 0})
      .add("resume", resume, "continue the run of this name")
      .add("overwrite", overwrite, "begin anew although there is a run of this name")
      .add("test-only", test_only, "only evaluate the run's best weights, or --test-weights")
      .add("test-weights", test_weights, "weights for --test-only (safetensors)");
}

Scores published_scores(const std::string& model) {
  if (model == "autoencoder")
    return {{.0219, .1986, .2406, .1899, .1056}, {.4101, .4861, .4565, .3574, .2234}, .4521};
  if (model == "conv_net")
    return {{.4882, .6082, .6530, .6765, .6803}, {.7613, .8069, .8227, .8306, .8333}, .6061};
  return {{.7156, .7646, .7383, .7002, .6473}, {.8401, .8758, .8684, .8486, .8202}, .7002};
}

namespace {

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

template <class D, class Source>
Tensor<float, D> images_of(const data::Batch& batch, const Source& data) {
  return {{batch.size, 3, data.image_height(), data.image_width()}, std::span<const float>(batch.images)};
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
template <class D, class Model, class Source>
Evaluation evaluate(Model& model, const Source& data, data::Loader<Source>& loader, std::int64_t epoch) {
  NoGrad no_grad;
  set_training(model, false);
  Evaluation out;
  loader.seek(epoch, 0);
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const auto& batch = loader.next();
    const auto logits = model(Variable<float, D>(images_of<D>(batch, data)));
    out.loss += bce_with_logits(logits, labels_of<D>(batch)).item() * static_cast<double>(batch.size);
    const auto p = sigmoid(logits).value().to_vector();
    out.probabilities.insert(out.probabilities.end(), p.begin(), p.end());
    out.labels.insert(out.labels.end(), batch.labels.begin(), batch.labels.end());
  }
  out.loss /= static_cast<double>(data.size());
  return out;
}

Scores scores_of(const Evaluation& e, std::int64_t classes) {
  const metrics::Predictions predictions(e.probabilities, e.labels, classes);
  Scores scores{};
  for (int i = 0; i < 5; ++i) {
    scores.exact_match[i] = metrics::exact_match(predictions, thresholds[i]);
    scores.micro_f1[i] = metrics::micro_f1(predictions, thresholds[i]);
  }
  scores.argmax_accuracy = metrics::argmax_accuracy(predictions);
  return scores;
}

Scores baseline_scores(const Dataset& train, const Dataset& test) {
  const auto b = metrics::majority_baseline(train.labels(), test.labels(), test.classes());
  Scores scores{};
  for (int i = 0; i < 5; ++i) {
    scores.exact_match[i] = b.exact_match;
    scores.micro_f1[i] = b.micro_f1;
  }
  scores.argmax_accuracy = b.argmax_accuracy;
  return scores;
}

/// One experiment on one device.
template <class D>
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
      models::ConvNet<float, D> model(classes, random, {.kernel = options_.kernel});
      return train_and_test(model);
    }
    if (options_.model == "autoencoder") {
      models::AutoencoderClassifier<float, D> model(classes, random);
      if (!options_.test_only && !pretrain(model.autoencoder)) return interrupted();
      return train_and_test(model);
    }
    models::ResNet50Classifier<float, D> model(classes, random);
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
    return o;
  }

  /// Reconstruction of the training images, the last tenth of them held out, as published: the weights of the
  /// last epoch count. False if interrupted.
  bool pretrain(models::Autoencoder<float, D>& model) {
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
    const auto loss = [&](const data::Batch& batch) {
      const auto images = images_of<D>(batch, fit);
      return bce_with_logits(model.logits(Variable<float, D>(images)), images);
    };
    TrainerOptions o = training(options_.directory() + "/pretrain", options_.pretrain_epochs);
    o.early_stopping = {.monitor = "epoch", .maximize = true};  // the last epoch is the one to keep
    if (o.resume && !std::ifstream(o.directory + "/state.safetensors")) o.resume = false;
    Trainer trainer(model, optimizer, o);
    std::int64_t epoch = 0;
    const auto result = trainer.fit(fit_loader, loss, [&] {
      Metrics metrics{{"epoch", static_cast<double>(trainer.history().size() + 1)}};
      double sum = 0;
      if (held_out_loader) {
        held_out_loader->seek(epoch, 0);
        for (std::int64_t i = 0; i < held_out_loader->batches_per_epoch(); ++i) {
          const auto& batch = held_out_loader->next();
          sum += loss(batch).item() * static_cast<double>(batch.size);
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
    result.scores = scores_of(evaluate<D>(model, test_, loader, 0), test_.classes());
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
    result.training = trainer.fit(
        loader,
        [&](const data::Batch& batch) {
          return bce_with_logits(model(Variable<float, D>(images_of<D>(batch, used_))), labels_of<D>(batch));
        },
        [&] {
          const auto e = evaluate<D>(model, valid_, valid_loader, evaluations++);
          return Metrics{
              {"val_loss", e.loss},
              {"val_exact_match", metrics::exact_match({e.probabilities, e.labels, valid_.classes()}, 0.5f)}};
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

}  // namespace

MultilabelResult run_multilabel(const MultilabelOptions& options, const io::Json& arguments,
                                const std::string& resume_command) {
  return with_device(options.device,
                     [&]<class D>(D) { return Experiment<D>(options, arguments, resume_command).run(); });
}

std::string compare_with_published(const std::string& model, const MultilabelResult& result) {
  const Scores published = published_scores(model), &obtained = result.scores;
  std::string out = "                      published   obtained   difference   majority\n";
  const auto line = [&](const std::string& what, double p, double o, double majority) {
    char buffer[128];
    std::snprintf(buffer, sizeof buffer, "%-20s %9.2f %%%9.2f %%%+11.2f %%%9.2f %%\n", what.c_str(), p * 100,
                  o * 100, (o - p) * 100, majority * 100);
    out += buffer;
  };
  for (int i = 0; i < 5; ++i)
    line(text("exact match at 0.", i + 1), published.exact_match[i], obtained.exact_match[i],
         result.baseline.exact_match[i]);
  for (int i = 0; i < 5; ++i)
    line(text("micro-F1 at 0.", i + 1), published.micro_f1[i], obtained.micro_f1[i],
         result.baseline.micro_f1[i]);
  line("argmax accuracy", published.argmax_accuracy, obtained.argmax_accuracy,
       result.baseline.argmax_accuracy);
  return out;
}

}  // namespace kdrama
