#include "kfer/data/augment.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace kfer;
using namespace kfer::data;

namespace {

std::vector<float> picture() {
  std::vector<float> values(3 * 9 * 8);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 37 % 256) / 255.f;
  return values;
}

/// The picture after `transform`, with the random numbers of `seed`.
template <class Transform>
std::vector<float> after(const Transform& transform, std::uint64_t seed) {
  auto values = picture();
  CounterRandom random{seed};
  transform(ImageView{values, 3, 9, 8}, random);
  return values;
}

std::string problem(std::string_view spec) {
  try {
    augmentation(spec);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("no words are no augmentation") {
  CHECK(!augmentation(""));
  CHECK(!augmentation("none"));
}

TEST_CASE("words are the transforms of their names, with the strengths given") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CHECK(after(augmentation("flip"), seed) == after(RandomFlip{}, seed));
    CHECK(after(augmentation("flip=1"), seed) == after(RandomFlip{.probability = 1}, seed));
    CHECK(after(augmentation("crop"), seed) == after(RandomCrop{.padding = 4}, seed));
    CHECK(after(augmentation("crop=1"), seed) == after(RandomCrop{.padding = 1}, seed));
    CHECK(after(augmentation("colour=0.5"), seed) == after(ColourJitter{0.5f, 0.5f, 0.5f}, seed));
    CHECK(after(augmentation("erase"), seed) == after(RandomErase{.probability = 0.25f}, seed));
    const auto all = compose(RandomFlip{}, RandomCrop{.padding = 2}, ColourJitter{}, RandomErase{1});
    CHECK(after(augmentation("flip,crop=2,colour,erase=1"), seed) == after(all, seed));
    CHECK(after(augmentation("erase=1,colour,crop=2,flip"), seed) == after(all, seed));
  }
}

TEST_CASE("words of strength zero change nothing") {
  for (std::uint64_t seed = 0; seed < 20; ++seed)
    CHECK(after(augmentation("flip=0,crop=0,colour=0,erase=0"), seed) == picture());
}

TEST_CASE("what cannot be meant is named, with what can") {
  CHECK(problem("flip,rotate") == "augmentation: unknown word 'rotate'; known: flip, crop, colour, erase");
  CHECK(problem("flip,") == "augmentation: unknown word ''; known: flip, crop, colour, erase");
  CHECK(problem("none,flip") == "augmentation: unknown word 'none'; known: flip, crop, colour, erase");
  CHECK(problem("crop,crop=2") == "augmentation: 'crop' is given twice");
  CHECK(problem("crop=1.5") == "augmentation 'crop': expected a number from 0 to 4096, got '1.5'");
  CHECK(problem("crop=-1") == "augmentation 'crop': expected a number from 0 to 4096, got '-1'");
  CHECK(problem("colour=1.5") == "augmentation 'colour': expected a number from 0 to 1, got '1.5'");
  for (const auto spec : {"flip=", "flip=nan", "flip=inf", "flip=1x", "erase= 1", "erase=2"})
    CHECK(problem(spec).find("expected a number from 0 to 1") != std::string::npos);
}
