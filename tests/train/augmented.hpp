// A run with everything that a resume could lose: a small convolutional network with batch norm and dropout,
// on made-up images that worker threads shuffle and augment.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "kfer/data/loader.hpp"
#include "kfer/nn/nn.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/clip_cpu.hpp"
#include "kfer/train/trainer.hpp"

namespace augmented {

using namespace kfer;

/// Images of 8 x 8 noise; two labels tell which half is brighter.
struct Images {
  std::int64_t count;
  std::uint64_t seed;
  std::vector<std::uint8_t> bytes{};
  std::vector<float> targets{};

  Images(std::int64_t n, std::uint64_t s) : count(n), seed(s) {
    const RandomStream noise{.seed = seed};
    for (std::int64_t i = 0; i < n; ++i) {
      double left = 0, top = 0;
      for (int at = 0; at < 192; ++at) {
        const auto value = static_cast<std::uint8_t>(noise.below(bytes.size(), 256));
        left += at / 3 % 8 < 4 ? value : -value;
        top += at / 3 / 8 < 4 ? value : -value;
        bytes.push_back(value);
      }
      targets.push_back(left > 0 ? 1.0f : 0.0f);
      targets.push_back(top > 0 ? 1.0f : 0.0f);
    }
  }
  std::int64_t size() const { return count; }
  int image_height() const { return 8; }
  int image_width() const { return 8; }
  std::int64_t classes() const { return 2; }
  std::span<const float> labels(std::int64_t i) const {
    return std::span(targets).subspan(static_cast<std::size_t>(i) * 2, 2);
  }
  void load(std::int64_t i, std::span<std::uint8_t> hwc) const {
    std::copy_n(bytes.begin() + i * 192, 192, hwc.begin());
  }
};

struct Net {
  static constexpr std::string_view name = "augmented";

  Conv2d<> conv;
  BatchNorm2d<> norm;
  Dropout dropout;
  Linear<> fc;

  explicit Net(RandomStream random = {.seed = 46})
      : conv(3, 8, 3, random, {.stride = 2, .padding = 1}),
        norm(8, {.relu = true}),
        dropout(0.25, random),
        fc(8 * 4 * 4, 2, random) {}

  Variable<> operator()(const Variable<>& x) { return fc(dropout(flatten(norm(conv(x))))); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv", conv);
    v("norm", norm);
    v("dropout", dropout);
    v("fc", fc);
  }
};

/// A whole training program.
struct Run {
  static constexpr std::int64_t batches = 5;

  Net net;
  Images images{42, 1}, held_out{20, 2};
  data::Loader<Images> loader, test_loader;
  Adam<> optimizer{named_parameters(net), {.lr = 0.01}};
  TrainerOptions options;
  /// Called before each batch, and within each evaluation, with the steps taken so far.
  std::function<void(std::int64_t steps)> before_batch = {}, during_evaluation = {};

  static data::LoaderOptions loading(int workers, bool train) {
    data::LoaderOptions o{.batch_size = 8, .workers = workers, .shuffle = train, .drop_last = train};
    if (train)
      o.transform = data::compose(data::RandomFlip{}, data::RandomCrop{.padding = 2},
                                  data::RandomErase{.probability = 0.5f});
    return o;
  }

  Run(std::string directory, std::int64_t epochs, int workers)
      : loader(images, loading(workers, true)), test_loader(held_out, loading(workers, false)) {
    set_num_threads(1);  // the work is too small for more
    options.directory = std::move(directory);
    options.epochs = epochs;
    options.schedule = ExponentialDecay{0.02, 0.9, 8};
    options.clip_norm = 0.5;
    options.early_stopping = {.patience = 8};
    options.arguments["seed"] = 46;
    options.log = nullptr;
  }

  static Variable<> pixels(const data::Batch& b) {
    return Variable<>(Tensor<>({b.size, 3, 8, 8}, std::span<const float>(b.images)));
  }
  static Tensor<> targets(const data::Batch& b) { return {{b.size, 2}, std::span<const float>(b.labels)}; }

  TrainResult fit() {
    struct Source {
      Run& run;
      std::int64_t batches_per_epoch() const { return run.loader.batches_per_epoch(); }
      void seek(std::int64_t epoch, std::int64_t batch) { run.loader.seek(epoch, batch); }
      const data::Batch& next() {
        if (run.before_batch) run.before_batch(run.optimizer.steps());
        return run.loader.next();
      }
    } source{*this};
    Trainer trainer(net, optimizer, options);
    return trainer.fit(
        source, [&](const data::Batch& b) { return bce_with_logits(net(pixels(b)), targets(b)); },
        [&] {
          double loss = 0;
          test_loader.seek(0, 0);
          for (std::int64_t i = 0; i < test_loader.batches_per_epoch(); ++i) {
            const auto& b = test_loader.next();
            loss += bce_with_logits(net(pixels(b)), targets(b)).item() * static_cast<double>(b.size);
            if (i == 1 && during_evaluation) during_evaluation(optimizer.steps());
          }
          return Metrics{{"val_loss", loss / static_cast<double>(held_out.size())}};
        });
  }
};

}  // namespace augmented
