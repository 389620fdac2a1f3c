#include "kdrama/train.hpp"

#include <cstdio>

#include "kdrama/outcome.hpp"
#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"

namespace kdrama {

int train_main(const char* program, const char* about, const char* task, int argc, char** argv) {
  Options options = published_recipe(task, "conv_net");
  kfer::Flags flags(program, std::string(about) + " Without further flags: by the published recipe.");
  options.add_to(flags);
  if (!flags.parse(argc, argv)) return 0;
  options.check();
  std::fprintf(stderr, "kfer %s, device %s, %d threads\n", kfer::version, options.device.device.c_str(),
               kfer::num_threads());
  const auto result = run(options, flags.command("--resume", "--overwrite"));
  if (result.training.interrupted) return kfer::exit_interrupted;
  if (!options.run.test_only) save_outcome(options, result);

  for (const auto& table : comparisons(options, outcome_of(result)))
    std::fputs(as_text(table).c_str(), stdout);
  std::printf("%.1f %% of the test images have an image of the same clip in train (%s split)\n",
              result.leakage, options.data.split.c_str());
  if (!options.run.test_only)
    std::printf(
        "best epoch %lld of %lld, %.1f s of training on %lld images%s%s, of which %.2f s waiting for data\n"
        "report: %s/report.html\n",
        static_cast<long long>(result.training.best_epoch), static_cast<long long>(result.training.epochs),
        result.train_seconds, static_cast<long long>(result.train_images),
        result.resumed ? " since the run was resumed" : "",
        options.autoencoder.empty() ? "" : ", without pre-training", result.wait_seconds,
        options.directory().c_str());
  return 0;
}

}  // namespace kdrama
