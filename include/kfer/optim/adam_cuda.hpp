// Adam's step on a GPU: one launch over all parameters.
#pragma once

#include <cstddef>
#include <limits>

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/optim/shipped.cuh"
#include "kfer/optim/adam.hpp"

namespace kfer {

// So that `live`, in device memory, is the kernels' struct as well.
static_assert(sizeof(AdamCoefficients) == sizeof(kernels::AdamCoefficients) &&
              offsetof(AdamCoefficients, beta2) == offsetof(kernels::AdamCoefficients, beta2) &&
              offsetof(AdamCoefficients, amsgrad) == offsetof(kernels::AdamCoefficients, amsgrad));

template <FloatingElement T, Gpu D>
requires std::floating_point<T>
struct adam_impl<T, D> {
  static constexpr std::int64_t piece_size = whole_tensors;

  /// `live` (device memory, or null) holds the numbers in place of `coefficients`, all but amsgrad: a
  /// captured graph finds each step's there.
  static void run(std::span<const ParameterPiece<T>> pieces, const AdamCoefficients& c,
                  const AdamCoefficients* live = nullptr) {
    std::vector<typename kernels::AdamRule<T, T>::Entry> entries;
    entries.reserve(pieces.size());
    for (const ParameterPiece<T>& p : pieces)
      entries.push_back({p.weight, p.grad, p.moments[0], p.moments[1], c.amsgrad ? p.moments[2] : nullptr,
                         nullptr, p.count});
    kernels::adam_step<T, T>(
        entries.data(), static_cast<long long>(entries.size()),
        {c.grad_scale, c.l2, c.keep, c.rate, c.root_scale, c.epsilon, c.beta1, c.beta2, c.amsgrad},
        reinterpret_cast<const kernels::AdamCoefficients*>(live), D::stream());
  }
};

}  // namespace kfer
