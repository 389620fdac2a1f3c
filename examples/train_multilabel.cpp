// Trains one of the three K-drama multi-label models by the published recipe and prints published | obtained
// | difference:
//
//   train_multilabel --data-path kdrama --model resnet50
//
// Ctrl-C leaves a run that --resume continues bit for bit; --test-only evaluates saved weights.
#include <cstdio>

#include "kdrama/multilabel.hpp"
#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/train/run.hpp"

int main(int argc, char** argv) {
  return kfer::run_program("train_multilabel", [&] {
    kdrama::MultilabelOptions options;
    kfer::Flags flags(
        "train_multilabel",
        "Trains a multi-label facial emotion model on the K-drama files, by the published recipe.");
    options.add_to(flags);
    if (!flags.parse(argc, argv)) return 0;
    std::fprintf(stderr, "kfer %s, device %s, %d threads\n", kfer::version, options.device.c_str(),
                 kfer::num_threads());
    const auto result = run_multilabel(options, flags.to_json(), flags.command("--resume"));
    if (result.training.interrupted) return kfer::exit_interrupted;
    std::printf("%s on %lld test images (%lld for training)\n%s", options.model.c_str(),
                static_cast<long long>(result.test_images), static_cast<long long>(result.train_images),
                compare_with_published(options.model, result).c_str());
    if (!options.test_only)
      std::printf("best epoch %lld of %lld, %.1f s of training, of which %.2f s waiting for data; run: %s\n",
                  static_cast<long long>(result.training.best_epoch),
                  static_cast<long long>(result.training.epochs), result.train_seconds, result.wait_seconds,
                  options.directory().c_str());
    return 0;
  });
}
