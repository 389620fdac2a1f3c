#include "kfer/data/loader.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <limits>
#include <set>
#include <string>

using namespace kfer;
using namespace kfer::data;

namespace {

/// Image i is filled with bytes that tell i; loading can be told to fail or to take its time.
struct Fake {
  std::int64_t rows = 23;
  std::int64_t bad_row = -1;
  std::chrono::microseconds delay{0};
  std::vector<float> label_values = std::vector<float>(1000);
  mutable std::atomic<int> loads{0};

  explicit Fake(std::int64_t n = 23) : rows(n) {
    for (std::size_t i = 0; i < label_values.size(); ++i) label_values[i] = static_cast<float>(i % 3 == 0);
  }
  std::int64_t size() const { return rows; }
  int image_height() const { return 3; }
  int image_width() const { return 5; }
  std::int64_t classes() const { return 2; }
  std::span<const float> labels(std::int64_t i) const { return {label_values.data() + 2 * i, 2}; }
  void load(std::int64_t i, std::span<std::uint8_t> hwc) const {
    ++loads;
    if (delay.count() > 0) std::this_thread::sleep_for(delay);
    if (i == bad_row) throw FormatError(text("row ", i, " is bad"));
    for (std::size_t k = 0; k < hwc.size(); ++k) hwc[k] = byte(i, k);
  }
  static std::uint8_t byte(std::int64_t i, std::size_t k) {
    return static_cast<std::uint8_t>(7 * i + static_cast<std::int64_t>(k));
  }
};

/// Every value of a batch against the fake's own formula.
void check_content(const Batch& batch, const Fake& data) {
  REQUIRE(batch.rows.size() == static_cast<std::size_t>(batch.size));
  REQUIRE(batch.images.size() == static_cast<std::size_t>(batch.size) * 45);
  REQUIRE(batch.labels.size() == static_cast<std::size_t>(batch.size) * 2);
  bool equal = true;
  for (std::size_t b = 0; b < batch.rows.size(); ++b) {
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t p = 0; p < 15; ++p)
        equal &= batch.images[b * 45 + c * 15 + p] ==
                 static_cast<float>(Fake::byte(batch.rows[b], 3 * p + c)) / 255.f;
    for (std::size_t c = 0; c < 2; ++c) equal &= batch.labels[b * 2 + c] == data.labels(batch.rows[b])[c];
  }
  CHECK(equal);
}

std::vector<std::int64_t> epoch_rows(Loader<Fake>& loader) {
  std::vector<std::int64_t> rows;
  for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) {
    const auto& batch = loader.next();
    rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
  }
  return rows;
}

}  // namespace

TEST_CASE("an epoch's order is a permutation that seed and epoch decide") {
  const auto a = epoch_order(100, 1, 0);
  CHECK(std::set<std::int64_t>(a.begin(), a.end()).size() == 100);
  CHECK(*std::min_element(a.begin(), a.end()) == 0);
  CHECK(*std::max_element(a.begin(), a.end()) == 99);
  CHECK(a == epoch_order(100, 1, 0));
  CHECK(a != epoch_order(100, 1, 1));
  CHECK(a != epoch_order(100, 2, 0));
  CHECK(epoch_order(4, 1, 0, false) == std::vector<std::int64_t>{0, 1, 2, 3});
  CHECK(epoch_order(1, 1, 0) == std::vector<std::int64_t>{0});
  CHECK(epoch_order(0, 1, 0).empty());
}

TEST_CASE("every first place is equally likely") {
  std::vector<int> counts(5);
  for (std::int64_t epoch = 0; epoch < 5000; ++epoch)
    ++counts[static_cast<std::size_t>(epoch_order(5, 9, epoch)[0])];
  for (const int count : counts) CHECK(std::abs(count - 1000) < 150);  // five standard deviations
}

TEST_CASE("batches hold decoded images and labels, the same at any number of workers, cached or not") {
  const Fake data;
  std::vector<std::int64_t> first;
  for (const int workers : {0, 1, 2, 5})
    for (const std::size_t cache : {std::size_t{0}, std::size_t{1} << 20}) {
      CAPTURE(workers);
      Loader loader(data, {.batch_size = 4, .workers = workers, .prefetch = 3, .cache_bytes = cache});
      CHECK(loader.caches() == (cache > 0));
      CHECK(loader.batches_per_epoch() == 6);
      std::vector<std::int64_t> rows;
      for (int i = 0; i < 18; ++i) {
        CHECK(loader.epoch() == i / 6);
        CHECK(loader.batch() == i % 6);
        const auto& batch = loader.next();
        CHECK(batch.epoch == i / 6);
        CHECK(batch.index == i % 6);
        CHECK(batch.last == (i % 6 == 5));
        CHECK(batch.size == (i % 6 == 5 ? 3 : 4));
        check_content(batch, data);
        rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
      }
      if (first.empty()) first = rows;
      CHECK(rows == first);
    }
  for (int epoch = 0; epoch < 3; ++epoch) {
    const auto order = epoch_order(23, 46, epoch);
    CHECK(std::equal(order.begin(), order.end(), first.begin() + 23 * epoch));
  }
}

TEST_CASE("dropping incomplete batches leaves only whole ones") {
  const Fake data;
  Loader loader(data, {.batch_size = 4, .drop_last = true});
  CHECK(loader.batches_per_epoch() == 5);
  CHECK(epoch_rows(loader).size() == 20);
  Loader exact(data, {.batch_size = 23, .drop_last = true});
  CHECK(exact.batches_per_epoch() == 1);
  CHECK(epoch_rows(exact).size() == 23);
}

TEST_CASE("without shuffling the order is the data set's") {
  const Fake data;
  Loader loader(data, {.batch_size = 10, .shuffle = false});
  const auto rows = epoch_rows(loader);
  CHECK(std::is_sorted(rows.begin(), rows.end()));
  CHECK(rows == epoch_rows(loader));
}

TEST_CASE("a loader resumes exactly where another stopped") {
  const Fake data;
  for (const int workers : {0, 2}) {
    Loader whole(data, {.batch_size = 5, .workers = workers});
    for (int i = 0; i < 7; ++i) whole.next();
    Loader resumed(data, {.batch_size = 5, .workers = workers});
    resumed.seek(whole.epoch(), whole.batch());
    for (int i = 0; i < 9; ++i) {
      const Batch expected = whole.next();
      const auto& found = resumed.next();
      CHECK(found.rows == expected.rows);
      CHECK(found.images == expected.images);
      CHECK(found.epoch == expected.epoch);
    }
    whole.seek(0);
    const auto order = epoch_order(23, 46, 0);
    CHECK(whole.next().rows == std::vector<std::int64_t>(order.begin(), order.begin() + 5));
    CHECK_THROWS_AS(whole.seek(0, 5), ValueError);
    CHECK_THROWS_AS(whole.seek(-1), ValueError);
  }
}

TEST_CASE("augmentation depends on seed, epoch and row, not on workers") {
  const Fake data;
  const LoaderOptions options{.batch_size = 23, .transform = compose(RandomFlip{}, RandomCrop{.padding = 1})};
  auto threaded = options;
  threaded.workers = 3;
  auto inline_ = options;
  inline_.workers = 0;
  Loader a(data, threaded), b(data, inline_);
  const Batch a0 = a.next(), b0 = b.next();
  CHECK(a0.images == b0.images);
  auto reseeded = options;
  reseeded.seed = 47;
  reseeded.shuffle = threaded.shuffle = false;
  Loader c(data, threaded), d(data, reseeded);
  const Batch c0 = c.next(), c1 = c.next();
  CHECK(c0.rows == c1.rows);
  CHECK(c0.images != c1.images);
  CHECK(c0.images != d.next().images);
}

TEST_CASE("an exception of a worker surfaces when its batch is due, each time, and a seek moves on") {
  Fake data;
  data.bad_row = epoch_order(23, 46, 0)[9];
  for (const int workers : {0, 1, 3}) {
    Loader loader(data, {.batch_size = 4, .workers = workers});
    loader.next();
    loader.next();
    for (int i = 0; i < 2; ++i)
      CHECK_THROWS_WITH_AS(loader.next(), text("row ", data.bad_row, " is bad").c_str(), FormatError);
    CHECK(loader.batch() == 2);
    loader.seek(0, 3);
    CHECK(loader.next().index == 3);
  }
}

TEST_CASE("cached images are decoded once") {
  const Fake data;
  Loader loader(data, {.batch_size = 5, .workers = 2, .prefetch = 2});
  for (int epoch = 0; epoch < 4; ++epoch)
    for (int i = 0; i < 5; ++i) check_content(loader.next(), data);
  CHECK(data.loads < 23 + 12);  // a row wanted by two epochs at once may be decoded twice
  const int before = data.loads;
  for (int i = 0; i < 10; ++i) loader.next();
  CHECK(data.loads == before);
  Loader limited(data, {.cache_bytes = 23 * 45 - 1});
  CHECK(!limited.caches());
}

TEST_CASE("workers run ahead no further than the ring, and stop at any time") {
  for (int round = 0; round < 20; ++round) {
    Fake data(200);
    data.delay = std::chrono::microseconds(round % 3 * 50);
    {
      Loader loader(data, {.batch_size = 2, .workers = 1 + round % 4, .prefetch = 2, .cache_bytes = 0});
      for (int i = 0; i < round % 5; ++i) loader.next();
      CHECK(data.loads <= (round % 5 + 3) * 2);
    }
    const int after = data.loads;
    CHECK(data.loads == after);
  }
}

TEST_CASE("waiting is counted") {
  Fake data(64);
  data.delay = std::chrono::milliseconds(2);
  Loader slow(data, {.batch_size = 8, .workers = 1, .cache_bytes = 0});
  for (int i = 0; i < 4; ++i) slow.next();
  CHECK(slow.wait_seconds() > 0.03);
  const double before = slow.wait_seconds();
  while (data.loads < 64) std::this_thread::yield();  // a ring of five: batches 3 to 7 are decoded ahead
  slow.next();
  CHECK(slow.wait_seconds() == before);
}

TEST_CASE("a loader refuses settings that cannot work") {
  const Fake data, empty(0);
  CHECK_THROWS_WITH_AS(
      Loader(data, {.batch_size = 24, .drop_last = true}),
      "a batch of 24 images from a data set of 23 with incomplete batches dropped leaves nothing to train on",
      ValueError);
  CHECK_THROWS_AS(Loader(data, {.batch_size = 0}), ValueError);
  CHECK_THROWS_AS(Loader(data, {.workers = -1}), ValueError);
  CHECK_THROWS_AS(Loader(data, {.prefetch = 0}), ValueError);
  CHECK_THROWS_AS(Loader(empty, {}), ValueError);
  Loader large(data, {.batch_size = 100});
  CHECK(large.next().size == 23);
  Loader largest(data, {.batch_size = std::numeric_limits<std::int64_t>::max()});
  CHECK(largest.batches_per_epoch() == 1);
  CHECK(largest.next().size == 23);
}
