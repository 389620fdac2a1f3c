// Prefetching on a pretended device with two queues, whose operations run as late and in as odd an order as
// events permit.
#include "kfer/data/prefetch.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <stdexcept>

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/tensor.hpp"

using namespace kfer;
using data::Batch;

namespace {

/// Two queues of operations. Memory is reused as a GPU's is: in the order of the work queue, at once.
class Machine {
 public:
  using Queue = int;
  static constexpr Queue work = 0, copies = 1;
  std::mt19937 random;

  struct Operation {
    std::function<void()> run;
    std::size_t wait_for;  ///< recording that must be reached first; 0: none
    std::size_t reaches;   ///< recording that is reached by it; 0: none
  };
  void enqueue(Queue queue, std::function<void()> run) { queues_[queue].push_back({std::move(run), 0, 0}); }
  std::size_t record(Queue queue) {
    queues_[queue].push_back({{}, 0, ++recordings_});
    return recordings_;
  }
  void wait(Queue queue, std::size_t recording) { queues_[queue].push_back({{}, recording, 0}); }

  /// Runs operations until `done()`; a queue that may go on is chosen at random.
  template <class Done>
  void run_until(Done done) {
    while (!done()) {
      std::vector<Queue> ready;
      for (const Queue q : {work, copies})
        if (!queues_[q].empty() && reached(queues_[q].front().wait_for)) ready.push_back(q);
      if (ready.empty()) throw std::logic_error("the queues wait for each other, or for nothing");
      auto& queue = queues_[ready[random() % ready.size()]];
      const Operation operation = std::move(queue.front());
      queue.pop_front();
      if (operation.run) operation.run();
      if (operation.reaches) reached_.insert(operation.reaches);
    }
  }
  bool reached(std::size_t recording) const { return recording == 0 || reached_.count(recording); }
  void finish() {
    run_until([&] { return queues_[work].empty() && queues_[copies].empty(); });
  }
  std::size_t waiting(Queue queue) const { return queues_[queue].size(); }

  std::multimap<std::size_t, void*> free_blocks;
  std::size_t blocks = 0;

 private:
  std::deque<Operation> queues_[2];
  std::size_t recordings_ = 0;
  std::set<std::size_t> reached_;
};
Machine* machine = nullptr;

struct Fake {
  static constexpr std::string_view name = "fake";
  static void* allocate(std::size_t bytes) {
    if (const auto it = machine->free_blocks.find(bytes); it != machine->free_blocks.end()) {
      void* block = it->second;
      machine->free_blocks.erase(it);
      return block;
    }
    ++machine->blocks;
    return std::calloc(1, bytes);
  }
  static void deallocate(void* block, std::size_t bytes) noexcept {
    machine->free_blocks.emplace(bytes, block);
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    machine->enqueue(Machine::work, [=] { std::memcpy(to, from, bytes); });
  }
  static void copy_from_host(void*, const void*, std::size_t) {
    throw std::logic_error("a copy in the work's way");
  }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) {
    machine->finish();
    std::memcpy(to, from, bytes);
  }
  static void set_zero(void* to, std::size_t bytes) {
    machine->enqueue(Machine::work, [=] { std::memset(to, 0, bytes); });
  }

  static Machine::Queue stream() { return Machine::work; }
  static Machine::Queue copy_stream() { return Machine::copies; }
  static void copy_from_pinned(void* to, const void* from, std::size_t bytes) {
    machine->enqueue(Machine::copies, [=] { std::memcpy(to, from, bytes); });
  }
  class Event {
   public:
    void record(Machine::Queue queue) { recording_ = machine->record(queue); }
    void make_wait(Machine::Queue queue) const { machine->wait(queue, recording_); }
    void wait() const {
      machine->run_until([&] { return machine->reached(recording_); });
    }

   private:
    std::size_t recording_ = 0;
  };
  class PinnedBuffer {
   public:
    PinnedBuffer() = default;
    explicit PinnedBuffer(std::size_t bytes) : data_(bytes) {}
    void* data() { return data_.data(); }
    std::size_t bytes() const { return data_.size(); }

   private:
    std::vector<char> data_;
  };
};
static_assert(data::CopiesBesideWork<Fake>);
static_assert(!data::CopiesBesideWork<Cpu>);

/// Batches whose values tell their position. The last one of an epoch is smaller.
struct Source {
  std::int64_t batches = 3, epoch = 0, index = 0;
  int reads = 0, seeks = 0;
  std::int64_t fails_at = -1;  ///< ticket
  Batch batch = {};

  static float value(std::int64_t epoch, std::int64_t index, std::size_t i) {
    return static_cast<float>(1 + epoch * 100000 + index * 1000 + static_cast<std::int64_t>(i));
  }
  std::int64_t batches_per_epoch() const { return batches; }
  void seek(std::int64_t e, std::int64_t b) { epoch = e, index = b, ++seeks; }
  const Batch& next() {
    ++reads;
    if (epoch * batches + index == fails_at) throw FormatError("a corrupt record");
    batch.epoch = epoch, batch.index = index;
    batch.last = index + 1 == batches;
    batch.size = batch.last ? 2 : 4;
    batch.rows.assign(static_cast<std::size_t>(batch.size), index);
    batch.images.resize(static_cast<std::size_t>(batch.size) * 3 * 2 * 5);
    batch.labels.resize(static_cast<std::size_t>(batch.size) * 7);
    for (std::size_t i = 0; i < batch.images.size(); ++i) batch.images[i] = value(epoch, index, i);
    for (std::size_t i = 0; i < batch.labels.size(); ++i) batch.labels[i] = -value(epoch, index, i);
    if (++index == batches) ++epoch, index = 0;
    return batch;
  }
};

bool holds(const float* p, std::size_t n, float sign, std::int64_t epoch, std::int64_t index) {
  for (std::size_t i = 0; i < n; ++i)
    if (p[i] != sign * Source::value(epoch, index, i)) return false;
  return true;
}

}  // namespace

TEST_CASE("every step sees its own batch, however late the queues run") {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Machine m;
    m.random.seed(seed);
    machine = &m;
    std::mt19937 random(seed + 1);
    int wrong = 0, checked = 0, steps = 40;
    Source source{.batches = 1 + static_cast<std::int64_t>(seed % 5)};
    std::vector<Tensor<float, Fake>> kept;
    {
      data::Prefetcher<Source, Fake> batches(source, {3, 2, 5});
      batches.seek(0, 0);
      std::int64_t epoch = 0, index = 0;
      for (int step = 0; step < steps; ++step) {
        const auto& batch = batches.next();
        REQUIRE(batch.epoch == epoch);
        REQUIRE(batch.index == index);
        REQUIRE(batch.images.shape() == Shape({batch.size, 3, 2, 5}));
        REQUIRE(batch.labels.shape() == Shape({batch.size, 7}));
        REQUIRE(batch.rows.size() == static_cast<std::size_t>(batch.size));
        const float *images = batch.images.data(), *labels = batch.labels.data();
        const auto n = static_cast<std::size_t>(batch.size);
        m.enqueue(Machine::work, [=, &wrong, &checked] {  // the step
          wrong += !holds(images, n * 30, 1, epoch, index) || !holds(labels, n * 7, -1, epoch, index);
          ++checked;
        });
        if (random() % 4 == 0) kept.push_back(batch.images);  // somebody keeps a tensor for longer ...
        if (kept.size() > 2) kept.erase(kept.begin());        // ... and lets it go in the order of the work
        if (++index == source.batches) ++epoch, index = 0;
        if (random() % 10 == 0) {
          epoch = static_cast<std::int64_t>(random() % 3),
          index = static_cast<std::int64_t>(random()) % source.batches;
          batches.seek(epoch, index);
        }
        if (random() % 3 == 0) {  // somebody takes memory and writes to it
          Tensor<float, Fake> scratch(random() % 2 ? Shape({4, 3, 2, 5}) : Shape({4, 7}));
          Fake::set_zero(scratch.mutable_data(), static_cast<std::size_t>(scratch.numel()) * sizeof(float));
        }
      }
    }
    // The prefetcher is gone, and a copy that nobody waited for with it: its memory may be used.
    std::vector<Tensor<float, Fake>> after;
    for (int i = 0; i < 6; ++i) after.emplace_back(i % 2 ? Shape({4, 3, 2, 5}) : Shape({2, 3, 2, 5}));
    for (auto& x : after)
      Fake::set_zero(x.mutable_data(), static_cast<std::size_t>(x.numel()) * sizeof(float));
    m.finish();
    for (const auto& x : after)
      for (std::int64_t i = 0; i < x.numel(); ++i) wrong += x.data()[i] != 0;
    CHECK(checked == steps);
    REQUIRE_MESSAGE(wrong == 0, "seed ", seed);
    CHECK(m.blocks < 20);  // memory is reused
    after.clear();
    kept.clear();
    for (const auto& [bytes, block] : m.free_blocks) std::free(block);
    machine = nullptr;
  }
}

TEST_CASE(
    "the copy of the next batch is under way when a batch is handed out, and does not wait for its step") {
  Machine m;
  machine = &m;
  {
    Source source;
    data::Prefetcher<Source, Fake> batches(source, {3, 2, 5});
    batches.next();
    CHECK(source.reads == 2);
    bool step_ran = false;
    m.enqueue(Machine::work, [&] { step_ran = true; });
    m.run_until([&] { return m.waiting(Machine::copies) == 0 || step_ran; });
    // With luck the step ran first; a queue that could not overlap would have had to wait for it always.
    int overlapped = 0;
    for (int i = 0; i < 50; ++i) {
      step_ran = false;
      batches.next();
      m.enqueue(Machine::work, [&] { step_ran = true; });
      m.run_until([&] { return m.waiting(Machine::copies) == 0 || step_ran; });
      overlapped += !step_ran;
    }
    CHECK(overlapped > 0);
    m.finish();
  }
  for (const auto& [bytes, block] : m.free_blocks) std::free(block);
}

TEST_CASE("a seek to the batch that is ahead costs nothing; any other drops it") {
  Machine m;
  machine = &m;
  {
    Source source;
    data::Prefetcher<Source, Fake> batches(source, {3, 2, 5});
    batches.seek(0, 0);
    for (int i = 0; i < 3; ++i) batches.next();
    CHECK(source.seeks == 1);
    batches.seek(1, 0);  // as a training loop does at the beginning of an epoch
    CHECK(source.seeks == 1);
    CHECK(batches.next().epoch == 1);
    batches.seek(1, 0);
    CHECK(source.seeks == 2);
    CHECK(batches.next().index == 0);
    CHECK(batches.next().index == 1);
  }
  m.finish();
  for (const auto& [bytes, block] : m.free_blocks) std::free(block);
}

TEST_CASE_TEMPLATE("what the source throws comes when its batch is due, until a seek", D, Cpu, Fake) {
  Machine m;
  machine = &m;
  {
    Source source{.fails_at = 2};
    data::Prefetcher<Source, D> batches(source, {3, 2, 5});
    CHECK(batches.next().index == 0);
    CHECK(batches.next().index == 1);
    CHECK_THROWS_AS(batches.next(), FormatError);
    CHECK_THROWS_AS(batches.next(), FormatError);
    batches.seek(1, 1);
    CHECK(batches.next().index == 1);
    data::Prefetcher<Source, D> wrong(source, {3, 2, 6});
    CHECK_THROWS_AS(wrong.next(), ShapeError);
  }
  m.finish();
  for (const auto& [bytes, block] : m.free_blocks) std::free(block);
}

TEST_CASE("on the Cpu a batch is copied when it is asked for") {
  Source source;
  data::Prefetcher<Source, Cpu> batches(source, {3, 2, 5});
  batches.seek(0, 1);
  std::vector<Tensor<float>> kept;
  for (std::int64_t i = 1; i < 7; ++i) {
    const auto& batch = batches.next();
    CHECK(source.reads == i);
    const auto n = static_cast<std::size_t>(batch.size);
    CHECK(holds(batch.images.data(), n * 30, 1, i / 3, i % 3));
    CHECK(holds(batch.labels.data(), n * 7, -1, i / 3, i % 3));
    CHECK(batch.last == (i % 3 == 2));
    kept.push_back(batch.images);
  }
  CHECK(holds(kept[0].data(), 120, 1, 0, 1));
}
