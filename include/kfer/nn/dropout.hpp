// Dropout (Srivastava et al. 2014), inverted: what is kept is scaled by 1 / (1 - p).
#pragma once

#include <optional>

#include "kfer/nn/module.hpp"
#include "kfer/ops/dropout/dropout.hpp"

namespace kfer {

/// Every forward pass in training takes the next stream of `random`, so masks repeat after a resume.
struct Dropout {
  double p = 0.5;
  RandomStream random;
  bool training = true;

  /// Throws ValueError unless p is in [0, 1). Takes a seed of its own from `source`.
  Dropout(double probability, RandomStream& source) : p(probability), random(fork(source)) {
    require(p >= 0 && p < 1, "Dropout: the probability must be in [0, 1), got ", p);
  }

  /// The mask of the next pass, to be fused into what comes before (Conv2d); none in inference.
  std::optional<DropoutMask> mask() {
    if (!training || p == 0) return std::nullopt;
    return DropoutMask{.p = static_cast<float>(p), .random = random.take()};
  }

  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) {
    const auto now = mask();
    return now ? dropout(x, *now) : x;
  }

  template <class Visitor>
  void visit(Visitor&& v) {
    v("random", random);
    v("training", training);
  }

 private:
  /// Masks of all steps must not meet those of other layers: a seed derived from one stream of the source.
  static RandomStream fork(RandomStream& source) {
    const auto words = source.take().words(0);
    return {.seed = (std::uint64_t{words[1]} << 32) | words[0], .stream = 0};
  }
};

}  // namespace kfer
