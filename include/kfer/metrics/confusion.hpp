// The confusion matrix of one-label classification, and what is read off it: accuracy, recalls, their mean
// (UAR).
#pragma once

#include <vector>

#include "kfer/metrics/predictions.hpp"

namespace kfer::metrics {

/// Counts of (true class, predicted class).
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(std::int64_t classes) : classes_(classes) {
    require<ShapeError>(classes > 0 && classes <= 65536, "a confusion matrix has 1 to 65536 classes, got ",
                        classes);
    counts_.resize(static_cast<std::size_t>(classes * classes));
  }
  /// From argmax of scores and labels; each row must carry exactly one label, else ValueError.
  explicit ConfusionMatrix(const Predictions& p) : ConfusionMatrix(p.classes()) {
    for (std::int64_t row = 0; row < p.rows(); ++row) {
      std::int64_t present = 0;
      for (const float label : p.labels(row)) present += label == 1.f;
      require(present == 1, "a confusion matrix needs one label a row, row ", row, " has ", present);
      add(argmax(p.labels(row)), argmax(p.scores(row)));
    }
  }

  void add(std::int64_t truth, std::int64_t predicted, std::int64_t times = 1) {
    counts_[index(truth, predicted)] += times;
  }

  std::int64_t classes() const { return classes_; }
  std::int64_t at(std::int64_t truth, std::int64_t predicted) const {
    return counts_[index(truth, predicted)];
  }

  /// Rows whose true class is `c`.
  std::int64_t support(std::int64_t c) const {
    std::int64_t n = 0;
    for (std::int64_t j = 0; j < classes_; ++j) n += at(c, j);
    return n;
  }
  std::int64_t total() const {
    std::int64_t n = 0;
    for (const auto count : counts_) n += count;
    return n;
  }

  /// Part of all rows on the diagonal. Throws ValueError on an empty matrix.
  double accuracy() const {
    require(total() > 0, "accuracy of an empty confusion matrix");
    std::int64_t right = 0;
    for (std::int64_t c = 0; c < classes_; ++c) right += at(c, c);
    return static_cast<double>(right) / static_cast<double>(total());
  }
  /// Part of the rows of class `c` that were found. Throws ValueError if it has none.
  double recall(std::int64_t c) const {
    const auto n = support(c);
    require(n > 0, "recall of class ", c, ", which no row has");
    return static_cast<double>(at(c, c)) / static_cast<double>(n);
  }
  /// Unweighted average recall over the classes that occur (scikit-learn: balanced accuracy). Throws
  /// ValueError on an empty matrix.
  double uar() const {
    double sum = 0;
    std::int64_t occurring = 0;
    for (std::int64_t c = 0; c < classes_; ++c)
      if (support(c) > 0) sum += recall(c), ++occurring;
    require(occurring > 0, "UAR of an empty confusion matrix");
    return sum / static_cast<double>(occurring);
  }

 private:
  std::size_t index(std::int64_t truth, std::int64_t predicted) const {
    require(truth >= 0 && truth < classes_ && predicted >= 0 && predicted < classes_, "confusion matrix of ",
            classes_, " classes: no cell (", truth, ", ", predicted, ")");
    return static_cast<std::size_t>(truth * classes_ + predicted);
  }

  std::int64_t classes_;
  std::vector<std::int64_t> counts_;
};

}  // namespace kfer::metrics
