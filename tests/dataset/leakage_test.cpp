// Leakage: closed forms, the published way of splitting, and the by-clip partition.
#include "kfer/data/leakage.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kfer/data/clip_partition.hpp"
#include "kfer/data/counter_random.hpp"
#include "kfer/data/synthetic_faces.hpp"

using namespace kfer;
using namespace kfer::data;

using Ids = std::vector<std::string_view>;

TEST_CASE("an image leaks if its clip has an image in train, once for each image") {
  CHECK(leakage(Ids{"a", "b"}, Ids{"c", "d"}) == Leakage{2, 0});
  CHECK(leakage(Ids{"a", "b", "a"}, Ids{"a", "a", "c", "b"}) == Leakage{4, 3});
  CHECK(leakage(Ids{"a", "b", "a"}, Ids{"a", "a", "c", "b"}).percent() == 75.0);
  CHECK(leakage(Ids{}, Ids{"a"}) == Leakage{1, 0});
  CHECK(leakage(Ids{"a"}, Ids{"a"}).share() == 1.0);
  CHECK(leakage(Ids{"a"}, Ids{}) == Leakage{0, 0});
  CHECK(leakage(Ids{"a"}, Ids{}).share() == 0.0);
  CHECK(leakage(Ids{"ab"}, Ids{"a", "b", "abc", ""}).seen == 0);
}

TEST_CASE("every k-th image for testing leaks unless a clip has no other image") {
  // Clips of size m; image i of 0, 1, ... is tested if i % 10 == 0. A clip leaks nothing only if it is one
  // image.
  for (const int m : {1, 2, 3, 5, 10, 11}) {
    CAPTURE(m);
    std::vector<std::string> names;
    for (int i = 0; i < 1000 * m; ++i) names.push_back(text("clip", i / m));
    Ids train, test;
    for (std::size_t i = 0; i < names.size(); ++i) (i % 10 == 0 ? test : train).push_back(names[i]);
    CHECK(leakage(train, test).images == 100 * m);
    CHECK(leakage(train, test).seen == (m == 1 ? 0 : 100 * m));
  }
}

TEST_CASE("dealt by image, a share of test leaks that follows from the clips' sizes; by clip, none") {
  // An image of a clip of m images has none of the m - 1 others in train with the probability 0.2^(m - 1).
  std::vector<std::string> names;
  double expected = 0;
  for (int c = 0; c < 3000; ++c) {
    const int m = 1 + c % 6;
    for (int k = 0; k < m; ++k) names.push_back(text("clip", c));
    expected += m * (1 - std::pow(0.2, m - 1));
  }
  expected /= static_cast<double>(names.size());
  Ids train, test;
  CounterRandom random{3};
  for (const auto& name : names) {
    const auto tenth = random.below(10);
    if (tenth < 8) train.push_back(name);
    if (tenth == 9) test.push_back(name);
  }
  const auto found = leakage(train, test);
  const double deviation = std::sqrt(expected * (1 - expected) / static_cast<double>(found.images));
  CHECK(std::abs(found.share() - expected) < 5 * deviation);
  CHECK(deviation < 0.01);
}

TEST_CASE("the synthetic set leaks as published where it is split as published, and not at all by clip") {
  const SyntheticFaces faces({.images = 38817});
  std::array<Ids, 3> published, by_clip;
  std::vector<std::string> names;
  std::map<std::string, ClipContents> contents;
  for (std::int64_t i = 0; i < faces.size(); ++i) names.emplace_back(faces.clip_id(i));
  for (std::int64_t i = 0; i < faces.size(); ++i) {
    const auto& name = names[static_cast<std::size_t>(i)];
    published[static_cast<std::size_t>(faces.split(i))].push_back(name);
    auto& clip = contents[name];
    clip.id = name;
    clip.label_images.resize(multi_label.width());
    ++clip.images;
    for (std::size_t c = 0; c < multi_label.width(); ++c) clip.label_images[c] += faces.labels(i) >> c & 1;
  }
  const auto test = leakage(published[0], published[2]);
  CHECK(test.images == 3882);
  CHECK(test.percent() > 98.5);  // published: 99.3
  CHECK(test.percent() < 100.0);

  std::vector<ClipContents> clips;
  for (auto& [id, clip] : contents) clips.push_back(clip);
  const auto home = partition_clips(clips);
  std::map<std::string_view, Split> split_of;
  for (std::size_t i = 0; i < clips.size(); ++i) split_of[clips[i].id] = home[i];
  for (const auto& name : names) by_clip[static_cast<std::size_t>(split_of.at(name))].push_back(name);
  for (const std::size_t s : {1, 2}) {
    CHECK(leakage(by_clip[0], by_clip[s]).images > 3800);
    CHECK(leakage(by_clip[0], by_clip[s]).seen == 0);
  }
  CHECK(leakage(by_clip[1], by_clip[2]).seen == 0);
}
