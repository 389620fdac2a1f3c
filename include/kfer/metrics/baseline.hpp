// The result to beat: always answering with the label set that is most frequent in the training data.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "kfer/metrics/f1.hpp"

namespace kfer::metrics {

/// The most frequent row of `labels` (rows x classes, 0 or 1), the earliest of equals. Throws ShapeError
/// unless the span holds one or more whole rows.
inline std::vector<float> majority_labels(std::span<const float> labels, std::int64_t classes) {
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(classes, 1));
  require<ShapeError>(classes > 0 && !labels.empty() && labels.size() % width == 0,
                      "majority_labels: ", labels.size(), " labels are not one or more rows of ", classes,
                      " classes");
  std::map<std::vector<float>, std::pair<std::int64_t, std::size_t>> found;  // row -> how often, first where
  for (std::size_t i = 0; i < labels.size(); i += width) {
    const auto row = labels.subspan(i, width);
    auto& entry = found.try_emplace(std::vector<float>(row.begin(), row.end()), 0, i).first->second;
    ++entry.first;
  }
  const auto best = std::max_element(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.second.first != b.second.first ? a.second.first < b.second.first
                                            : a.second.second > b.second.second;
  });
  return best->first;
}

struct MajorityBaseline {
  std::vector<float> labels;  ///< the answer given for every image
  double exact_match, micro_f1, argmax_accuracy;
};

/// Fits on the labels of the training rows and scores on those of the test rows, both of `classes` columns.
inline MajorityBaseline majority_baseline(std::span<const float> train, std::span<const float> test,
                                          std::int64_t classes) {
  MajorityBaseline baseline{majority_labels(train, classes), 0, 0, 0};
  std::vector<float> answers;
  answers.reserve(test.size());
  while (answers.size() < test.size())
    answers.insert(answers.end(), baseline.labels.begin(), baseline.labels.end());
  answers.resize(test.size());  // a ragged test span is Predictions' to refuse
  const Predictions p(answers, test, classes);
  baseline.exact_match = exact_match(p, 0.5f);
  baseline.micro_f1 = micro_f1(p, 0.5f);
  baseline.argmax_accuracy = argmax_accuracy(p);
  return baseline;
}

}  // namespace kfer::metrics
