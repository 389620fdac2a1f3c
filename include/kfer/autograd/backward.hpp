// Reverse-mode differentiation of a recorded graph.
#pragma once

#include <queue>
#include <unordered_set>

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// Computes d root / d leaf for every leaf that requires a gradient and adds it to that leaf's `grad()`. The
/// graph is consumed on the way: each operation's saved values are released as soon as they were used. `seed`
/// is the gradient of the root itself. Throws ValueError if the root does not depend on such a leaf,
/// ShapeError if the seed's shape is not the root's.
template <FloatingElement T, class D>
void backward(const Variable<T, D>& root, Tensor<T, D> seed) {
  detail::require_same_shape("backward: seed and root", seed, root);
  require(root.requires_grad(),
          "backward: the result does not depend on any variable that requires a gradient");
  if (root.is_leaf()) return root.accumulate_grad(std::move(seed));

  const auto later = [](const auto& a, const auto& b) { return a->order() < b->order(); };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(later)> ready(
      later);
  std::unordered_set<const Node*> seen;
  const auto push = [&](const std::shared_ptr<Node>& node) {
    if (seen.insert(node.get()).second) ready.push(node);
  };
  NoGrad no_grad;
  static_cast<GradNode<T, D>&>(*root.node()).accumulate(std::move(seed));
  push(root.node());
  while (!ready.empty()) {
    const std::shared_ptr<Node> node = ready.top();
    ready.pop();
    for (const auto& parent : node->parents()) push(parent);
    node->run();
  }
}

/// The same for a loss of one element, with seed 1. Throws ShapeError for any other root.
template <FloatingElement T, class D>
void backward(const Variable<T, D>& loss) {
  require<ShapeError>(loss.numel() == 1, "backward: a loss has one element, got shape ", loss.shape());
  backward(loss, full<T, D>(loss.shape(), T(1)));
}

}  // namespace kfer
