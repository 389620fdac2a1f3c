// A stream worked on by threads, in order: inputs come from a function, results go out in the order of their
// inputs, and no more than so many are under way.
//
//   OrderedMap<std::string, io::Image> images(next_path, load, {.workers = 4, .capacity = 64});
//   while (auto image = images.next()) ...
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"

namespace kfer {

struct OrderedMapOptions {
  int workers = 1;            ///< threads; 0: the work is done in next()
  std::int64_t capacity = 1;  ///< inputs taken whose results were not handed out, at most
};

template <class In, class Out>
class OrderedMap {
 public:
  using Source = std::function<std::optional<In>()>;
  using Map = std::function<Out(In)>;

  /// `source` is called by one thread at a time, until it returns nothing; `map` by several at once. Throws
  /// ValueError for options out of range.
  OrderedMap(Source source, Map map, OrderedMapOptions options)
      : source_(std::move(source)), map_(std::move(map)), capacity_(options.capacity) {
    require(options.workers >= 0 && options.workers <= 1024, "an OrderedMap has 0 to 1024 workers, got ",
            options.workers);
    require(capacity_ >= 1, "an OrderedMap has a capacity of at least 1, got ", capacity_);
    if (options.workers == 0) return;
    slots_.resize(static_cast<std::size_t>(capacity_));
    try {
      for (int i = 0; i < options.workers; ++i) threads_.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  /// Waits for calls of `source` and `map` that are under way.
  ~OrderedMap() { stop(); }
  OrderedMap(const OrderedMap&) = delete;
  OrderedMap& operator=(const OrderedMap&) = delete;

  /// The result of the next input; nothing after the last. What `source` or `map` threw for an input is
  /// thrown when its result is due, and again on every later call.
  std::optional<Out> next() {
    if (threads_.empty()) return next_here();
    std::unique_lock lock(mutex_);
    Slot& slot = slot_of(given_);
    changed_.wait(lock, [&] { return slot.done || given_ == end_; });
    if (given_ == end_) return std::nullopt;
    if (slot.error) std::rethrow_exception(slot.error);
    Slot result = std::exchange(slot, Slot{});
    ++given_;
    changed_.notify_all();
    return std::move(result.value);
  }

 private:
  struct Slot {
    std::optional<Out> value;
    std::exception_ptr error;
    bool done = false;
  };

  Slot& slot_of(std::int64_t ticket) { return slots_[static_cast<std::size_t>(ticket % capacity_)]; }

  std::optional<Out> next_here() {
    if (error_) std::rethrow_exception(error_);
    try {
      if (given_ != end_)
        if (auto in = source_()) return map_(std::move(*in));
    } catch (...) {
      error_ = std::current_exception();
      throw;
    }
    end_ = given_;
    return std::nullopt;
  }

  void work() {
    for (;;) {
      std::int64_t ticket = 0;
      std::optional<In> in;
      Slot result;
      {
        const std::lock_guard in_turn(source_mutex_);  // tickets are in the order of the source
        {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, [&] { return stopping_ || ended() || taken_ < given_ + capacity_; });
          if (stopping_ || ended()) return;
          ticket = taken_++;
        }
        try {
          in = source_();
        } catch (...) {
          result.error = std::current_exception();
        }
        if (!in) {
          const std::lock_guard lock(mutex_);
          end_ = ticket + (result.error ? 1 : 0);
        }
      }
      try {
        if (in) result.value.emplace(map_(std::move(*in)));
      } catch (...) {
        result.error = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      if (ticket < end_) {
        slot_of(ticket) = std::move(result);
        slot_of(ticket).done = true;
      }
      changed_.notify_all();
    }
  }

  bool ended() const { return end_ != std::numeric_limits<std::int64_t>::max(); }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }

  Source source_;
  Map map_;
  std::int64_t capacity_;
  std::exception_ptr error_;  ///< of next_here()

  std::mutex source_mutex_;  ///< held while the source is asked
  std::mutex mutex_;         ///< guards what follows
  std::condition_variable changed_;
  std::vector<Slot> slots_;                                      ///< of ticket t: slots_[t % capacity]
  std::int64_t taken_ = 0, given_ = 0;                           ///< tickets: next of the workers, of next()
  std::int64_t end_ = std::numeric_limits<std::int64_t>::max();  ///< the first ticket that has no input
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kfer
