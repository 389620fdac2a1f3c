// Batches for training: worker threads decode ahead of the consumer into a bounded ring of reused buffers.
//
// A loader is an endless stream of batches at positions (epoch, batch). What a position holds depends on the
// seed, the batch size and the data set alone, never on workers, timing or history; so a run resumes exactly
// by `seek`.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <thread>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/data/transforms.hpp"

namespace kfer::data {

/// Images of one size with 0/1 labels. `load` must be safe to call from several threads at once.
template <class D>
concept ImageDataset = requires(const D& data, std::int64_t i, std::span<std::uint8_t> hwc) {
  { data.size() } -> std::convertible_to<std::int64_t>;
  { data.image_height() } -> std::convertible_to<int>;
  { data.image_width() } -> std::convertible_to<int>;
  { data.classes() } -> std::convertible_to<std::int64_t>;
  { data.labels(i) } -> std::convertible_to<std::span<const float>>;
  data.load(i, hwc);
};

/// The rows of epoch `epoch`, each of [0, n) once: a Fisher-Yates shuffle driven by (seed, epoch).
inline std::vector<std::int64_t> epoch_order(std::int64_t n, std::uint64_t seed, std::int64_t epoch,
                                             bool shuffle = true) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  if (!shuffle) return order;
  CounterRandom random{seed, 0x6f72646572u /* "order" */, static_cast<std::uint64_t>(epoch)};
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

/// RGB bytes, interleaved, to planes of floats in [0, 1]: planes[c][i] = hwc[3 i + c] / 255.
inline void to_planes(const std::uint8_t* hwc, float* planes, std::size_t pixels) {
  float *r = planes, *g = planes + pixels, *b = planes + 2 * pixels;
  for (std::size_t i = 0; i < pixels; ++i) {
    r[i] = static_cast<float>(hwc[3 * i]) / 255.f;
    g[i] = static_cast<float>(hwc[3 * i + 1]) / 255.f;
    b[i] = static_cast<float>(hwc[3 * i + 2]) / 255.f;
  }
}

/// Some rows of a data set, decoded.
struct Batch {
  std::int64_t epoch = 0, index = 0;  ///< its position
  std::int64_t size = 0;              ///< images; the last of an epoch may be smaller
  bool last = false;                  ///< of its epoch
  std::vector<std::int64_t> rows;     ///< of the data set
  std::vector<float> images;          ///< size x 3 x height x width, RGB / 255
  std::vector<float> labels;          ///< size x classes, 0 or 1
};

struct LoaderOptions {
  std::int64_t batch_size = 64;
  int workers = 1;  ///< decoding threads; 0: the consumer decodes, in next()
  bool shuffle = true, drop_last = false;
  std::uint64_t seed = 46;
  int prefetch = 4;                                ///< batches decoded ahead
  std::size_t cache_bytes = std::size_t{1} << 30;  ///< keep decoded images if all of them fit; 0: never
  std::function<void(ImageView, CounterRandom&)> transform = {};  ///< augmentation; see transforms.hpp
};

template <ImageDataset Dataset>
class Loader {
 public:
  /// `data` must outlive the loader. Throws ValueError for an empty data set, options out of range, or a
  /// batch larger than the data set when incomplete batches are dropped.
  Loader(const Dataset& data, LoaderOptions options)
      : data_(data),
        options_(std::move(options)),
        rows_(data.size()),
        pixels_(static_cast<std::size_t>(data.image_height()) *
                static_cast<std::size_t>(data.image_width())) {
    const auto& o = options_;
    require(rows_ > 0, "a loader needs a data set with at least one image");
    require(o.batch_size > 0, "the batch size must be positive, got ", o.batch_size);
    require(o.workers >= 0 && o.workers <= 256, "a loader has 0 to 256 workers, got ", o.workers);
    require(o.prefetch >= 1 && o.prefetch <= 1024, "a loader prefetches 1 to 1024 batches, got ", o.prefetch);
    require(!o.drop_last || o.batch_size <= rows_, "a batch of ", o.batch_size, " images from a data set of ",
            rows_, " with incomplete batches dropped leaves nothing to train on");
    batches_ = o.drop_last ? rows_ / o.batch_size : rows_ / o.batch_size + (rows_ % o.batch_size != 0);
    slots_.resize(static_cast<std::size_t>(o.workers == 0 ? 1 : o.prefetch + 1));
    const std::size_t bytes = static_cast<std::size_t>(rows_) * pixels_ * 3;
    if (bytes <= o.cache_bytes) {
      cache_ = std::make_unique_for_overwrite<std::uint8_t[]>(bytes);
      cached_ = std::vector<std::atomic<CacheState>>(static_cast<std::size_t>(rows_));
    }
    start();
  }
  ~Loader() { stop(); }
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  std::int64_t batches_per_epoch() const { return batches_; }
  /// Position of the batch that next() returns next.
  std::int64_t epoch() const { return next_ / batches_; }
  std::int64_t batch() const { return next_ % batches_; }
  /// Seconds the consumer has spent in next() for batches that were not ready.
  double wait_seconds() const { return wait_seconds_; }
  bool caches() const { return cache_ != nullptr; }

  /// The next batch, valid until the following call. An exception of a worker (a corrupt record, say) is
  /// thrown here when its batch is due, and again on every later call until a seek.
  const Batch& next() {
    Slot& slot = slot_of(next_);
    const auto begin = std::chrono::steady_clock::now();
    if (options_.workers == 0) {
      fill(slot.batch, next_, order_of(next_ / batches_));
      wait_seconds_ += seconds_since(begin);
      ++next_;
      return slot.batch;
    }
    std::unique_lock lock(mutex_);
    free_before_ = next_;  // the batch returned before is the workers' again
    work_.notify_all();
    if (!(slot.ready && slot.ticket == next_)) {
      done_.wait(lock, [&] { return slot.ready && slot.ticket == next_; });
      wait_seconds_ += seconds_since(begin);
    }
    if (slot.error) std::rethrow_exception(slot.error);
    ++next_;
    return slot.batch;
  }

  /// Continues at batch `batch` of epoch `epoch`. Throws ValueError for a position that does not exist.
  void seek(std::int64_t epoch, std::int64_t batch = 0) {
    require(epoch >= 0 && epoch < (std::int64_t{1} << 40) && batch >= 0 && batch < batches_, "no batch ",
            batch, " of epoch ", epoch, " in a loader of ", batches_, " batches an epoch");
    const std::int64_t target = epoch * batches_ + batch;
    if (target == next_ && options_.workers > 0 && !failed()) return;
    stop();
    next_ = target;
    start();
  }

 private:
  enum class CacheState : std::uint8_t { empty, filling, filled };
  struct Slot {
    Batch batch;
    std::int64_t ticket = -1;
    bool ready = false;
    std::exception_ptr error;
  };
  using Order = std::shared_ptr<const std::vector<std::int64_t>>;

  Slot& slot_of(std::int64_t ticket) { return slots_[static_cast<std::size_t>(ticket) % slots_.size()]; }

  static double seconds_since(std::chrono::steady_clock::time_point begin) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  bool failed() {
    const std::lock_guard lock(mutex_);
    return slot_of(next_).ready && slot_of(next_).error;
  }

  void start() {
    stopping_ = false;
    claimed_ = free_before_ = next_;
    for (auto& slot : slots_) slot.ready = false, slot.ticket = -1, slot.error = nullptr;
    try {
      for (int i = 0; i < options_.workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    work_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  /// Tickets are batches counted from epoch 0. A worker takes the next one whose slot the consumer is done
  /// with.
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      work_.wait(lock, [&] {
        return stopping_ || claimed_ < free_before_ + static_cast<std::int64_t>(slots_.size());
      });
      if (stopping_) return;
      const std::int64_t ticket = claimed_++;
      Slot& slot = slot_of(ticket);
      slot.ticket = ticket, slot.ready = false, slot.error = nullptr;
      lock.unlock();
      std::exception_ptr error;
      try {
        fill(slot.batch, ticket, order_of(ticket / batches_));
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      slot.error = error;
      slot.ready = true;
      done_.notify_all();
    }
  }

  /// The order of an epoch, made once: the current and the next epoch are alive at the same time.
  Order order_of(std::int64_t epoch) {
    const std::lock_guard lock(order_mutex_);
    auto& entry = orders_[static_cast<std::size_t>(epoch) % orders_.size()];
    if (!entry.second || entry.first != epoch)
      entry = {epoch, std::make_shared<const std::vector<std::int64_t>>(
                          epoch_order(rows_, options_.seed, epoch, options_.shuffle))};
    return entry.second;
  }

  void fill(Batch& batch, std::int64_t ticket, const Order& order) {
    const std::size_t classes = static_cast<std::size_t>(data_.classes()), values = pixels_ * 3;
    batch.epoch = ticket / batches_;
    batch.index = ticket % batches_;
    batch.last = batch.index + 1 == batches_;
    const std::int64_t first = batch.index * options_.batch_size;
    batch.size = std::min(options_.batch_size, rows_ - first);
    const auto n = static_cast<std::size_t>(batch.size);
    batch.rows.assign(order->begin() + first, order->begin() + first + batch.size);
    batch.images.resize(n * values);
    batch.labels.resize(n * classes);
    std::vector<std::uint8_t> scratch(cache_ ? 0 : values);
    for (std::size_t i = 0; i < n; ++i) {
      const std::int64_t row = batch.rows[i];
      const auto labels = data_.labels(row);
      require<ShapeError>(labels.size() == classes, "row ", row, " has ", labels.size(), " labels, expected ",
                          classes);
      std::copy(labels.begin(), labels.end(),
                batch.labels.begin() + static_cast<std::ptrdiff_t>(i * classes));
      const std::span<float> image(batch.images.data() + i * values, values);
      to_planes(decoded(row, scratch), image.data(), pixels_);
      if (options_.transform) {
        CounterRandom random{options_.seed, 0x61756721u /* "aug!" */, static_cast<std::uint64_t>(batch.epoch),
                             static_cast<std::uint64_t>(row)};
        options_.transform({image, 3, data_.image_height(), data_.image_width()}, random);
      }
    }
  }

  /// The bytes of an image, from the cache or the data set.
  const std::uint8_t* decoded(std::int64_t row, std::vector<std::uint8_t>& scratch) {
    const std::size_t values = pixels_ * 3;
    if (cache_) {
      auto& state = cached_[static_cast<std::size_t>(row)];
      std::uint8_t* const place = cache_.get() + static_cast<std::size_t>(row) * values;
      if (state.load(std::memory_order_acquire) == CacheState::filled) return place;
      auto expected = CacheState::empty;
      if (state.compare_exchange_strong(expected, CacheState::filling)) {
        try {
          data_.load(row, std::span(place, values));
        } catch (...) {
          state.store(CacheState::empty);
          throw;
        }
        state.store(CacheState::filled, std::memory_order_release);
        return place;
      }
      if (expected == CacheState::filled) return place;
      scratch.resize(values);  // another worker is at it, for the neighbouring epoch
    }
    data_.load(row, std::span(scratch));
    return scratch.data();
  }

  const Dataset& data_;
  LoaderOptions options_;
  std::int64_t rows_, batches_ = 0;
  std::size_t pixels_;
  double wait_seconds_ = 0;
  std::int64_t next_ = 0;  ///< ticket that the consumer takes next

  std::mutex mutex_;  ///< guards the members up to the slots' states
  std::condition_variable work_, done_;
  std::int64_t claimed_ = 0;      ///< ticket that a worker takes next
  std::int64_t free_before_ = 0;  ///< slots of earlier tickets may be reused
  bool stopping_ = false;
  std::vector<Slot> slots_;

  std::mutex order_mutex_;
  std::array<std::pair<std::int64_t, Order>, 4> orders_;

  std::unique_ptr<std::uint8_t[]> cache_;
  std::vector<std::atomic<CacheState>> cached_;
  std::vector<std::thread> threads_;
};

}  // namespace kfer::data
