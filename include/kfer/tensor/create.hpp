// Tensors from nothing: constant, random, consecutive.
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include "kfer/core/random.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

template <Element T = float, class D = Cpu>
Tensor<T, D> zeros(const Shape& shape, const Layout& layout) {
  Tensor<T, D> out(shape, layout);
  if (out.storage_size())
    D::set_zero(out.mutable_data(), static_cast<std::size_t>(out.storage_size()) * sizeof(T));
  return out;
}
template <Element T = float, class D = Cpu>
Tensor<T, D> zeros(const Shape& shape) {
  return zeros<T, D>(shape, Layout::row_major(shape.rank()));
}

namespace detail {
/// Element i (in row-major order) is `f(i)`. Written in place on the host.
template <Element T, class D, class F>
Tensor<T, D> generate(const Shape& shape, const F& f) {
  Tensor<T, D> out(shape);
  const auto n = static_cast<std::size_t>(shape.numel());
  const auto fill = [&](T* p) {
    for (std::size_t i = 0; i < n; ++i) p[i] = static_cast<T>(f(i));
  };
  if constexpr (std::same_as<D, Cpu>) {
    fill(out.mutable_data());
  } else if (n) {
    std::vector<T> values(n);
    fill(values.data());
    D::copy_from_host(out.mutable_data(), values.data(), n * sizeof(T));
  }
  return out;
}
}  // namespace detail

template <Element T = float, class D = Cpu>
Tensor<T, D> full(const Shape& shape, T value) {
  return detail::generate<T, D>(shape, [=](std::size_t) { return value; });
}
template <Element T = float, class D = Cpu>
Tensor<T, D> ones(const Shape& shape) {
  return full<T, D>(shape, T(1));
}

/// Uniform in [low, high), then rounded to T (so that `high` itself may come out); element i is number i of
/// the stream.
template <Element T = float, class D = Cpu>
Tensor<T, D> uniform(const Shape& shape, const RandomStream& random, double low = 0, double high = 1) {
  return detail::generate<T, D>(shape, [&](std::size_t i) { return low + (high - low) * random.uniform(i); });
}

/// Normal with the given mean and standard deviation; element i is number i of the stream.
template <Element T = float, class D = Cpu>
Tensor<T, D> normal(const Shape& shape, const RandomStream& random, double mean = 0, double deviation = 1) {
  return detail::generate<T, D>(shape, [&](std::size_t i) { return mean + deviation * random.normal(i); });
}

/// 0, 1, 2, ..., n - 1. Throws ShapeError if n is negative.
template <Element T = float, class D = Cpu>
Tensor<T, D> arange(std::int64_t n) {
  return detail::generate<T, D>({n}, [](std::size_t i) { return i; });
}

/// The same elements as another type, converted one by one (on the host); numbers with a fraction lose it in
/// an integer type. Throws ValueError for a NaN, or for a number past the range of that integer type.
template <Element U, Element T, class D>
Tensor<U, D> cast(const Tensor<T, D>& x) {
  const std::vector<T> values = x.to_vector();
  if constexpr (FloatingElement<T> && std::integral<U>)
    for (const T v : values) {
      const double whole = std::trunc(static_cast<double>(v));
      require(whole >= static_cast<double>(std::numeric_limits<U>::min()) &&
                  whole < 2 * static_cast<double>(std::numeric_limits<U>::max() / 2 + 1),
              "cast: ", static_cast<double>(v), " is not a number that ", dtype_name<U>(), " can hold");
    }
  return Tensor<U, D>(x.shape(), std::span<const U>(std::vector<U>(values.begin(), values.end())));
}

}  // namespace kfer
