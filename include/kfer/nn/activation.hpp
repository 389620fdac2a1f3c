// Activations and Flatten as layers: stateless, so that they fit into Sequential.
#pragma once

#include "kfer/nn/module.hpp"
#include "kfer/ops/elementwise/unary.hpp"
#include "kfer/ops/shape/shape.hpp"

namespace kfer {

struct ReLU {
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return relu(x);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

struct Sigmoid {
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return sigmoid(x);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

/// [N, ...] -> [N, product of the rest], in row-major order.
struct Flatten {
  template <FloatingElement T, class D>
  Variable<T, D> operator()(const Variable<T, D>& x) const {
    return flatten(x);
  }
  template <class Visitor>
  void visit(Visitor&&) {}
};

}  // namespace kfer
