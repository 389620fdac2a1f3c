// The trainings of Cho et al. (BigComp 2022): three label sets, three models, one recipe. Shared by the
// programs train_multiclass, train_multilabel, pretrain_autoencoder, reproduce and demo.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kdrama/options.hpp"
#include "kfer/train/history.hpp"
#include "kfer/train/trainer.hpp"

namespace kdrama {

/// An image of the test set as it is shown in a report.
struct Sample {
  std::vector<std::uint8_t> pixels;  ///< height x width x RGB
  std::string id;
  std::vector<float> labels, probabilities;
};

struct Result {
  Scores scores;    ///< on the test images
  Scores baseline;  ///< of always answering the most frequent label set of the training images
  double test_loss = 0;
  std::vector<float> probabilities, labels;  ///< of the test images, rows of set().width()
  std::vector<float> train_labels;
  std::vector<Sample> samples;
  std::int64_t train_images = 0, valid_images = 0, test_images = 0;
  double leakage = 0;  ///< percent of the test images with an image of the same clip in train
  double train_seconds = 0, wait_seconds = 0;  ///< with pre-training here; of those, waiting for data
  bool resumed = false;                        ///< both are then of the last session alone
  std::string device = "";                     ///< in words
  bool pretrained = false;                     ///< resnet50: started from given weights
  kfer::io::Json arguments = {};               ///< as arguments_of
  kfer::TrainResult training;
  kfer::History history;
};

/// Trains (unless test_only) and tests one model. `resume_command` is shown when it is interrupted. Throws
/// kfer::Error for whatever is wrong with options, files or numbers.
Result run(const Options& options, const std::string& resume_command = "");

/// An image, and what the autoencoder makes of it and of itself under noise.
struct Reconstruction {
  std::string id;
  std::vector<std::uint8_t> image, reconstructed, noisy, denoised;  ///< height x width x RGB
};

struct PretrainResult {
  double test_loss = 0;  ///< binary cross-entropy against the image, per value
  double psnr = 0, noisy_psnr = 0,
         denoised_psnr = 0;  ///< dB, of test images, against the clean image, infinite if equal
  std::vector<Reconstruction> examples;
  std::int64_t train_images = 0, held_out_images = 0, test_images = 0;
  double train_seconds = 0, wait_seconds = 0;  ///< the second: of those, waiting for data
  bool resumed = false;                        ///< both are then of the last session alone
  std::string device = "";
  kfer::io::Json arguments = {};  ///< as arguments_of
  kfer::TrainResult training;
  kfer::History history;
};

/// Trains (unless test_only) the autoencoder on the first nine tenths of the training images, the rest held
/// out (published: a 90/10 split), and shows it test images. Throws as `run`.
PretrainResult pretrain(const PretrainOptions& options, const std::string& resume_command = "");

/// The same on device D, whatever the options say. Defined for each device of the build: see
/// experiment_on.hpp.
template <class D>
Result run_on(const Options& options, const std::string& resume_command);
template <class D>
PretrainResult pretrain_on(const PretrainOptions& options, const std::string& resume_command);

}  // namespace kdrama
