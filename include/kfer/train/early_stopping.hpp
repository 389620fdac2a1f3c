// When to stop training: once a metric has not improved for a while.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "kfer/core/error.hpp"

namespace kfer {

struct EarlyStoppingOptions {
  std::string monitor = "val_loss";  ///< the metric that decides which epoch is the best
  bool maximize = false;             ///< larger is better
  double min_delta = 0;              ///< an improvement by no more than this does not count
  std::int64_t patience = 0;         ///< stop after so many epochs without improvement; 0: never
};

/// Follows the monitored metric from epoch to epoch.
class EarlyStopping {
 public:
  /// What a resumed run continues from.
  struct State {
    double best = std::numeric_limits<double>::quiet_NaN();  ///< NaN: no epoch yet
    std::int64_t best_epoch = -1;
    std::int64_t waited = 0;  ///< epochs since the best one
  };

  /// Throws ValueError for a negative patience or min_delta.
  explicit EarlyStopping(EarlyStoppingOptions options = {}) : options_(std::move(options)) {
    require(options_.patience >= 0, "early stopping: patience must not be negative, got ", options_.patience);
    require(options_.min_delta >= 0, "early stopping: min_delta must not be negative, got ",
            options_.min_delta);
  }

  /// Takes an epoch's value; true if it is the best so far. A NaN is never the best.
  bool update(std::int64_t epoch, double value) {
    const double gain = options_.maximize ? value - state.best : state.best - value;
    if (!std::isnan(value) && (std::isnan(state.best) || gain > options_.min_delta)) {
      state = {value, epoch, 0};
      return true;
    }
    ++state.waited;
    return false;
  }
  bool should_stop() const { return options_.patience > 0 && state.waited >= options_.patience; }
  const EarlyStoppingOptions& options() const { return options_; }

  State state;

 private:
  EarlyStoppingOptions options_;
};

}  // namespace kfer
