// Steps of optimisers on a GPU: one launch over all parameters.
#pragma once

#include <algorithm>

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/optim/shipped.cuh"
#include "kfer/optim/fused_optimizer.hpp"

namespace kfer {

/// `type<T>`: the kernels' rule of coefficients C.
template <class C>
struct kernel_rule;

template <class C, FloatingElement T, Gpu D>
requires std::floating_point<T>
struct step_impl<C, T, D> {
  static constexpr std::int64_t piece_size = whole_tensors;

  static void run(std::span<const ParameterPiece<T>> pieces, const C& coefficients, const C* live,
                  const double* scale) {
    using Rule = typename kernel_rule<C>::template type<T>;
    std::vector<typename Rule::Entry> entries;
    entries.reserve(pieces.size());
    for (const ParameterPiece<T>& p : pieces) {
      auto& entry = entries.emplace_back();
      entry = {p.weight, p.grad, {}, detail::raw(p.rounded), p.count};
      std::copy_n(p.moments.begin(), Rule::Entry::moments, entry.moment);
    }
    kernels::optimizer_step<Rule>(entries.data(), static_cast<long long>(entries.size()), coefficients, live,
                                  scale, D::stream());
  }
};

}  // namespace kfer
