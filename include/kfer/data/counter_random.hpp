// Random numbers as a pure function of a key: `CounterRandom({seed, epoch, image})` always yields the same
// stream, whoever asks, in whatever order and on whatever thread. Data generation, shuffling and augmentation
// stand on it, so that all of them repeat from the seed alone and can be resumed at any item.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <numbers>

namespace kfer::data {

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that passes BigCrush on a
/// counter.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

/// One 64-bit hash of an ordered list of keys.
constexpr std::uint64_t hash_keys(std::initializer_list<std::uint64_t> keys) {
  std::uint64_t h = 0x9e3779b97f4a7c15u;
  for (const auto key : keys) h = mix_bits(h ^ mix_bits(key + 0x9e3779b97f4a7c15u)) + 0x632be59bd9b4e019u;
  return h;
}

/// A stream of random numbers: output i is SplitMix64 of key + i.
class CounterRandom {
 public:
  constexpr explicit CounterRandom(std::initializer_list<std::uint64_t> keys) : state_(hash_keys(keys)) {}

  constexpr std::uint64_t bits() { return mix_bits(state_ += 0x9e3779b97f4a7c15u); }

  /// Uniform in [0, 1), a multiple of 2^-24.
  constexpr float uniform() { return static_cast<float>(bits() >> 40) * 0x1p-24f; }
  /// Uniform in [low, high).
  constexpr float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n - 1}, n > 0 (multiply and shift; the bias is below n / 2^64).
  constexpr std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<unsigned __int128>(bits()) * n) >> 64);
  }
  constexpr bool chance(float probability) { return uniform() < probability; }

  /// Standard normal, by Box and Muller; one draw costs two uniforms.
  float normal() {
    const float u = 1.f - uniform(), v = uniform();
    return std::sqrt(-2.f * std::log(u)) * std::cos(2.f * std::numbers::pi_v<float> * v);
  }
  float normal(float mean, float deviation) { return mean + deviation * normal(); }

 private:
  std::uint64_t state_;
};

}  // namespace kfer::data
