// Random numbers as a pure function of a key: `CounterRandom({seed, epoch, image})` always yields the same
// sequence, whoever asks, in whatever order and on whatever thread. Data generation, shuffling and
// augmentation stand on it, so that all of them repeat from the seed alone and can be resumed at any item.
// The numbers are core's Philox streams; this adds the naming of a stream by a list of keys, and a cursor.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>

#include "kfer/core/random.hpp"

namespace kfer::data {

/// One 64-bit hash of an ordered list of keys, each folded in by a round of Philox.
constexpr std::uint64_t hash_keys(std::initializer_list<std::uint64_t> keys) {
  std::uint64_t h = 0;
  for (const auto key : keys) {
    const auto words = RandomStream{.seed = key, .stream = h}.words(keys.size());
    h = std::uint64_t{words[0]} << 32 | words[1];
  }
  return h;
}

/// A sequence of random numbers named by its keys.
class CounterRandom {
 public:
  constexpr explicit CounterRandom(std::initializer_list<std::uint64_t> keys) : stream_{hash_keys(keys), 0} {}

  /// 32 random bits.
  constexpr std::uint32_t word() {
    if (used_ == block_.size()) block_ = stream_.words(next_++), used_ = 0;
    return block_[used_++];
  }
  constexpr std::uint64_t bits() {
    const std::uint64_t high = word();
    return high << 32 | word();
  }

  /// Uniform in [0, 1), a multiple of 2^-24.
  constexpr float uniform() { return static_cast<float>(word() >> 8) * 0x1p-24f; }
  /// Uniform in [low, high).
  constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n - 1}, 0 < n <= 2^32, by multiply and shift (bias below n / 2^32).
  constexpr std::uint64_t below(std::uint64_t n) { return std::uint64_t{word()} * n >> 32; }
  constexpr bool chance(float probability) { return uniform() < probability; }

  /// Standard normal, by Box and Muller; one draw costs two uniforms.
  float normal() {
    const float u = 1.f - uniform(), v = uniform();
    return std::sqrt(-2.f * std::log(u)) * std::cos(2.f * std::numbers::pi_v<float> * v);
  }
  float normal(float mean, float deviation) { return mean + deviation * normal(); }

 private:
  RandomStream stream_;
  std::uint64_t next_ = 0;
  std::array<std::uint32_t, 4> block_{};
  std::size_t used_ = 4;
};

}  // namespace kfer::data
