// Accuracy of the strongest class, and exact match of whole label sets.
#pragma once

#include "kfer/metrics/predictions.hpp"

namespace kfer::metrics {

/// Part of the rows in which the argmax of the scores is the argmax of the label vector. With one label a row
/// this is plain accuracy. With several it is what Keras logs as "accuracy" for the published multi-label
/// models: the *first* label of the row counts, the others do not (numpy.argmax of a 0/1 vector).
inline double argmax_accuracy(const Predictions& p) {
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < p.rows(); ++row) right += argmax(p.scores(row)) == argmax(p.labels(row));
  return static_cast<double>(right) / static_cast<double>(p.rows());
}

/// Part of the rows in which every class agrees, where a class is predicted if its score >= threshold.
inline double exact_match(const Predictions& p, float threshold) {
  require<NumericError>(!std::isnan(threshold), "exact_match: the threshold is NaN");
  std::int64_t right = 0;
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    const auto scores = p.scores(row), labels = p.labels(row);
    bool equal = true;
    for (std::size_t c = 0; c < scores.size(); ++c) equal &= (scores[c] >= threshold) == (labels[c] == 1.f);
    right += equal;
  }
  return static_cast<double>(right) / static_cast<double>(p.rows());
}

}  // namespace kfer::metrics
