// A trained model on a stream of image files, on the device that the program chose.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "kfer/models/classifier.hpp"
#include "kfer/train/prediction.hpp"

namespace predict {

/// What to predict, with what, and where the results go.
struct PredictionRun {
  std::string weights;
  kfer::models::ClassifierOptions about;  ///< what the weights' metadata lack
  std::int64_t batch_size = 64;
  std::optional<int> workers;
  std::function<void(const kfer::models::ClassifierInfo&)> begin;  ///< once, when the weights are loaded
  std::function<std::optional<kfer::ImageFile>()> next;            ///< from one thread at a time
  std::function<void(const kfer::Prediction&)> take;               ///< in the order of the files
};

/// Runs on device D. Defined for each device of the build: see predict_on.hpp.
template <class D>
kfer::PredictionCounts predict_on(const PredictionRun& run);

}  // namespace predict
