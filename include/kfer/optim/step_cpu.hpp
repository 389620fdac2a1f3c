// Steps of optimisers on the Cpu: the pieces of all parameters are dealt out to threads.
#pragma once

#include "kfer/core/parallel.hpp"
#include "kfer/device/cpu.hpp"
#include "kfer/optim/fused_optimizer.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

/// A formula is an overload of step_piece(piece, coefficients) next to them.
template <class C, class T>
requires std::floating_point<T>
struct step_impl<C, T, Cpu> {
  static constexpr std::int64_t piece_size = 16384;

  /// The Cpu captures nothing: `live` and `scale` are null.
  static void run(std::span<const ParameterPiece<T>> pieces, const C& coefficients, const C*, const double*) {
    parallel_for(static_cast<std::int64_t>(pieces.size()),
                 [&](std::int64_t i) { step_piece(pieces[static_cast<std::size_t>(i)], coefficients); });
  }
};

}  // namespace kfer
