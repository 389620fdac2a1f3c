// What a trained model says of one image file.
#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"

namespace kfer {

/// A file to predict.
struct ImageFile {
  std::string path;
  bool pass_over_others = false;  ///< no error if it is no image: neither its content nor its name say so
};

/// A label and its probability.
struct Score {
  std::string label;
  float probability = 0;
};

/// Probabilities of the labels for one image, or why there are none.
class Prediction {
 public:
  using Labels = std::shared_ptr<const std::vector<std::string>>;

  Prediction(std::string path, Labels labels, std::vector<float> probabilities)
      : path_(std::move(path)), labels_(std::move(labels)), probabilities_(std::move(probabilities)) {}
  Prediction(std::string path, Labels labels, std::exception_ptr failure)
      : path_(std::move(path)), labels_(std::move(labels)), failure_(std::move(failure)) {}

  /// The file, as it was named.
  const std::string& path() const { return path_; }
  const std::vector<std::string>& labels() const { return *labels_; }
  /// One a label, in the labels' order; none if the image is broken.
  std::span<const float> probabilities() const { return probabilities_; }

  /// Whether there are probabilities.
  explicit operator bool() const { return !failure_; }
  /// Why there are none, or "".
  std::string error() const {
    try {
      rethrow();
    } catch (const std::exception& error) {
      return error.what();
    }
    return "";
  }
  /// Throws what went wrong with the file, if anything did.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  /// The `count` most probable labels (or all, if there are fewer), most probable first.
  std::vector<Score> top(std::size_t count) const {
    std::vector<std::size_t> order(probabilities_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](auto a, auto b) { return probabilities_[a] > probabilities_[b]; });
    order.resize(std::min(count, order.size()));
    std::vector<Score> out;
    for (const auto i : order) out.push_back({(*labels_)[i], probabilities_[i]});
    return out;
  }
  /// The labels of at least this probability, most probable first.
  std::vector<Score> at_least(float threshold) const {
    auto out = top(probabilities_.size());
    std::erase_if(out, [&](const Score& score) { return score.probability < threshold; });
    return out;
  }

 private:
  std::string path_;
  Labels labels_;
  std::vector<float> probabilities_;
  std::exception_ptr failure_;
};

/// What became of a stream of files.
struct PredictionCounts {
  std::int64_t predicted = 0, broken = 0;
  std::int64_t passed_over = 0;  ///< files that are no images
};

}  // namespace kfer
