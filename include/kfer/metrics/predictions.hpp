// What every metric looks at: rows of scores with the labels they should match, checked once on construction.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "kfer/core/error.hpp"

namespace kfer::metrics {

/// Index of the largest value; the first of equals, as numpy.argmax. Throws ValueError if there is none,
/// NumericError for a NaN.
inline std::int64_t argmax(std::span<const float> values) {
  require(!values.empty(), "argmax of no values");
  std::size_t best = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    require<NumericError>(!std::isnan(values[i]), "argmax: value ", i, " is NaN");
    if (values[i] > values[best]) best = i;
  }
  return static_cast<std::int64_t>(best);
}

/// A view of `rows` x `classes` scores (any monotone ones: probabilities or logits) and as many labels, each
/// 0 or 1. The data must outlive it.
class Predictions {
 public:
  /// Throws ShapeError unless both spans hold the same whole, non-zero number of rows; NumericError naming
  /// row and class of a score that is NaN; ValueError for a label that is neither 0 nor 1.
  Predictions(std::span<const float> scores, std::span<const float> labels, std::int64_t classes)
      : scores_(scores), labels_(labels), classes_(static_cast<std::size_t>(classes)) {
    require<ShapeError>(classes > 0, "metrics need at least one class, got ", classes);
    require<ShapeError>(scores.size() == labels.size(), "metrics: ", scores.size(), " scores but ",
                        labels.size(), " labels");
    require<ShapeError>(!scores.empty() && scores.size() % classes_ == 0, "metrics: ", scores.size(),
                        " scores are not one or more rows of ", classes, " classes");
    for (std::size_t i = 0; i < scores.size(); ++i) {
      require<NumericError>(!std::isnan(scores[i]), "metrics: the score of row ", i / classes_, ", class ",
                            i % classes_, " is NaN");
      require(labels[i] == 0.f || labels[i] == 1.f, "metrics: the label of row ", i / classes_, ", class ",
              i % classes_, " is ", labels[i], ", expected 0 or 1");
    }
  }

  std::int64_t rows() const { return static_cast<std::int64_t>(scores_.size() / classes_); }
  std::int64_t classes() const { return static_cast<std::int64_t>(classes_); }
  std::span<const float> scores(std::int64_t row) const {
    return scores_.subspan(static_cast<std::size_t>(row) * classes_, classes_);
  }
  std::span<const float> labels(std::int64_t row) const {
    return labels_.subspan(static_cast<std::size_t>(row) * classes_, classes_);
  }

 private:
  std::span<const float> scores_, labels_;
  std::size_t classes_;
};

}  // namespace kfer::metrics
