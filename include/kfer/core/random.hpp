// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3",
// SC 2011).
//
// Number i of a stream depends on (seed, stream, i) alone: the same on every device, at any thread count, and
// after a resume. A place that needs randomness holds a `RandomStream` and takes a fresh stream from it for
// every use.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace kfer {

/// The four 32-bit words of `counter` under `key`.
constexpr std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                              std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0],
                        b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
               static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// One stream of a seed. Counters of different (seed, stream) pairs never meet.
struct RandomStream {
  std::uint64_t seed = 0;
  std::uint64_t stream = 0;

  friend bool operator==(const RandomStream&, const RandomStream&) = default;

  /// The words of counter `index` of this stream.
  constexpr std::array<std::uint32_t, 4> words(std::uint64_t index) const {
    return philox({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                   static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                  {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  }
  /// 32 random bits of element `i`: word i % 4 of counter i / 4.
  constexpr std::uint32_t bits(std::uint64_t i) const { return words(i / 4)[i % 4]; }
  /// Uniform in [0, 1), a multiple of 2^-24.
  constexpr float uniform(std::uint64_t i) const { return static_cast<float>(bits(i) >> 8) * 0x1p-24f; }
  /// Uniform integer in [0, n) by multiply and shift (bias below n / 2^32).
  constexpr std::uint32_t below(std::uint64_t i, std::uint32_t n) const {
    return static_cast<std::uint32_t>((std::uint64_t{bits(i)} * n) >> 32);
  }
  /// Standard normal by Box and Muller; elements 2j and 2j + 1 share one pair of uniforms.
  float normal(std::uint64_t i) const {
    const auto w = words(i / 2);
    const double u = (w[0] + 0.5) * 0x1p-32, v = (w[1] + 0.5) * 0x1p-32;
    const double r = std::sqrt(-2 * std::log(u)), angle = 6.283185307179586 * v;
    return static_cast<float>(i % 2 ? r * std::sin(angle) : r * std::cos(angle));
  }
  /// This stream; afterwards the object stands at the next one.
  constexpr RandomStream take() {
    const RandomStream current = *this;
    ++stream;
    return current;
  }
};

/// Which elements dropout keeps. Element i, counted in channels-last order (N, H, W, C for rank 4, row-major
/// otherwise), is kept iff half-word i % 8 of counter i / 8 is at least p * 65536, and is then scaled by 1 /
/// (1 - p).
struct DropoutMask {
  float p = 0;
  RandomStream random;

  constexpr std::uint32_t threshold() const { return static_cast<std::uint32_t>(p * 65536.0f + 0.5f); }
  constexpr float scale() const { return p < 1 ? 1 / (1 - p) : 0; }
  constexpr bool keeps(std::uint64_t i) const {
    const std::uint32_t word = random.words(i / 8)[i % 8 / 2];
    return (i % 2 ? word >> 16 : word & 0xFFFF) >= threshold();
  }
};

}  // namespace kfer
