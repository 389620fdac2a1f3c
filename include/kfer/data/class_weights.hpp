// Weights that let rare classes count in a loss.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "kfer/core/error.hpp"

namespace kfer::data {

/// The class weights of the 6-class K-drama experiment (Cho et al., BigComp 2022), from the images a class
/// has in the training set: with n images, k classes and counts c_i,
///
///   b_i = n / (k c_i),   l_i = n / (k ln c_i),   w_i = l_i / sum(l) + 3 b_i / k.
///
/// The formula has no value for classes with fewer than two images, which here count as if they had two.
/// Throws ValueError for no class or a negative count.
inline std::vector<float> kdrama_class_weights(std::span<const std::int64_t> counts) {
  require(!counts.empty(), "class weights of no classes");
  const auto k = static_cast<double>(counts.size());
  double n = 0;
  for (const auto count : counts) {
    require(count >= 0, "class weights: a class has ", count, " images");
    n += static_cast<double>(count);
  }
  std::vector<double> balanced, logarithmic;
  double sum = 0;
  for (const auto count : counts) {
    const auto c = static_cast<double>(std::max<std::int64_t>(count, 2));
    balanced.push_back(n / (k * c));
    logarithmic.push_back(n / (k * std::log(c)));
    sum += logarithmic.back();
  }
  std::vector<float> weights;
  for (std::size_t i = 0; i < counts.size(); ++i)
    weights.push_back(sum > 0 ? static_cast<float>(logarithmic[i] / sum + 3 * balanced[i] / k) : 0.f);
  return weights;
}

}  // namespace kfer::data
