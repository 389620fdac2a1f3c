// Who comes next: the threads that can go on, and the blocks of a grid, in the order that Config asks for.
#pragma once

#include <cstdint>

#include "config.hpp"

namespace kfer::simt::detail {

inline constexpr unsigned warp_size = 32, max_block_threads = 1024;

/// xorshift64 (Marsaglia, 2003).
class Random {
 public:
  KFER_SIMT_RAW void seed(std::uint64_t seed) { state_ = seed * 0x9E3779B97F4A7C15ull | 1; }
  /// Below `bound`.
  KFER_SIMT_RAW unsigned operator()(unsigned bound) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return static_cast<unsigned>(std::uint64_t{static_cast<std::uint32_t>(state_)} * bound >> 32);
  }

 private:
  std::uint64_t state_ = 1;
};

/// The threads that can go on: a ring of their numbers. Oldest first, or any.
class RunQueue {
 public:
  KFER_SIMT_RAW void clear() { head_ = size_ = 0; }
  KFER_SIMT_RAW bool empty() const { return size_ == 0; }
  KFER_SIMT_RAW void push(unsigned thread) { at(head_ + size_++) = static_cast<std::uint16_t>(thread); }
  KFER_SIMT_RAW unsigned pop() {
    --size_;
    return at(head_++);
  }
  KFER_SIMT_RAW unsigned pop_any(Random& random) {
    std::uint16_t &first = at(head_), &chosen = at(head_ + random(size_));
    const std::uint16_t thread = chosen;
    chosen = first;
    first = thread;
    return pop();
  }

 private:
  KFER_SIMT_RAW std::uint16_t& at(unsigned i) { return ring_[i & (max_block_threads - 1)]; }

  std::uint16_t ring_[max_block_threads];
  unsigned head_ = 0, size_ = 0;
};

/// Visits each block of a grid once: the numbers (first + i stride) mod blocks, with a stride coprime to
/// their count.
class BlockOrder {
 public:
  KFER_SIMT_RAW BlockOrder(Order order, std::uint64_t blocks, Random& random) : blocks_(blocks) {
    if (order == Order::reverse) {
      next_ = blocks - 1;
      stride_ = blocks - 1;
    } else if (order == Order::random) {
      const unsigned bound = static_cast<unsigned>(blocks < 0xFFFFFFFFu ? blocks : 0xFFFFFFFFu);
      next_ = random(bound);
      stride_ = random(bound) | 1;
      while (common_divisor(stride_, blocks) != 1) ++stride_;
    }
  }
  KFER_SIMT_RAW std::uint64_t next() {
    const std::uint64_t block = next_;
    next_ = (next_ + stride_) % blocks_;
    return block;
  }

 private:
  static KFER_SIMT_RAW std::uint64_t common_divisor(std::uint64_t a, std::uint64_t b) {
    while (b) {
      const std::uint64_t rest = a % b;
      a = b;
      b = rest;
    }
    return a;
  }

  std::uint64_t blocks_, next_ = 0, stride_ = 1;
};

}  // namespace kfer::simt::detail
