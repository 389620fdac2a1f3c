// The multi-label experiment of Cho et al. (BigComp 2022): three models, one recipe, Table 3. Shared by
// train_multilabel, which runs one model on real files, and demo, which runs all three on synthetic ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kfer/train/flags.hpp"
#include "kfer/train/trainer.hpp"

namespace kdrama {

/// Everything that the published recipe fixes; the defaults are the published values.
struct MultilabelOptions {
  std::string data_path;
  std::string model = "conv_net";
  std::string device = "cpu";
  bool amp = false;          ///< activations in bfloat16, parameters in float; on a GPU
  bool strict_fp32 = false;  ///< no TensorFloat-32 in float products; on a GPU
  bool eager = false;        ///< no captured graphs; on a GPU
  std::int64_t batch_size = 64;
  std::int64_t epochs = 1000;
  std::int64_t patience = 10;
  double lr = 1e-5;
  double lr_decay = 0.95;  ///< factor over `lr_decay_epochs`, applied continuously
  double lr_decay_epochs = 10;
  double epsilon = 1e-7;             ///< of Adam, in Keras' place
  std::int64_t kernel = 5;           ///< of conv_net
  std::string freeze = "published";  ///< of resnet50: "published" or "none"
  std::string weights = "";          ///< of resnet50: a backbone to start from
  std::string autoencoder = "";      ///< of autoencoder: a pre-trained one, instead of pre-training
  std::int64_t pretrain_epochs = 100;
  double pretrain_lr = 1e-3;
  std::uint64_t seed = 46;
  int workers = 1;
  std::string split = "published";
  std::string on_corrupt = "fail";
  std::int64_t limit = 0;  ///< training images used; 0: all
  std::string output_dir = "runs";
  std::string name = "";  ///< of the run; the model's by default
  std::int64_t save_every = 0;
  bool resume = false, overwrite = false, test_only = false;
  std::string test_weights = "";  ///< what --test-only evaluates; the run's best by default

  void add_to(kfer::Flags& flags);
  std::string directory() const { return output_dir + "/multilabel/" + (name.empty() ? model : name); }
};

inline constexpr float thresholds[] = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};

/// One row of Table 3: fractions, not percent.
struct Scores {
  double exact_match[5], micro_f1[5], argmax_accuracy;
};
/// What the paper printed for a model ("autoencoder", "conv_net", "resnet50").
Scores published_scores(const std::string& model);

struct MultilabelResult {
  Scores scores;    ///< on the test set
  Scores baseline;  ///< of always answering the most frequent label set of the training images
  std::int64_t train_images = 0, test_images = 0;
  double train_seconds = 0, wait_seconds = 0;  ///< the second: of those, waiting for data
  kfer::TrainResult training;
};

/// Trains (unless test_only) and tests one model. `arguments` is saved with the run, `resume_command` shown
/// when it is interrupted. Throws kfer::Error for whatever is wrong with options, files or numbers.
MultilabelResult run_multilabel(const MultilabelOptions& options, const kfer::io::Json& arguments,
                                const std::string& resume_command);

/// The same on device D, whatever the options say. Defined for each device of the build: see
/// multilabel_experiment.hpp.
template <class D>
MultilabelResult run_multilabel_on(const MultilabelOptions& options, const kfer::io::Json& arguments,
                                   const std::string& resume_command);

/// "published | obtained | difference" for one model.
std::string compare_with_published(const std::string& model, const MultilabelResult& result);

}  // namespace kdrama
