// UpsampleNearest: enlarges maps by repeating pixels.
#pragma once

#include "kfer/nn/module.hpp"
#include "kfer/ops/upsample/upsample.hpp"

namespace kfer {

/// [N, C, H, W] -> [N, C, scale H, scale W].
struct UpsampleNearest {
  std::int64_t scale = 2;
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return upsample_nearest(x, scale);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

}  // namespace kfer
