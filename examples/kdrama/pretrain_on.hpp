// The autoencoder's training, for any device: on its own, and as the first part of the classifier's.
#pragma once

#include <chrono>
#include <cmath>
#include <optional>
#include <string>

#include "kdrama/dataset.hpp"
#include "kdrama/experiment.hpp"
#include "kfer/data/counter_random.hpp"

namespace kdrama {

/// What every training here tells the trainer; the rest is its own.
inline TrainerOptions trainer_options(const RunOptions& run, const DeviceOptions& device, io::Json arguments,
                                      const std::string& resume_command) {
  TrainerOptions o;
  o.save_every = run.save_every;
  o.on_non_finite = run.on_non_finite == "skip" ? OnNonFinite::skip : OnNonFinite::stop;
  o.resume = run.resume;
  o.overwrite = run.overwrite;
  o.arguments = std::move(arguments);
  o.may_change.insert(o.may_change.end(), {"weights", "autoencoder"});  // "files" has what they hold
  o.resume_command = resume_command;
  o.capture = !device.eager;
  return o;
}

/// Trains on the first nine tenths of `train`, the rest held out; the weights of the last epoch count, as
/// published. Throws UsageError if `trainer_options.resume` and `directory` holds no run.
template <class T, class D>
PretrainResult fit_autoencoder(models::Autoencoder<T, D>& model, const Dataset& train,
                               const PretrainOptions& o, const std::string& directory,
                               TrainerOptions trainer_options) {
  const Part used = used_part(train, o.data), fit(train, 0, used.size() - used.size() / 10),
             held_out(train, fit.size(), used.size());
  Loader loader(fit, loading(o.data, o.batch_size, o.seed, true));
  std::optional<Loader> held_out_loader;
  if (held_out.size()) held_out_loader.emplace(held_out, loading(o.data, o.batch_size, o.seed, false));
  Adam<float, D> optimizer(named_parameters(model), {.lr = o.lr, .epsilon = o.epsilon, .epsilon_hat = true});
  const auto reconstruction = [&](const Tensor<T, D>& images, const Tensor<float, D>& targets) {
    return bce_with_logits(cast<float>(model.logits(Variable<T, D>(images))), targets);
  };
  const StagedLoss loss{
      [](const data::DeviceBatch<D>& batch) { return std::tuple(cast<T>(batch.images), batch.images); },
      reconstruction};
  data::Prefetcher<Loader, D> batches(loader, {3, fit.image_height(), fit.image_width()});
  trainer_options.directory = directory;
  trainer_options.epochs = o.epochs;
  trainer_options.early_stopping = {.monitor = "epoch",
                                    .maximize = true};  // the last epoch is the one to keep
  trainer_options.metadata = {{"image_size", text(train.image_height())}};
  Trainer trainer(model, optimizer, trainer_options);
  const auto begin = std::chrono::steady_clock::now();
  std::int64_t evaluations = 0;
  PretrainResult result;
  result.resumed = trainer_options.resume;
  result.arguments = trainer_options.arguments;
  result.training = trainer.fit(batches, loss, [&] {
    Metrics metrics{{"epoch", static_cast<double>(trainer.history().size() + 1)}};
    if (!held_out_loader) return metrics;
    double sum = 0;
    held_out_loader->seek(evaluations++, 0);
    for (std::int64_t i = 0; i < held_out_loader->batches_per_epoch(); ++i) {
      const auto& batch = held_out_loader->next();
      const auto images = images_of<D>(batch, held_out);
      sum += reconstruction(cast<T>(images), images).item() * static_cast<double>(batch.size);
    }
    metrics.emplace_back("val_loss", sum / static_cast<double>(held_out.size()));
    return metrics;
  });
  result.train_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  result.wait_seconds = loader.wait_seconds();
  result.history = trainer.history();
  result.train_images = fit.size();
  result.held_out_images = held_out.size();
  return result;
}

/// Images under normal noise, clamped to [0, 1]; depends on the seed and the rows alone.
inline std::vector<float> with_noise(const data::Batch& batch, double deviation, std::uint64_t seed) {
  std::vector<float> out = batch.images;
  const std::size_t values = out.size() / static_cast<std::size_t>(batch.size);
  for (std::size_t i = 0; i < out.size(); i += values) {
    data::CounterRandom random{seed, 0x6e6f697365u /* "noise" */,
                               static_cast<std::uint64_t>(batch.rows[i / values])};
    for (std::size_t j = 0; j < values; ++j)
      out[i + j] = std::clamp(out[i + j] + random.normal(0, static_cast<float>(deviation)), 0.f, 1.f);
  }
  return out;
}

/// Planes of [0, 1] as interleaved bytes.
inline std::vector<std::uint8_t> pixels_of(std::span<const float> planes) {
  const std::size_t n = planes.size() / 3;
  std::vector<std::uint8_t> out(planes.size());
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < 3; ++c)
      out[3 * i + c] =
          static_cast<std::uint8_t>(std::lround(std::clamp(planes[c * n + i], 0.f, 1.f) * 255.f));
  return out;
}

/// What the model makes of the test images, clean and under noise; the first ones are kept to be shown.
template <class T, class D>
void test_autoencoder(models::Autoencoder<T, D>& model, const Dataset& test, const PretrainOptions& o,
                      PretrainResult& result, std::size_t shown = 16) {
  NoGrad no_grad;
  set_training(model, false);
  const Part all(test, 0, test.size());
  Loader loader(all, loading(o.data, o.batch_size, o.seed, false));
  double clean_error = 0, noisy_error = 0, denoised_error = 0, loss = 0, values = 0;
  for (std::int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
    const auto& batch = loader.next();
    const std::vector<float> noisy = with_noise(batch, o.noise, o.seed);
    const auto images = images_of<D>(batch, all);
    const Tensor<float, D> noisy_images(images.shape(), std::span<const float>(noisy));
    const auto logits = cast<float>(model.logits(Variable<T, D>(cast<T>(images))));
    loss += bce_with_logits(logits, images).item() * static_cast<double>(batch.size);
    const auto clean = sigmoid(logits).value().to_vector();
    const auto denoised =
        sigmoid(cast<float>(model.logits(Variable<T, D>(cast<T>(noisy_images))))).value().to_vector();
    const auto squared = [&](std::span<const float> x) {
      double sum = 0;
      for (std::size_t j = 0; j < x.size(); ++j) {
        const double d = static_cast<double>(x[j]) - batch.images[j];
        sum += d * d;
      }
      return sum;
    };
    clean_error += squared(clean);
    noisy_error += squared(noisy);
    denoised_error += squared(denoised);
    values += static_cast<double>(clean.size());
    const std::size_t size = clean.size() / static_cast<std::size_t>(batch.size);
    for (std::size_t j = 0; j < clean.size() && result.examples.size() < shown; j += size) {
      const auto part = [&](const std::vector<float>& all_of) {
        return pixels_of(std::span(all_of).subspan(j, size));
      };
      result.examples.push_back({test.image_id(batch.rows[j / size]), part(batch.images), part(clean),
                                 part(noisy), part(denoised)});
    }
  }
  const auto psnr = [&](double error) { return error > 0 ? 10 * std::log10(values / error) : INFINITY; };
  result.test_loss = loss / static_cast<double>(test.size());
  result.psnr = psnr(clean_error);
  result.noisy_psnr = psnr(noisy_error);
  result.denoised_psnr = psnr(denoised_error);
  result.test_images = test.size();
}

template <class D>
PretrainResult pretrain_on(const PretrainOptions& options, const std::string& resume_command) {
  const std::string device = set_up<D>(options.device);
  return with_activations<D>(options.device, [&]<class T>() {
    const auto& set = data::label_set(options.set);
    RandomStream random{.seed = options.seed, .stream = 0};
    models::Autoencoder<T, D> model(random);
    const Dataset test = open(options.data, set, data::Split::test);
    PretrainResult result;
    if (options.run.test_only) {
      load_weights(model, options.run.tested_weights(options.directory()));
    } else {
      const Dataset train = open(options.data, set, data::Split::train);
      const auto o = trainer_options(options.run, options.device, arguments_of(options), resume_command);
      result = fit_autoencoder(model, train, options, options.directory(), o);
    }
    result.device = device;
    if (!result.training.interrupted) test_autoencoder(model, test, options, result);
    return result;
  });
}

}  // namespace kdrama
