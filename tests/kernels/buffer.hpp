// What tests of kernels over [rows, channels] share: buffers of exact size, numbers, comparison.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <vector>

#include "kernels/common/bf16.cuh"

namespace kfer::test {

namespace k = kfer::kernels;

/// Numbers of T on the heap, poisoned with 0xFF (NaNs), and not one byte more than asked for, so that a
/// memory checker sees the first access past them. `skew` elements in front make a pointer that is not
/// aligned to 16 bytes.
template <class T>
class Buffer {
 public:
  explicit Buffer(long long n, int skew = 0)
      : n_(static_cast<std::size_t>(n)),
        skew_(static_cast<std::size_t>(skew)),
        memory_(new unsigned char[(n_ + skew_) * sizeof(T)]) {
    std::memset(memory_.get(), 0xFF, (n_ + skew_) * sizeof(T));
  }
  explicit Buffer(const std::vector<double>& values, int skew = 0)
      : Buffer(static_cast<long long>(values.size()), skew) {
    for (std::size_t i = 0; i < n_; ++i) data()[i] = of(values[i]);
  }

  T* data() { return reinterpret_cast<T*>(memory_.get()) + skew_; }
  const T* data() const { return reinterpret_cast<const T*>(memory_.get()) + skew_; }
  std::vector<double> values() const {
    std::vector<double> out(n_);
    for (std::size_t i = 0; i < n_; ++i) {
      if constexpr (std::is_integral_v<T>)
        out[i] = static_cast<double>(data()[i]);
      else
        out[i] = static_cast<double>(k::widen(data()[i]));
    }
    return out;
  }

 private:
  static T of(double x) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(x);
    else
      return k::narrow<T>(static_cast<k::accum_t<T>>(x));
  }
  std::size_t n_, skew_;
  std::unique_ptr<unsigned char[]> memory_;
};

/// Uniform in [low, high), and exactly representable in bf16, so that every element type starts equal.
inline std::vector<double> numbers(long long n, unsigned seed, double low = -1, double high = 1) {
  std::mt19937 engine(seed);
  std::vector<double> out(static_cast<std::size_t>(n));
  for (double& x : out)
    x = static_cast<double>(
        k::widen(k::narrow<k::bf16>(static_cast<float>(low + (high - low) * (engine() * 0x1p-32)))));
  return out;
}

/// Largest |a - b| / (1 + |b|); infinity where a NaN is on one side alone, or an infinity.
inline double difference(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    const double d = std::abs(a[i] - b[i]) / (1 + std::abs(b[i]));
    worst = d <= worst ? worst : (std::isfinite(d) ? d : std::numeric_limits<double>::infinity());
  }
  return worst;
}

/// What one rounding to T may cost, relative to 1 + |value|, with room for `roundings` of the accumulator's.
template <class T>
double tolerance(double roundings = 50) {
  const double accumulated =
      std::is_same_v<T, double> ? 1e-15 : 6e-8;  // the expected doubles are rounded too
  return roundings * accumulated + (std::is_same_v<T, k::bf16> ? 0x1p-8 : 0);
}

/// Runs `body(seed)` with the threads in order, in reverse, and in two random orders.
template <class Body>
void in_thread_orders(const Body& body) {
  using simt::Order;
  const auto before = simt::config;
  for (const auto& [order, seed] :
       {std::pair(Order::forward, 1), {Order::reverse, 1}, {Order::random, 1}, {Order::random, 2}}) {
    simt::config.order = order;
    simt::config.seed = static_cast<std::uint64_t>(seed);
    body();
  }
  simt::config = before;
}

}  // namespace kfer::test
