// Tensors from nothing: constant, random, consecutive.
#pragma once

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

template <Element T = float, class D = Cpu>
Tensor<T, D> full(const Shape& shape, T value) {
  return Tensor<T, D>(shape,
                      std::span<const T>(std::vector<T>(static_cast<std::size_t>(shape.numel()), value)));
}
template <Element T = float, class D = Cpu>
Tensor<T, D> ones(const Shape& shape) {
  return full<T, D>(shape, T(1));
}

/// Uniform in [low, high); element i is number i of the stream.
template <Element T = float, class D = Cpu>
Tensor<T, D> uniform(const Shape& shape, const RandomStream& random, double low = 0, double high = 1) {
  std::vector<T> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(low + (high - low) * random.uniform(i));
  return Tensor<T, D>(shape, std::span<const T>(values));
}

/// Normal with the given mean and standard deviation; element i is number i of the stream.
template <Element T = float, class D = Cpu>
Tensor<T, D> normal(const Shape& shape, const RandomStream& random, double mean = 0, double deviation = 1) {
  std::vector<T> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(mean + deviation * random.normal(i));
  return Tensor<T, D>(shape, std::span<const T>(values));
}

/// 0, 1, 2, ..., n - 1.
template <Element T = float, class D = Cpu>
Tensor<T, D> arange(std::int64_t n) {
  std::vector<T> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(i);
  return Tensor<T, D>({n}, std::span<const T>(values));
}

/// The same elements as another type, converted one by one (on the host).
template <Element U, Element T, class D>
Tensor<U, D> cast(const Tensor<T, D>& x) {
  const std::vector<T> values = x.to_vector();
  return Tensor<U, D>(x.shape(), std::span<const U>(std::vector<U>(values.begin(), values.end())));
}

}  // namespace kfer
