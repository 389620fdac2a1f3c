#include "kfer/data/synthetic_faces.hpp"

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <numeric>
#include <set>
#include <thread>

using namespace kfer;
using namespace kfer::data;
using namespace kfer::data::synthetic;

namespace {

std::vector<std::uint8_t> drawn(const SyntheticFaces& faces, std::int64_t i) {
  std::vector<std::uint8_t> image(faces.image_bytes());
  faces.draw(i, image);
  return image;
}

double mean_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::abs(static_cast<int>(a[i]) - static_cast<int>(b[i]));
  return sum / static_cast<double>(a.size());
}

}  // namespace

TEST_CASE("the counter's streams are uniform, normal, and differ by key") {
  CounterRandom random{1, 2, 3}, same{1, 2, 3}, other{1, 3, 2};
  CHECK(random.bits() == same.bits());
  CHECK(random.bits() != other.bits());
  constexpr int n = 20000;
  double mean = 0, square = 0, uniform = 0;
  std::array<int, 7> buckets{};
  for (int i = 0; i < n; ++i) {
    const double z = random.normal();
    mean += z / n, square += z * z / n;
    const float u = random.uniform();
    REQUIRE((u >= 0 && u < 1));
    uniform += u / n;
    ++buckets.at(random.below(7));
  }
  CHECK(std::abs(mean) < 0.04);  // five standard errors or more
  CHECK(std::abs(square - 1) < 0.06);
  CHECK(std::abs(uniform - 0.5) < 0.011);
  for (const int count : buckets) CHECK(std::abs(count - n / 7) < 260);
}

TEST_CASE("apportion rounds to the nearest shares that sum to the total") {
  const std::array<std::int64_t, 3> weights{47, 16, 37};
  CHECK(apportion(10, weights) ==
        std::vector<std::int64_t>{5, 1, 4});  // 4.7, 1.6, 3.7 and ties by remainder .7 .6 .7
  CHECK(apportion(0, weights) == std::vector<std::int64_t>{0, 0, 0});
  CHECK(apportion(100, weights) == std::vector<std::int64_t>{47, 16, 37});
  CHECK(apportion(5, std::array<std::int64_t, 2>{0, 0}) == std::vector<std::int64_t>{0, 0});
  CHECK(apportion(2, std::array<std::int64_t, 3>{1, 1, 1}) == std::vector<std::int64_t>{1, 1, 0});
}

TEST_CASE("at full scale the plan has every published count, and clips like the published") {
  const SyntheticFaces faces({.images = 38817});
  REQUIRE(faces.size() == 38817);
  std::map<LabelMask, std::array<std::int32_t, 3>> found;
  for (std::int64_t i = 0; i < faces.size(); ++i)
    ++found[faces.labels(i)][static_cast<std::size_t>(faces.split(i))];
  REQUIRE(found.size() == multi_label.counts.size());
  for (const auto& row : multi_label.counts) CHECK(found[row.labels] == row.images);

  std::vector<std::int32_t> lengths;
  std::set<int> seen;
  for (const auto& clip : faces.clips()) {
    lengths.push_back(clip.images);
    seen.insert(dramas.at(static_cast<std::size_t>(clip.drama)));
  }
  std::sort(lengths.begin(), lengths.end());
  CHECK(lengths.front() == 1);
  CHECK(lengths.back() <= 137);
  CHECK(lengths.back() > 100);
  CHECK(lengths[lengths.size() / 2] == 8);
  CHECK(std::abs(static_cast<int>(lengths.size()) - 3272) < 300);
  CHECK(seen == std::set<int>{3, 6, 12, 16, 22});

  // 99.3 % of the published test images have a neighbour of their clip in train.
  std::set<std::int32_t> in_train;
  std::int64_t tested = 0, leaking = 0;
  for (std::int64_t i = 0; i < faces.size(); ++i)
    if (faces.split(i) == Split::train) in_train.insert(faces.clip(i));
  for (std::int64_t i = 0; i < faces.size(); ++i)
    if (faces.split(i) == Split::test) ++tested, leaking += in_train.contains(faces.clip(i));
  CHECK(tested == 3882);
  CHECK(static_cast<double>(leaking) / static_cast<double>(tested) > 0.97);
}

TEST_CASE("a small plan keeps the proportions") {
  for (const std::int64_t images : {1, 7, 100, 2003}) {
    const SyntheticFaces faces({.images = images});
    CHECK(faces.size() == images);
    std::array<std::int64_t, 3> split{};
    for (std::int64_t i = 0; i < images; ++i) ++split[static_cast<std::size_t>(faces.split(i))];
    const std::array<std::int64_t, 3> weights{31053, 3882, 3882};
    CHECK(std::vector<std::int64_t>(split.begin(), split.end()) == apportion(images, weights));
  }
}

TEST_CASE("images of a clip share id, labels and looks; ids are unique") {
  const SyntheticFaces faces({.images = 600});
  std::set<std::string> ids;
  std::map<std::string, LabelMask> clips;
  for (std::int64_t i = 0; i < faces.size(); ++i) {
    CHECK(ids.insert(faces.image_id(i)).second);
    const auto clip = faces.clip_id(i);
    CHECK(faces.image_id(i).starts_with(clip + "_"));
    CHECK(faces.image_id(i).ends_with(".jpg"));
    CHECK(clips.try_emplace(clip, faces.labels(i)).first->second == faces.labels(i));
  }
  CHECK(clips.size() == faces.clips().size());
  // Frames of a clip are closer to one another than to other clips of the same labels, and yet not equal.
  double within = 0, across = 0;
  int n = 0;
  for (std::int64_t i = 0; i + 12 < faces.size() && n < 25; i += 7) {
    if (faces.clip(i) != faces.clip(i + 1)) continue;
    std::int64_t j = i;
    while (j < faces.size() && faces.clip(j) == faces.clip(i)) ++j;
    if (j == faces.size()) break;
    within += mean_difference(drawn(faces, i), drawn(faces, i + 1));
    across += mean_difference(drawn(faces, i), drawn(faces, j));
    ++n;
  }
  REQUIRE(n > 10);
  CHECK(within > 0);
  CHECK(within < 0.6 * across);
}

TEST_CASE("an image depends on the seed and its index alone") {
  const SyntheticFaces faces({.images = 40, .seed = 5}), again({.images = 40, .seed = 5}),
      other({.images = 40, .seed = 6});
  std::vector<std::vector<std::uint8_t>> images(40), parallel(40);
  for (std::int64_t i = 0; i < 40; ++i) images[static_cast<std::size_t>(i)] = drawn(faces, i);
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      for (std::int64_t i = 39 - t; i >= 0; i -= 3) parallel[static_cast<std::size_t>(i)] = drawn(again, i);
    });
  for (auto& thread : threads) thread.join();
  CHECK(images == parallel);
  CHECK(images[3] != drawn(other, 3));
}

TEST_CASE("an expression shows what each of its emotions alone shows") {
  const auto mask = [](std::string_view name) { return LabelMask{1} << multi_label.index_of(name); };
  const auto both = expression_of(mask("sad") | mask("depressed"));
  CHECK(both[Action::tears] == 1.f);  // of sad only
  CHECK(both[Action::bags] == 1.f);   // of depressed only
  CHECK(both[Action::sweat] == 0.f);
  CHECK(both[Action::smile] < -0.4f);  // of both
  for (std::size_t a = 0; a < action_count; ++a) CHECK(expression_of(0)[a] == 0.f);
}

TEST_CASE("every pair of label sets differs in its expression by a visible amount") {
  float least = 100;
  for (std::size_t i = 0; i < multi_label.counts.size(); ++i)
    for (std::size_t j = i + 1; j < multi_label.counts.size(); ++j) {
      const auto a = expression_of(multi_label.counts[i].labels),
                 b = expression_of(multi_label.counts[j].labels);
      float distance = 0;
      for (std::size_t k = 0; k < action_count; ++k) distance = std::max(distance, std::abs(a[k] - b[k]));
      least = std::min(least, distance);
    }
  CHECK(least >= 0.3f);
}

TEST_CASE("pictures of other sizes show the same face") {
  const SyntheticFaces small({.images = 10, .size = 32}), large({.images = 10, .size = 96});
  const auto a = drawn(small, 0), b = drawn(large, 0);
  double difference = 0;
  for (std::size_t y = 0; y < 32; ++y)
    for (std::size_t x = 0; x < 32; ++x)
      for (std::size_t c = 0; c < 3; ++c) {
        double mean = 0;
        for (std::size_t v = 0; v < 3; ++v)
          for (std::size_t u = 0; u < 3; ++u) mean += b[((3 * y + v) * 96 + 3 * x + u) * 3 + c] / 9.0;
        difference += std::abs(mean - a[(y * 32 + x) * 3 + c]) / (32 * 32 * 3);
      }
  CHECK(difference < 8);  // of 255; noise and edges remain
}

TEST_CASE("what cannot be drawn is refused") {
  CHECK_THROWS_AS(SyntheticFaces({.images = 0}), ValueError);
  CHECK_THROWS_AS(SyntheticFaces({.images = 20'000'000}), ValueError);
  CHECK_THROWS_AS(SyntheticFaces({.size = 4}), ValueError);
  CHECK_THROWS_AS(SyntheticFaces({.expression_spread = -1}), ValueError);
  const SyntheticFaces faces({.images = 3});
  std::vector<std::uint8_t> image(faces.image_bytes()), small(10);
  CHECK_THROWS_AS(faces.draw(3, image), ValueError);
  CHECK_THROWS_AS(faces.draw(-1, image), ValueError);
  CHECK_THROWS_AS(faces.draw(0, small), ShapeError);
}
