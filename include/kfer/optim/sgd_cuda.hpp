// The step of stochastic gradient descent on a GPU: one launch over all parameters.
#pragma once

#include <cstddef>

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/optim/shipped.cuh"
#include "kfer/optim/sgd.hpp"

namespace kfer {

// So that `live`, in device memory, is the kernels' struct as well.
static_assert(sizeof(SgdCoefficients) == sizeof(kernels::SgdCoefficients) &&
              offsetof(SgdCoefficients, lr) == offsetof(kernels::SgdCoefficients, lr) &&
              offsetof(SgdCoefficients, nesterov) == offsetof(kernels::SgdCoefficients, nesterov));

template <FloatingElement T, Gpu D>
requires std::floating_point<T>
struct sgd_impl<T, D> {
  static constexpr std::int64_t piece_size = whole_tensors;

  /// `live` (device memory, or null) holds the numbers in place of `coefficients`: a captured graph finds
  /// each step's there. Whether there is momentum at all is read from `coefficients`.
  static void run(std::span<const ParameterPiece<T>> pieces, const SgdCoefficients& c,
                  const SgdCoefficients* live = nullptr) {
    std::vector<typename kernels::SgdRule<T, T>::Entry> entries;
    entries.reserve(pieces.size());
    for (const ParameterPiece<T>& p : pieces)
      entries.push_back({p.weight, p.grad, c.momentum == 0 ? nullptr : p.moments[0], nullptr, p.count});
    kernels::sgd_step<T, T>(entries.data(), static_cast<long long>(entries.size()),
                            {c.grad_scale, c.l2, c.momentum, c.fresh, c.lr, c.nesterov},
                            reinterpret_cast<const kernels::SgdCoefficients*>(live), D::stream());
  }
};

}  // namespace kfer
