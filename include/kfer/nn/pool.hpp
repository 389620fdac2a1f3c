// Pooling layers: stateless, so that they fit into Sequential.
#pragma once

#include "kfer/nn/module.hpp"
#include "kfer/ops/pool/pool.hpp"

namespace kfer {

/// The largest of each window. See max_pool2d.
struct MaxPool2d {
  MaxPool2dOptions options;
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return max_pool2d(x, options);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

/// The mean of each window. See avg_pool2d.
struct AvgPool2d {
  AvgPool2dOptions options;
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return avg_pool2d(x, options);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

/// [N, C, H, W] -> [N, C]: the mean of each map.
struct GlobalAvgPool {
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return global_avg_pool(x);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

}  // namespace kfer
