// The flags of an imagined program, one of every kind: for tests and fuzzing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kfer/train/flags.hpp"

namespace test {

struct Arguments {
  std::int64_t batch_size = 64;
  int epochs = 1000;
  std::uint64_t seed = 46;
  double lr = 1e-5;
  std::string device = "cpu", output = "runs";
  bool resume = false, shuffle = true;
  std::optional<std::int64_t> limit;
  std::vector<std::string> files;

  kfer::Flags flags() {
    kfer::Flags f("train", "Trains something.");
    f.add("batch-size,b", batch_size, "images a step", {.min = 1, .max = 4096});
    f.add("epochs", epochs, "most epochs", {.min = 0});
    f.add("seed", seed, "of all random numbers");
    f.add("lr", lr, "learning rate", {.min = 0});
    f.add("device", device, "where to compute", {.choices = {"cpu", "cuda"}});
    f.add("output-dir,o", output, "where runs are kept");
    f.add("resume", resume, "continue a run");
    f.add("shuffle", shuffle, "draw images in random order");
    f.add("limit", limit, "use so many images only", {.min = 1});
    return f;
  }
  /// Of the words behind the program's name.
  bool parse(std::vector<const char*> words) {
    words.insert(words.begin(), "train");
    return flags().parse(static_cast<int>(words.size()), words.data());
  }
};

}  // namespace test
