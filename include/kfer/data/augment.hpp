// Augmentation by name, as programs are asked for it: `--augment flip,crop=4,colour=0.2,erase=0.25`.
#pragma once

#include <array>
#include <charconv>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "kfer/data/transforms.hpp"

namespace kfer::data {

/// Changes one image in its batch, by the random numbers given; empty: no augmentation.
using Augmentation = std::function<void(ImageView, CounterRandom&)>;

/// What `augmentation` understands, in one line for a program's help.
inline constexpr std::string_view augmentation_help =
    "none, or of flip[=PROBABILITY 0.5], crop[=PIXELS 4], colour[=STRENGTH 0.2], erase[=PROBABILITY 0.25], "
    "comma-separated and applied in this order";

namespace detail {

inline constexpr std::array<std::string_view, 4> augmentation_names{"flip", "crop", "colour", "erase"};

/// The number behind `name=`, within [low, high]; `value` as it is if nothing is.
template <class T>
T augmentation_strength(std::string_view name, bool given, std::string_view number, T value, T low, T high) {
  if (!given) return value;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = error == std::errc{} && end == number.data() + number.size();
  require(whole && low <= value && value <= high, "augmentation '", name, "': expected a number from ", low,
          " to ", high, ", got '", number, "'");
  return value;
}

}  // namespace detail

/// The transform that `spec` describes, as `augmentation_help` says. "" and "none" give an empty function.
/// Whatever the order of the words, images are mirrored, then shifted, coloured and erased, so that a set of
/// words has one meaning. Throws ValueError naming the unknown word and the known ones, a word that comes
/// twice, and a strength that is no number or out of range.
inline Augmentation augmentation(std::string_view spec) {
  if (spec.empty() || spec == "none") return {};
  std::array<Augmentation, detail::augmentation_names.size()> steps;
  for (std::size_t comma = 0; comma != std::string_view::npos; spec.remove_prefix(comma + 1)) {
    comma = spec.find(',');
    const auto word = spec.substr(0, comma), name = word.substr(0, word.find('='));
    const bool given = name.size() < word.size();
    const auto number = given ? word.substr(name.size() + 1) : std::string_view();
    const auto strength = [&](auto usual, auto low, auto high) {
      return detail::augmentation_strength(name, given, number, usual, low, high);
    };
    const auto at = static_cast<std::size_t>(std::ranges::find(detail::augmentation_names, name) -
                                             detail::augmentation_names.begin());
    require(at < steps.size(), "augmentation: unknown word '", name, "'; known: flip, crop, colour, erase");
    require(!steps[at], "augmentation: '", name, "' is given twice");
    if (name == "flip") {
      steps[at] = RandomFlip{.probability = strength(0.5f, 0.f, 1.f)};
    } else if (name == "crop") {
      steps[at] = RandomCrop{.padding = strength(4, 0, 4096)};
    } else if (name == "colour") {
      const float s = strength(0.2f, 0.f, 1.f);
      steps[at] = ColourJitter{.brightness = s, .contrast = s, .saturation = s};
    } else {
      steps[at] = RandomErase{.probability = strength(0.25f, 0.f, 1.f)};
    }
    if (comma == std::string_view::npos) break;
  }
  std::vector<Augmentation> chain;
  for (auto& step : steps)
    if (step) chain.push_back(std::move(step));
  return [chain = std::move(chain)](ImageView image, CounterRandom& random) {
    for (const auto& step : chain) step(image, random);
  };
}

}  // namespace kfer::data
