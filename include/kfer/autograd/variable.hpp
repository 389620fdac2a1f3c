// Variable: a tensor that takes part in differentiation.
#pragma once

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "kfer/autograd/no_grad.hpp"
#include "kfer/autograd/node.hpp"
#include "kfer/device/captured_graph.hpp"
#include "kfer/tensor/create.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// Adds `more` to `sum`; the sum keeps its memory order. Each device specialises it (ops/elementwise).
template <FloatingElement T, class D>
struct accumulate_impl;

/// A handle: copies name the same value, gradient and place in the graph.
template <FloatingElement T, class D>
class Variable {
 public:
  using value_type = T;
  using device_type = D;
  using tensor_type = Tensor<T, D>;

  Variable() : state_(std::make_shared<State>()) {}
  /// A leaf. Parameters ask for a gradient, data does not.
  explicit Variable(tensor_type value, bool requires_grad = false) : Variable() {
    state_->value = std::move(value);
    state_->requires_grad = requires_grad;
  }

  const tensor_type& value() const { return state_->value; }
  /// The value for writing: what optimisers and initialisers do to leaves. Ask again for every change: what
  /// is kept of the value so far (see rounded()) goes.
  tensor_type& mutable_value() {
    state_->rounded.reset();
    return state_->value;
  }
  const Shape& shape() const { return state_->value.shape(); }
  std::int64_t size(std::int64_t dim) const { return state_->value.size(dim); }
  std::int64_t numel() const { return state_->value.numel(); }
  T item() const { return state_->value.item(); }

  bool requires_grad() const { return state_->requires_grad; }
  /// Only leaves may change their mind. Throws ValueError for the result of an operation.
  void set_requires_grad(bool on) {
    require(is_leaf(), "requires_grad of the result of an operation cannot be changed");
    state_->requires_grad = on;
    if (!on) zero_grad();
  }
  bool is_leaf() const { return !state_->node; }

  /// d loss / d this, after backward(); only leaves that require it have one.
  bool has_grad() const { return state_->has_grad; }
  const tensor_type& grad() const {
    require(has_grad(), "this variable of shape ", shape(),
            " has no gradient: call backward() on a loss that uses it");
    return state_->grad;
  }
  tensor_type& mutable_grad() {
    static_cast<void>(std::as_const(*this).grad());
    return state_->grad;
  }
  void zero_grad() {
    state_->grad = {};
    state_->has_grad = false;
  }

  /// The same value, cut off from the graph.
  Variable detach() const { return Variable(value()); }

  /// Brings a leaf's value into another memory order, once, so that later uses need no copy. What the
  /// elements are does not change. Not while another thread reads the same leaf.
  void settle(const Layout& layout) const {
    if (!is_leaf() || state_->value.layout() == layout) return;
    state_->value = state_->value.to(layout);
    state_->rounded.reset();
  }

  /// The value for an operation that reads it in another memory order. At rest, where nothing is recorded,
  /// the reordered copy is kept beside the value (Tensor::derived), so that threads may ask at once; else a
  /// leaf settles in that order.
  tensor_type settled(const Layout& layout, bool at_rest) const {
    if (!at_rest) settle(layout);
    if (!at_rest || Layout::same_order(shape(), value().layout(), layout)) return value();
    if constexpr (Capturing<D>)
      if (D::capturing()) return value().to(layout);  // filled by replays only: not to be kept
    return *value().template derived<tensor_type>(layout, [&] { return value().to(layout); });
  }

  /// A leaf's value rounded to bfloat16, in the same memory order, where it is kept from step to step; else
  /// null. `cast` makes it, optimisers on devices that capture write it together with the value.
  const Tensor<bfloat16, D>* rounded() const { return state_->rounded.get(); }
  void keep_rounded(Tensor<bfloat16, D> copy) const {
    state_->rounded = std::make_unique<Tensor<bfloat16, D>>(std::move(copy));
  }
  /// Both for writing, by who writes both. The copy may be null.
  std::pair<tensor_type&, Tensor<bfloat16, D>*> mutable_both() {
    return {state_->value, state_->rounded.get()};
  }

  // Machinery, used by `record` and `backward`.

  const std::shared_ptr<Node>& node() const { return state_->node; }
  void attach(std::shared_ptr<Node> node) {
    state_->requires_grad = true;
    state_->node = std::move(node);
  }
  /// Adds to the gradient of a leaf.
  void accumulate_grad(tensor_type grad) const {
    detail::require_same_shape("gradient and its variable", grad, value());
    if (!state_->has_grad) {
      state_->grad = std::move(grad);
      state_->has_grad = true;
    } else {
      accumulate_impl<T, D>::run(state_->grad, grad);
    }
  }

 private:
  struct State {
    tensor_type value, grad;
    std::unique_ptr<Tensor<bfloat16, D>> rounded;
    bool requires_grad = false, has_grad = false;
    std::shared_ptr<Node> node;
  };
  std::shared_ptr<State> state_;
};

/// A node whose result has element type T on device D: gathers the gradient of that result.
template <FloatingElement T, class D>
class GradNode : public Node {
 public:
  void accumulate(Tensor<T, D> grad) {
    if (!has_grad_)
      grad_ = std::move(grad);
    else
      accumulate_impl<T, D>::run(grad_, grad);
    has_grad_ = true;
  }

 protected:
  Tensor<T, D> grad_;
  bool has_grad_ = false;
};

/// Where an operation's backward pass leaves the gradients of its inputs.
template <FloatingElement T, class D>
class InputGrads {
 public:
  explicit InputGrads(const std::vector<Variable<T, D>>& inputs) : inputs_(inputs) {}

  /// Whether input `i` needs a gradient; if not, do not compute one.
  bool wants(std::size_t i) const { return inputs_[i].requires_grad(); }
  /// Hands over the gradient of input `i`; dropped if it is not wanted.
  void add(std::size_t i, Tensor<T, D> grad) {
    if (!wants(i)) return;
    detail::require_same_shape("gradient and its input", grad, inputs_[i].value());
    if (const auto& node = inputs_[i].node())
      static_cast<GradNode<T, D>&>(*node).accumulate(std::move(grad));
    else
      inputs_[i].accumulate_grad(std::move(grad));
  }

 private:
  const std::vector<Variable<T, D>>& inputs_;
};

namespace detail {

/// The node of one recorded operation: inputs of one or more types, a list for each. `Backward` is that
/// operation's saved values and, as its call operator (grad of the result by value, InputGrads&... one for
/// each list), its backward pass.
template <FloatingElement T, class D, class Backward, class... Inputs>
class Recorded final : public GradNode<T, D> {
 public:
  using Lists = std::tuple<std::vector<Inputs>...>;

  Recorded(Lists inputs, Backward backward) : inputs_(std::move(inputs)) {
    backward_ = std::make_unique<Backward>(std::move(backward));
    for_each([this](const auto& input) {
      if (input.node()) this->parents_.push_back(input.node());
    });
  }
  ~Recorded() override { this->release_graph(); }

  /// What was recorded, for those who read a graph instead of differentiating it. Throws ValueError once
  /// backward() consumed it.
  const Lists& inputs() const { return inputs_; }
  const Backward& operation() const {
    require(backward_ != nullptr, "backward() ran through this graph before; run the forward pass again");
    return *backward_;
  }

  void run() override {
    require(backward_ != nullptr, "backward() ran through this graph before; run the forward pass again");
    const auto backward = std::move(backward_);
    if (this->has_grad_) {
      std::apply(
          [&](const auto&... lists) {
            std::tuple grads{InputGrads(lists)...};
            this->has_grad_ = false;
            std::apply([&](auto&... each) { (*backward)(std::exchange(this->grad_, {}), each...); }, grads);
          },
          inputs_);
    }
    inputs_ = {};
    this->parents_.clear();
  }

 private:
  template <class Visit>
  void for_each(const Visit& visit) const {
    const auto each = [&](const auto& list) {
      for (const auto& input : list) visit(input);
    };
    std::apply([&](const auto&... lists) { (each(lists), ...); }, inputs_);
  }
  void release() noexcept override {
    std::apply([](auto&... lists) { (lists.clear(), ...); }, inputs_);
    backward_.reset();
    this->grad_ = {};
  }

  Lists inputs_;
  std::unique_ptr<Backward> backward_;
};

}  // namespace detail

/// Makes the result of an operation, and records how to differentiate it if recording is on and an input
/// requires it. The inputs come in one list for each of their types, as where activations are bfloat16 and
/// parameters float: record(y, std::tuple(std::vector{x}, std::vector{gamma, beta}), backward); `backward`
/// then takes the gradient of the result and one InputGrads for each list.
template <FloatingElement T, class D, class Input, class... More, class Backward>
Variable<T, D> record(Tensor<T, D> value, std::tuple<std::vector<Input>, std::vector<More>...> inputs,
                      Backward backward) {
  Variable<T, D> result(std::move(value));
  const auto needed = [](const auto&... lists) {
    const auto any = [](const auto& list) {
      return std::any_of(list.begin(), list.end(), [](const auto& input) { return input.requires_grad(); });
    };
    return (any(lists) || ...);
  };
  if (grad_enabled() && std::apply(needed, inputs))
    result.attach(std::make_shared<detail::Recorded<T, D, Backward, Input, More...>>(std::move(inputs),
                                                                                     std::move(backward)));
  return result;
}
/// The same for inputs that all have the result's type.
template <FloatingElement T, class D, class Backward>
Variable<T, D> record(Tensor<T, D> value, std::vector<Variable<T, D>> inputs, Backward backward) {
  return record(std::move(value), std::tuple(std::move(inputs)), std::move(backward));
}

/// Whether `record` would keep a node for these inputs: an op asks before it saves what only backward needs.
template <FloatingElement T, class D, class... More>
bool will_record(const Variable<T, D>& first, const More&... more) {
  return grad_enabled() && (first.requires_grad() || (more.requires_grad() || ...));
}

}  // namespace kfer
