// Tensors from nothing: constant, random, consecutive; and tensors of another element type.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include "kfer/core/parallel.hpp"
#include "kfer/core/random.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// run(p, n, value): n elements of device memory become `value`. One specialisation a device; a GPU's is in
/// create_cuda.hpp.
template <Element T, class D>
struct fill_impl;

/// run(x, layout) -> x as elements of U in another (or its own) memory order. One specialisation a device.
template <FloatingElement U, Element T, class D>
struct cast_impl;

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
  Tensor<T, D> out(shape);
  if (shape.numel()) fill_impl<T, D>::run(out.mutable_data(), shape.numel(), value);
  return out;
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

/// The same elements as another type; a floating type rounds to the nearest, ties to even, and the memory
/// order stays; an integer type drops the fraction, and the result is in row-major order (this goes through
/// the host). Throws ValueError for a NaN, or for a number past the range of that integer type.
template <Element U, Element T, class D>
Tensor<U, D> cast(const Tensor<T, D>& x) {
  if constexpr (std::same_as<T, U>) {
    return x;
  } else if constexpr (FloatingElement<U>) {
    return cast_impl<U, T, D>::run(x, x.layout());
  } else {
    const std::vector<T> values = x.to_vector();
    if constexpr (FloatingElement<T>)
      for (const T v : values) {
        const double whole = std::trunc(static_cast<double>(v));
        require(whole >= static_cast<double>(std::numeric_limits<U>::min()) &&
                    whole < 2 * static_cast<double>(std::numeric_limits<U>::max() / 2 + 1),
                "cast: ", static_cast<double>(v), " is not a number that ", dtype_name<U>(), " can hold");
      }
    return Tensor<U, D>(x.shape(), std::span<const U>(std::vector<U>(values.begin(), values.end())));
  }
}

/// The same elements as a floating type and in another memory order, on a GPU in one pass.
template <FloatingElement U, Element T, class D>
Tensor<U, D> cast(const Tensor<T, D>& x, const Layout& layout) {
  if constexpr (std::same_as<T, U>)
    return x.to(layout);
  else
    return cast_impl<U, T, D>::run(x, layout);
}

template <Element T>
struct fill_impl<T, Cpu> {
  static void run(T* p, std::int64_t n, T value) { std::fill_n(p, n, value); }
};

template <FloatingElement U, Element T>
struct cast_impl<U, T, Cpu> {
  static Tensor<U, Cpu> run(const Tensor<T, Cpu>& x, const Layout& layout) {
    Tensor<U, Cpu> out(x.shape(), x.layout());
    const T* from = x.data();
    U* to = out.mutable_data();
    parallel_ranges(x.storage_size(), 16384, [=](int, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] = static_cast<U>(from[i]);
    });
    return out.to(layout);
  }
};

}  // namespace kfer
