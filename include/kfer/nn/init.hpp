// Initial values of parameters. An initialiser is a function (shape, random stream) -> tensor; number i of
// the stream makes element i, so a seed gives the same weights on every device and at any thread count.
//
// Fans follow Keras and PyTorch: of a weight [out, in, kernel...], fan_in = in * kernel and fan_out = out *
// kernel.
#pragma once

#include <cmath>
#include <functional>

#include "kfer/core/parallel.hpp"
#include "kfer/core/random.hpp"
#include "kfer/device/cpu.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// Makes a parameter's first values, row-major on the host.
using Initializer = std::function<Tensor<double, Cpu>(const Shape&, const RandomStream&)>;

namespace init {

struct Fans {
  double in, out;
};
/// Throws ShapeError for a shape of rank below 2: it has no fans.
inline Fans fans(const Shape& shape) {
  require<ShapeError>(shape.rank() >= 2,
                      "an initialiser that scales by fan needs a weight [out, in, ...], got ", shape);
  double kernel = 1;
  for (std::size_t i = 2; i < shape.rank(); ++i) kernel *= static_cast<double>(shape[i]);
  return {static_cast<double>(shape[1]) * kernel, static_cast<double>(shape[0]) * kernel};
}

/// Uniform in [-bound, bound).
inline Tensor<double, Cpu> uniform(const Shape& shape, const RandomStream& random, double bound) {
  Tensor<double, Cpu> out(shape);
  double* p = out.mutable_data();
  const std::int64_t n = out.numel();
  parallel_ranges((n + 3) / 4, 1024, [&](int, std::int64_t begin, std::int64_t end) {
    for (std::int64_t k = begin; k < end; ++k) {
      const auto words = random.words(static_cast<std::uint64_t>(k));
      for (std::int64_t i = 4 * k; i < std::min(n, 4 * k + 4); ++i)
        p[i] = bound * (static_cast<double>(words[static_cast<std::size_t>(i % 4)] >> 8) * 0x1p-23 - 1);
    }
  });
  return out;
}
/// Normal with mean 0.
inline Tensor<double, Cpu> normal(const Shape& shape, const RandomStream& random, double deviation) {
  Tensor<double, Cpu> out(shape);
  double* p = out.mutable_data();
  parallel_for(out.numel(),
               [&](std::int64_t i) { p[i] = deviation * random.normal(static_cast<std::uint64_t>(i)); });
  return out;
}

inline Tensor<double, Cpu> constant(const Shape& shape, double value) {
  Tensor<double, Cpu> out(shape);
  std::fill_n(out.mutable_data(), out.numel(), value);
  return out;
}
/// An initialiser of equal values.
inline Initializer constant(double value) {
  return [value](const Shape& shape, const RandomStream&) { return constant(shape, value); };
}
inline Tensor<double, Cpu> zeros(const Shape& shape, const RandomStream&) {
  return constant(shape, 0);
}
inline Tensor<double, Cpu> ones(const Shape& shape, const RandomStream&) {
  return constant(shape, 1);
}

/// Glorot and Bengio 2010: uniform, variance 2 / (fan_in + fan_out). Keras' default.
inline Tensor<double, Cpu> glorot_uniform(const Shape& shape, const RandomStream& random) {
  const auto [in, out] = fans(shape);
  return uniform(shape, random, std::sqrt(6 / (in + out)));
}
inline Tensor<double, Cpu> glorot_normal(const Shape& shape, const RandomStream& random) {
  const auto [in, out] = fans(shape);
  return normal(shape, random, std::sqrt(2 / (in + out)));
}
/// He et al. 2015: variance 2 / fan_in, for layers followed by a ReLU. PyTorch calls it kaiming.
inline Tensor<double, Cpu> he_uniform(const Shape& shape, const RandomStream& random) {
  return uniform(shape, random, std::sqrt(6 / fans(shape).in));
}
inline Tensor<double, Cpu> he_normal(const Shape& shape, const RandomStream& random) {
  return normal(shape, random, std::sqrt(2 / fans(shape).in));
}
/// The same scaled by fan_out: torchvision's ResNets.
inline Tensor<double, Cpu> he_normal_fan_out(const Shape& shape, const RandomStream& random) {
  return normal(shape, random, std::sqrt(2 / fans(shape).out));
}
/// LeCun et al. 1998: variance 1 / fan_in.
inline Tensor<double, Cpu> lecun_uniform(const Shape& shape, const RandomStream& random) {
  return uniform(shape, random, std::sqrt(3 / fans(shape).in));
}
inline Tensor<double, Cpu> lecun_normal(const Shape& shape, const RandomStream& random) {
  return normal(shape, random, std::sqrt(1 / fans(shape).in));
}

/// Saxe et al. 2014: rows (or columns, if there are fewer) of [out, in * kernel] are orthonormal. By modified
/// Gram-Schmidt, twice, over normal numbers.
inline Tensor<double, Cpu> orthogonal(const Shape& shape, const RandomStream& random) {
  require<ShapeError>(shape.rank() >= 2, "orthogonal: expected a weight [out, in, ...], got ", shape);
  Tensor<double, Cpu> out = normal(shape, random, 1);
  const std::int64_t rows = shape[0], columns = rows ? shape.numel() / rows : 0;
  const std::int64_t count = std::min(rows, columns), length = std::max(rows, columns);
  // Vector k lies along a row of a wide matrix, along a column of a tall one.
  const std::int64_t step = rows <= columns ? columns : 1, stride = rows <= columns ? 1 : columns;
  double* p = out.mutable_data();
  const auto dot = [&](std::int64_t a, std::int64_t b) {
    double sum = 0;
    for (std::int64_t i = 0; i < length; ++i) sum += p[a * step + i * stride] * p[b * step + i * stride];
    return sum;
  };
  for (std::int64_t k = 0; k < count; ++k) {
    for (int pass = 0; pass < 2; ++pass)
      for (std::int64_t j = 0; j < k; ++j) {
        const double projection = dot(k, j);
        for (std::int64_t i = 0; i < length; ++i)
          p[k * step + i * stride] -= projection * p[j * step + i * stride];
      }
    const double norm = std::sqrt(dot(k, k));
    for (std::int64_t i = 0; i < length; ++i) p[k * step + i * stride] /= norm;
  }
  return out;
}

}  // namespace init

namespace detail {
/// A trainable leaf with first values from `initializer`, under the next stream of `random`.
template <class V>
V make_parameter(const Shape& shape, const Initializer& initializer, RandomStream& random) {
  using Value = typename V::tensor_type;
  using T = typename V::value_type;
  const RandomStream stream = random.take();
  const Tensor<double, Cpu> values = initializer(shape, stream);
  require<ShapeError>(values.shape() == shape, "an initialiser made a tensor of shape ", values.shape(),
                      " for ", shape);
  const auto plain = values.to_vector();
  return V(Value(shape, std::span<const T>(std::vector<T>(plain.begin(), plain.end()))), true);
}
}  // namespace detail

}  // namespace kfer
