// The graph behind define-by-run differentiation: one node for each recorded operation. Type-erased, so that
// one graph may pass through several element types.
#pragma once

#include <atomic>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace kfer {

/// An operation of the forward pass, waiting for the gradient of its result.
class Node {
 public:
  Node() : order_(next_order()) {}
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  virtual ~Node() = default;

  /// Passes the gradient gathered here on to the inputs and releases everything that was saved for it. A node
  /// that no gradient reached only releases.
  virtual void run() = 0;
  /// The nodes that made this operation's inputs.
  const std::vector<std::shared_ptr<Node>>& parents() const { return parents_; }
  /// Later operations have larger numbers, so descending order is a topological order of the graph.
  std::uint64_t order() const { return order_; }

 protected:
  /// Lets go of the inputs and of everything that was saved; the parents stay.
  virtual void release() noexcept = 0;

  /// What the destructor of every derived class calls: lets go of this node's part of the graph, node by
  /// node. Left to the destructors of its parents, a long graph would overflow the stack.
  void release_graph() noexcept {
    std::vector<std::shared_ptr<Node>> doomed = std::move(parents_);
    release();
    while (!doomed.empty()) {
      const std::shared_ptr<Node> node = std::move(doomed.back());
      doomed.pop_back();
      if (node.use_count() > 1) continue;  // its other owner will
      std::vector<std::shared_ptr<Node>> more = std::move(node->parents_);
      node->release();
      doomed.insert(doomed.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
  }

  std::vector<std::shared_ptr<Node>> parents_;

 private:
  static std::uint64_t next_order() {
    static std::atomic<std::uint64_t> count = 0;
    return ++count;
  }
  std::uint64_t order_;
};

}  // namespace kfer
