// F1 scores of multi-label predictions: by label, micro and macro; and the table over thresholds.
#pragma once

#include <vector>

#include "kfer/metrics/accuracy.hpp"

namespace kfer::metrics {

/// What became of one label over all rows.
struct LabelCounts {
  std::int64_t true_positives = 0, false_positives = 0, false_negatives = 0;

  /// Rows that carry the label.
  std::int64_t support() const { return true_positives + false_negatives; }
  std::int64_t predicted() const { return true_positives + false_positives; }
  double precision() const { return ratio(true_positives, predicted()); }
  double recall() const { return ratio(true_positives, support()); }
  /// 2 TP / (2 TP + FP + FN); 0 if the label is neither present nor predicted.
  double f1() const { return ratio(2 * true_positives, predicted() + support()); }

  LabelCounts& operator+=(const LabelCounts& other) {
    true_positives += other.true_positives;
    false_positives += other.false_positives;
    false_negatives += other.false_negatives;
    return *this;
  }

 private:
  static double ratio(std::int64_t a, std::int64_t b) {
    return b > 0 ? static_cast<double>(a) / static_cast<double>(b) : 0.0;
  }
};

/// One entry a class; a class is predicted if its score >= threshold.
inline std::vector<LabelCounts> count_labels(const Predictions& p, float threshold) {
  require<NumericError>(!std::isnan(threshold), "count_labels: the threshold is NaN");
  std::vector<LabelCounts> counts(static_cast<std::size_t>(p.classes()));
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    const auto scores = p.scores(row), labels = p.labels(row);
    for (std::size_t c = 0; c < counts.size(); ++c) {
      const bool predicted = scores[c] >= threshold, present = labels[c] == 1.f;
      counts[c].true_positives += predicted && present;
      counts[c].false_positives += predicted && !present;
      counts[c].false_negatives += !predicted && present;
    }
  }
  return counts;
}

/// F1 of all decisions together.
inline double micro_f1(std::span<const LabelCounts> counts) {
  LabelCounts all;
  for (const auto& label : counts) all += label;
  return all.f1();
}
inline double micro_f1(const Predictions& p, float threshold) {
  return micro_f1(count_labels(p, threshold));
}

/// Mean of the labels' F1. A label that is neither present nor predicted counts as 0, as in scikit-learn.
inline double macro_f1(std::span<const LabelCounts> counts) {
  require(!counts.empty(), "macro_f1 of no labels");
  double sum = 0;
  for (const auto& label : counts) sum += label.f1();
  return sum / static_cast<double>(counts.size());
}
inline double macro_f1(const Predictions& p, float threshold) {
  return macro_f1(count_labels(p, threshold));
}

struct ThresholdRow {
  float threshold;
  double exact_match, micro_f1, macro_f1;
};

/// The published way to report multi-label results: one row for each threshold.
inline std::vector<ThresholdRow> threshold_table(const Predictions& p, std::span<const float> thresholds) {
  std::vector<ThresholdRow> table;
  for (const float t : thresholds) {
    const auto counts = count_labels(p, t);
    table.push_back({t, exact_match(p, t), micro_f1(counts), macro_f1(counts)});
  }
  return table;
}

}  // namespace kfer::metrics
