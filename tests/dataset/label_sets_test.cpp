// The published facts about the K-drama set (SPEC: its paper, README and split notebook).
#include "kfer/data/label_sets.hpp"

#include <doctest/doctest.h>

#include <array>
#include <set>

using namespace kfer;
using namespace kfer::data;

TEST_CASE("the three sets have the published sizes") {
  const auto sizes = [](const LabelSet& set) {
    return std::array{set.images(Split::train), set.images(Split::valid), set.images(Split::test)};
  };
  CHECK(sizes(basic6) == std::array<std::int64_t, 3>{10249, 1282, 1282});
  CHECK(sizes(emo22) == std::array<std::int64_t, 3>{15840, 1980, 1980});
  CHECK(sizes(multi_label) == std::array<std::int64_t, 3>{31053, 3882, 3882});
  CHECK(multi_label.images() == 38817);
}

TEST_CASE("158 label sets: 19,800 images with one label, 18,134 with two, 875 with three, 8 with four") {
  CHECK(multi_label.counts.size() == 158);
  std::array<std::int64_t, 6> by_labels{};
  std::set<LabelMask> distinct;
  for (const auto& row : multi_label.counts) {
    distinct.insert(row.labels);
    by_labels.at(static_cast<std::size_t>(std::popcount(row.labels))) +=
        row.images[0] + row.images[1] + row.images[2];
  }
  CHECK(distinct.size() == 158);
  CHECK(by_labels == std::array<std::int64_t, 6>{0, 19800, 18134, 875, 8, 0});
}

TEST_CASE("the one-label sets are the one-label images of the multi-label set") {
  for (const auto* set : {&emo22, &basic6})
    for (const auto& row : set->counts) {
      const auto labels = convert_labels(row.labels, *set, multi_label);
      std::int64_t found = 0;
      for (const auto& other : multi_label.counts)
        if (other.labels == labels) found = other.images[0] + other.images[1] + other.images[2];
      CHECK(found == row.images[0] + row.images[1] + row.images[2]);
    }
}

TEST_CASE("labels come in published order") {
  CHECK(multi_label.width() == 24);
  CHECK(multi_label.names.front() == "moved");
  CHECK(multi_label.names.back() == "disgusted");
  CHECK(multi_label.index_of("neutral") == 19);
  CHECK(emo22.width() == 22);
  CHECK(emo22.index_of("surprised") == 2);  // 'bored' is gone
  CHECK(basic6.names[0] == "angry");
  CHECK(basic6.names[5] == "sad");
  CHECK(label_text(multi_label, multi_label.counts[4].labels) == "sad|depressed");
  CHECK(label_text(basic6, 0) == "none");
}

TEST_CASE("names that do not exist are refused") {
  CHECK(&label_set("22_emo") == &emo22);
  CHECK_THROWS_AS(label_set("7_emo"), ValueError);
  CHECK_THROWS_AS(basic6.index_of("upset"), ValueError);
  CHECK_THROWS_AS(convert_labels(LabelMask{1} << multi_label.index_of("upset"), multi_label, basic6),
                  ValueError);
}
