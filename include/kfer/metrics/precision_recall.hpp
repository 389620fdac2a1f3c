// Precision against recall over all thresholds, and average precision: how well scores rank, whatever the
// threshold.
#pragma once

#include <algorithm>
#include <vector>

#include "kfer/metrics/predictions.hpp"

namespace kfer::metrics {

/// What is found, and how much of it rightly, where score >= `threshold` counts as predicted.
struct PrecisionRecallPoint {
  float threshold;
  double precision, recall;
};

/// One point a distinct score, from the highest on, so that recall grows up to 1.
struct PrecisionRecallCurve {
  std::vector<PrecisionRecallPoint> points;
  std::int64_t positives = 0, rows = 0;

  /// The sum over points of precision * (recall - recall before), without interpolation (scikit-learn's
  /// average_precision_score).
  double average_precision() const {
    double sum = 0, before = 0;
    for (const auto& point : points) {
      sum += point.precision * (point.recall - before);
      before = point.recall;
    }
    return sum;
  }
  /// Part of the rows that is positive: the precision, and about the average precision, of scores that say
  /// nothing.
  double prevalence() const { return static_cast<double>(positives) / static_cast<double>(rows); }
};

/// The curve of binary decisions: scores and as many labels, 0 or 1. Throws as `Predictions` does, and
/// ValueError if no label is 1: recall is then not defined.
inline PrecisionRecallCurve precision_recall_curve(std::span<const float> scores,
                                                   std::span<const float> labels) {
  const Predictions checked(scores, labels, 1);
  struct Decision {
    float score;
    bool present;
  };
  std::vector<Decision> decisions;
  decisions.reserve(scores.size());
  PrecisionRecallCurve curve{{}, 0, checked.rows()};
  for (std::size_t i = 0; i < scores.size(); ++i) {
    decisions.push_back({scores[i], labels[i] == 1.f});
    curve.positives += decisions.back().present;
  }
  require(curve.positives > 0, "precision_recall_curve: none of ", labels.size(), " labels is 1");
  std::sort(decisions.begin(), decisions.end(), [](auto a, auto b) { return a.score > b.score; });
  std::int64_t found = 0;
  for (std::size_t i = 0; i < decisions.size(); ++i) {
    found += decisions[i].present;
    if (i + 1 < decisions.size() && decisions[i + 1].score == decisions[i].score) continue;
    curve.points.push_back({decisions[i].score, static_cast<double>(found) / static_cast<double>(i + 1),
                            static_cast<double>(found) / static_cast<double>(curve.positives)});
  }
  return curve;
}

/// The curve of one class against the others.
inline PrecisionRecallCurve precision_recall_curve(const Predictions& p, std::int64_t c) {
  require(c >= 0 && c < p.classes(), "precision_recall_curve: no class ", c, " of ", p.classes());
  std::vector<float> scores, labels;
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    scores.push_back(p.scores(row)[static_cast<std::size_t>(c)]);
    labels.push_back(p.labels(row)[static_cast<std::size_t>(c)]);
  }
  return precision_recall_curve(scores, labels);
}

/// The curve of all decisions, whatever their class.
inline PrecisionRecallCurve micro_precision_recall_curve(const Predictions& p) {
  std::vector<float> scores, labels;
  for (std::int64_t row = 0; row < p.rows(); ++row) {
    scores.insert(scores.end(), p.scores(row).begin(), p.scores(row).end());
    labels.insert(labels.end(), p.labels(row).begin(), p.labels(row).end());
  }
  return precision_recall_curve(scores, labels);
}

}  // namespace kfer::metrics
