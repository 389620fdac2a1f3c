#include "kdrama/published.hpp"

#include <algorithm>

namespace kdrama {

using kfer::require;
using kfer::data::LabelSet;

namespace {
std::size_t index_of(std::string_view model) {
  const auto it = std::find(models.begin(), models.end(), model);
  require(it != models.end(), "unknown model '", model, "': expected autoencoder, conv_net or resnet50");
  return static_cast<std::size_t>(it - models.begin());
}
}  // namespace

std::string_view title_of(std::string_view model) {
  constexpr std::array<std::string_view, 3> titles{"Autoencoder", "ConvNN", "ResNet50"};
  return titles[index_of(model)];
}

Scores published_scores(const LabelSet& set, std::string_view model) {
  const auto i = index_of(model);
  if (&set == &kfer::data::basic6) return {.accuracy = std::array{.6693, .7293, .8424}[i]};
  if (&set == &kfer::data::emo22) return {.accuracy = std::array{.6056, .8202, .8369}[i]};
  constexpr std::array<Scores, 3> table3{{
      {.4521, {.0219, .1986, .2406, .1899, .1056}, {.4101, .4861, .4565, .3574, .2234}},
      {.6061, {.4882, .6082, .6530, .6765, .6803}, {.7613, .8069, .8227, .8306, .8333}},
      {.7002, {.7156, .7646, .7383, .7002, .6473}, {.8401, .8758, .8684, .8486, .8202}},
  }};
  return table3[i];
}

double published_leakage(const LabelSet& set) {
  return &set == &kfer::data::basic6 ? 99.1 : &set == &kfer::data::emo22 ? 99.6 : 99.3;
}

}  // namespace kdrama
