// Trains the K-drama autoencoder to reconstruct faces, by the published recipe, and shows what it makes of
// test images, clean and under noise:
//
//   pretrain_autoencoder --data-path kdrama
//   train_multilabel --data-path kdrama --model autoencoder --autoencoder
//   runs/pretrain/autoencoder/weights/best.safetensors
//
// --test-only --test-weights FILE shows the same of given weights, such as the published ones
// (tools/import_weights).
#include <cstdio>

#include "kdrama/outcome.hpp"
#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/io/contact_sheet.hpp"
#include "kfer/train/run.hpp"

namespace {

/// Four rows: images, reconstructions, images under noise, those denoised.
void write_sheet(const std::string& path, const kdrama::PretrainResult& result) {
  constexpr int size = kfer::data::kdrama_image_size;
  kfer::io::ContactSheet sheet(
      {.columns = static_cast<int>(result.examples.size()), .cell = size, .caption_lines = 2});
  const auto row = [&](const char* heading, auto pixels) {
    sheet.row(heading);
    for (const auto& e : result.examples) sheet.add(pixels(e), size, size, e.id);
  };
  row(
      "image", [](const auto& e) -> auto& { return e.image; });
  row(
      "reconstruction", [](const auto& e) -> auto& { return e.reconstructed; });
  row(
      "under noise", [](const auto& e) -> auto& { return e.noisy; });
  row(
      "denoised", [](const auto& e) -> auto& { return e.denoised; });
  sheet.write(path);
}

int run(int argc, char** argv) {
  kdrama::PretrainOptions options;
  kfer::Flags flags("pretrain_autoencoder",
                    "Trains the K-drama autoencoder to reconstruct its images. Without further flags: by the "
                    "published recipe.");
  options.add_to(flags);
  if (!flags.parse(argc, argv)) return 0;
  options.check();
  std::fprintf(stderr, "kfer %s, device %s, %d threads\n", kfer::version, options.device.device.c_str(),
               kfer::num_threads());
  const auto result = kdrama::pretrain(options, flags.command("--resume", "--overwrite"));
  if (result.training.interrupted) return kfer::exit_interrupted;
  std::printf(
      "on %lld test images: binary cross-entropy %.4f; PSNR %.2f dB of reconstructions, %.2f dB of images "
      "under noise of %.2f, %.2f dB of those reconstructed\n",
      static_cast<long long>(result.test_images), result.test_loss, result.psnr, result.noisy_psnr,
      options.noise, result.denoised_psnr);
  if (options.run.test_only) {
    write_sheet("reconstructions.png", result);
    std::printf("images: reconstructions.png\n");
    return 0;
  }
  save_outcome(options, result);
  write_sheet(options.directory() + "/reconstructions.png", result);
  std::printf(
      "weights: %s/weights/best.safetensors\nimages: %s/reconstructions.png\nreport: %s/report.html\n",
      options.directory().c_str(), options.directory().c_str(), options.directory().c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return kfer::run_program("pretrain_autoencoder", [&] { return run(argc, argv); });
}
