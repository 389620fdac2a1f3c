// Biases in the type of the activations that they meet: float parameters for activations in bfloat16.
#pragma once

#include <optional>

#include "kfer/ops/cast/cast.hpp"

namespace kfer::detail {

/// A parameter that a layer may lack, as T: see cast.
template <FloatingElement T, FloatingElement P, class D>
std::optional<Variable<T, D>> rounded(const std::optional<Variable<P, D>>& parameter) {
  if (!parameter) return std::nullopt;
  return cast<T>(*parameter);
}

}  // namespace kfer::detail
