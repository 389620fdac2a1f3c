// Keeping gradients in bounds, and finding the one that left them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kfer/optim/parameter_list.hpp"

namespace kfer {

/// `piece_size`, the elements of a stretch of memory at most; sum_of_squares(pieces) in double over all
/// stretches together, the same at any thread count; clamp(x, low, high) in place (a NaN stays); scale(x,
/// factor) in place. One specialisation a device.
template <FloatingElement T, class D>
struct clip_impl;

namespace detail {
/// Appends the elements of `x`, padding included (it is zero), cut into pieces of equal work.
template <FloatingElement T, class D>
void append_pieces(std::vector<std::span<const T>>& pieces, const Tensor<T, D>& x) {
  for (std::int64_t at = 0, n = x.storage_size(); at < n;) {
    const std::int64_t size = std::min<std::int64_t>(clip_impl<T, D>::piece_size, n - at);
    pieces.emplace_back(x.data() + at, static_cast<std::size_t>(size));
    at += size;
  }
}
/// Those of all gradients.
template <FloatingElement T, class D>
std::vector<std::span<const T>> gradient_pieces(
    const std::vector<std::pair<std::string, Variable<T, D>>>& parameters) {
  std::vector<std::span<const T>> pieces;
  for (const auto& [name, p] : parameters)
    if (p.has_grad()) append_pieces(pieces, p.grad());
  return pieces;
}
}  // namespace detail

/// The name of the first parameter whose gradient has an element that is infinite or NaN.
template <FloatingElement T, class D>
std::optional<std::string> first_non_finite_gradient(
    const std::vector<std::pair<std::string, Variable<T, D>>>& parameters) {
  for (const auto& [name, p] : parameters)
    if (p.has_grad())
      for (const T g : p.grad().to_vector())
        if (!std::isfinite(static_cast<double>(g))) return name;
  return std::nullopt;
}

/// The Euclidean norm of all gradients together. Throws NumericError naming the first parameter whose
/// gradient is not finite.
template <FloatingElement T, class D>
double global_norm(const std::vector<std::pair<std::string, Variable<T, D>>>& parameters) {
  const double sum = clip_impl<T, D>::sum_of_squares(detail::gradient_pieces(parameters));
  if (!std::isfinite(sum)) {
    const auto name = first_non_finite_gradient(parameters);
    throw NumericError(name ? text("the gradient of '", *name, "' is not finite")
                            : std::string("the norm of the gradients overflows"));
  }
  return std::sqrt(sum);
}

/// What gradients of this norm are multiplied by so that it becomes at most `max_norm`: hand it to an
/// optimiser's `step`, which then needs no pass over memory for it. Throws ValueError unless max_norm is
/// positive.
inline double clip_scale(double norm, double max_norm) {
  require(max_norm > 0, "clip: the largest norm must be positive, got ", max_norm);
  return norm > max_norm ? max_norm / norm : 1;
}

/// Scales all gradients so that their common norm is at most `max_norm`; returns the norm before. Throws as
/// `global_norm` and `clip_scale`.
template <FloatingElement T, class D>
double clip_global_norm(std::vector<std::pair<std::string, Variable<T, D>>>& parameters, double max_norm) {
  const double norm = global_norm(parameters), scale = clip_scale(norm, max_norm);
  if (scale != 1)
    for (auto& [name, p] : parameters)
      if (p.has_grad()) clip_impl<T, D>::scale(p.mutable_grad(), scale);
  return norm;
}

/// Clamps every element of every gradient to [-limit, limit]. Throws ValueError unless the limit is positive,
/// NumericError naming the first parameter whose gradient has a NaN; gradients before it are clamped then.
template <FloatingElement T, class D>
void clip_value(std::vector<std::pair<std::string, Variable<T, D>>>& parameters, double limit) {
  require(limit > 0, "clip: the limit must be positive, got ", limit);
  for (auto& [name, p] : parameters) {
    if (!p.has_grad()) continue;
    std::vector<std::span<const T>> pieces;
    detail::append_pieces(pieces, p.grad());
    require<NumericError>(!std::isnan(clip_impl<T, D>::sum_of_squares(pieces)), "the gradient of '", name,
                          "' is not a number");
    clip_impl<T, D>::clamp(p.mutable_grad(), -limit, limit);
  }
}

}  // namespace kfer
