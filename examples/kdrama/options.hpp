// What one training of the K-drama experiments can be told; the defaults are the published recipe.
#pragma once

#include <cstdint>
#include <string>

#include "kdrama/published.hpp"
#include "kfer/io/json.hpp"
#include "kfer/train/flags.hpp"

namespace kdrama {

/// Where the images come from and how they are read: the same for every program.
struct DataOptions {
  std::string data_path = "";
  std::string split = "published";
  std::string on_corrupt = "fail";
  std::string augment = "";
  int workers = 1;
  std::int64_t limit = 0;  ///< training images used; 0: all
};

/// What computes, and how.
struct DeviceOptions {
  std::string device = "cpu";
  bool amp = false;          ///< activations in bfloat16, parameters in float; on a GPU
  bool strict_fp32 = false;  ///< no TensorFloat-32 in float products; on a GPU
  bool eager = false;        ///< no captured graphs; on a GPU

  /// Throws UsageError for bfloat16 on the Cpu.
  void check() const;
};
inline constexpr const char* amp_on_cpu =
    "--amp computes in bfloat16 on a GPU; the Cpu computes in float: leave it out, or use --device cuda";

/// Where the run is kept, and what is to be done with one that is there.
struct RunOptions {
  std::string output_dir = "runs";
  std::string name = "";  ///< of the run; the model's by default
  std::int64_t save_every = 0;
  std::string on_non_finite = "stop";  ///< what a loss or gradient that is not finite does: "stop" or "skip"
  bool resume = false, overwrite = false, test_only = false;
  std::string test_weights = "";  ///< what test_only evaluates; the run's best by default

  std::string tested_weights(const std::string& directory) const {
    return test_weights.empty() ? directory + "/weights/best.safetensors" : test_weights;
  }
  /// Throws UsageError for flags that would do nothing.
  void check() const;
};

/// The reconstruction that the autoencoder learns before it classifies.
struct PretrainOptions {
  DataOptions data;
  DeviceOptions device;
  RunOptions run;
  std::string set = "multi-label";  ///< whose training images are reconstructed
  std::int64_t batch_size = 64;
  std::int64_t epochs = 100;
  double lr = 1e-3;
  double epsilon = 1e-7;  ///< of Adam, in Keras' place
  double noise = 0.1;     ///< deviation of the noise that is added to show denoising
  std::uint64_t seed = 42;

  void add_to(kfer::Flags& flags);
  /// Throws UsageError for an unknown augmentation and what DeviceOptions and RunOptions refuse.
  void check() const;
  std::string directory() const {
    return run.output_dir + "/pretrain/" + (run.name.empty() ? "autoencoder" : run.name);
  }
};

/// One of the nine trainings.
struct Options {
  DataOptions data;
  DeviceOptions device;
  RunOptions run;
  std::string task = "multi-label";  ///< "6", "22" or "multi-label"
  std::string model = "conv_net";
  std::int64_t batch_size = 64;
  std::int64_t epochs = 1000;
  std::int64_t patience = 10;
  double lr = 1e-5;
  double lr_decay = 0.95;  ///< factor over `lr_decay_epochs`, applied continuously
  double lr_decay_epochs = 10;
  double epsilon = 1e-7;               ///< of Adam, in Keras' place
  std::int64_t kernel = 5;             ///< of conv_net; published: 5 for multi-label, else 3
  std::string class_weights = "auto";  ///< "published", "none", or "auto": published for 6 classes
  std::string freeze = "published";    ///< of resnet50: "published" or "none"
  std::string weights = "";            ///< of resnet50: a backbone to start from
  std::string autoencoder = "";        ///< of autoencoder: a pre-trained one, instead of pre-training
  std::int64_t pretrain_epochs = 100;
  double pretrain_lr = 1e-3;
  std::uint64_t pretrain_seed = 42;
  std::uint64_t seed = 46;

  void add_to(kfer::Flags& flags);
  /// Throws UsageError for files that this model has no use for, an even kernel, an unknown augmentation and
  /// what DeviceOptions and RunOptions refuse.
  void check() const;
  const kfer::data::LabelSet& set() const;
  bool multi_label() const { return task == "multi-label"; }
  std::string directory() const {
    return run.output_dir + "/" + std::string(set().name) + "/" + (run.name.empty() ? model : run.name);
  }
};

/// The published recipe of a task: kernels and class weights differ.
Options published_recipe(const std::string& task, const std::string& model);
/// The same with a schedule that two cores finish in minutes on a few thousand images: fewer epochs of
/// smaller batches at a higher rate, nothing frozen (there are no ImageNet weights to keep).
Options quick_recipe(const std::string& task, const std::string& model);
/// The pre-training of that schedule.
PretrainOptions quick_pretraining();
std::string describe_schedule(const Options& options);

/// All options with their values, as a run saves them, and under "files" what the files that they name hold:
/// it, and not the path, tells whether a run is the same. Throws IoError for a file that cannot be read.
kfer::io::Json arguments_of(Options options);
kfer::io::Json arguments_of(PretrainOptions options);

}  // namespace kdrama
