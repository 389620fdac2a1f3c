// What Cho et al. (BigComp 2022) printed for their nine trainings.
#pragma once

#include <array>
#include <string_view>

#include "kfer/data/label_sets.hpp"

namespace kdrama {

/// The thresholds of the multi-label tables: a label counts as predicted where its probability is >= one of
/// these.
inline constexpr std::array<float, 5> thresholds{0.1f, 0.2f, 0.3f, 0.4f, 0.5f};

/// The models, in the tables' order, as flags and as the paper name them.
inline constexpr std::array<std::string_view, 3> models{"autoencoder", "conv_net", "resnet50"};
std::string_view title_of(std::string_view model);

/// Figures of one model on the test images of one label set: fractions, not percent.
struct Scores {
  double accuracy = 0;  ///< argmax of the outputs against argmax of the labels, as Keras counts it
  std::array<double, 5> exact_match{}, micro_f1{};  ///< multi-label only: at each of `thresholds`
};

/// The published scores. Throws ValueError for a model that is none of `models`.
Scores published_scores(const kfer::data::LabelSet& set, std::string_view model);

/// Percent of the test images that have an image of the same clip in train, in the published splits.
double published_leakage(const kfer::data::LabelSet& set);

}  // namespace kdrama
