// A two-layer network on made-up data: the smallest thing that trains, with dropout, batch norm and a
// shuffled loader.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "kfer/nn/nn.hpp"
#include "kfer/ops/ops.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/clip_cpu.hpp"
#include "kfer/train/trainer.hpp"

namespace tiny {

using namespace kfer;

struct Net {
  static constexpr std::string_view name = "tiny";

  Linear<> fc1;
  Dropout dropout;
  Linear<> fc2;

  explicit Net(RandomStream random = {.seed = 46}, std::int64_t hidden = 24)
      : fc1(6, hidden, random, {.relu = true}), dropout(0.25, random), fc2(hidden, 3, random) {}

  Variable<> operator()(const Variable<>& x) { return fc2(fc1(x, dropout.mask())); }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("fc1", fc1);
    v("dropout", dropout);
    v("fc2", fc2);
  }
};

struct Batch {
  Variable<> x;
  Tensor<> targets;
};

/// Sixty-four rows of a linear teacher's labels, in an order that depends on the epoch.
struct Data {
  static constexpr std::int64_t rows = 64, batch_size = 8;
  Tensor<> x = uniform({rows, 6}, {.seed = 5}, -1, 1);
  std::int64_t epoch = 0, batch = 0;
  std::function<void(std::int64_t epoch, std::int64_t batch)> before_batch = {};

  static float target(const float* row, std::int64_t c) { return row[c] - row[c + 3] > 0 ? 1.0f : 0.0f; }

  std::int64_t batches_per_epoch() const { return rows / batch_size; }
  void seek(std::int64_t e, std::int64_t b) { epoch = e, batch = b; }
  Batch next() {
    if (before_batch) before_batch(epoch, batch);
    std::vector<float> values, targets;
    for (std::int64_t i = 0; i < batch_size; ++i) {
      const std::int64_t row =
          ((batch * batch_size + i) * (2 * epoch + 5) + epoch) % rows;  // odd steps: a permutation
      const float* p = x.data() + row * 6;
      values.insert(values.end(), p, p + 6);
      for (std::int64_t c = 0; c < 3; ++c) targets.push_back(target(p, c));
    }
    ++batch;
    return {Variable<>(Tensor<>({batch_size, 6}, std::span<const float>(values))),
            Tensor<>({batch_size, 3}, std::span<const float>(targets))};
  }
  Batch all() const {
    std::vector<float> targets;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t c = 0; c < 3; ++c) targets.push_back(target(x.data() + i * 6, c));
    return {Variable<>(x), Tensor<>({rows, 3}, std::span<const float>(targets))};
  }
};

/// A directory of its own, removed at the end; in memory where that is possible: saves sync, and a disk takes
/// its time.
struct Scratch {
  std::string path;
  Scratch() {
    const bool memory = ::access("/dev/shm", W_OK) == 0;
    std::string name =
        (memory ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/kfer-train-XXXXXX";
    if (!::mkdtemp(name.data())) throw IoError("no scratch directory");
    path = name;
  }
  ~Scratch() { std::filesystem::remove_all(path); }
  Scratch(const Scratch&) = delete;
};

inline std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

/// A whole training program.
struct Run {
  Net net;
  Data data;
  Adam<> optimizer{named_parameters(net), {.lr = 0.01}};
  TrainerOptions options;
  TrainResult result;

  explicit Run(std::string directory, std::int64_t epochs = 4) {
    set_num_threads(1);  // the work is too small for more
    options.directory = std::move(directory);
    options.epochs = epochs;
    options.schedule = ExponentialDecay{0.02, 0.9, 8};
    options.clip_norm = 0.5;
    options.early_stopping = {.patience = 3};
    options.arguments["seed"] = 46;
    options.arguments["epochs"] = epochs;
    options.log = nullptr;
  }
  TrainResult& fit() {
    Trainer trainer(net, optimizer, options);
    result = trainer.fit(
        data, [&](const Batch& b) { return bce_with_logits(net(b.x), b.targets); },
        [&] {
          const Batch b = data.all();
          return Metrics{{"val_loss", bce_with_logits(net(b.x), b.targets).item()}};
        });
    return result;
  }
};

/// Files that must be equal for two runs to be the same run.
inline std::vector<std::string> lasting_files() {
  return {"results.csv", "state.safetensors", "weights/best.safetensors", "weights/last.safetensors"};
}

}  // namespace tiny
