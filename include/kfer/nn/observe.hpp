// Watching what layers compute: how a run that went to NaN learns the name of the layer where it began.
#pragma once

#include <cmath>
#include <optional>

#include "kfer/nn/module.hpp"

namespace kfer {
namespace detail {

/// Sees the result of every layer of this thread while it is installed.
class LayerObserver {
 public:
  /// `finite()` computes whether all elements of the layer's result are finite.
  virtual void saw(const void* layer, bool (*finite)(const void* value), const void* value) = 0;

  /// The observer of this thread, or null.
  static LayerObserver*& current() {
    thread_local LayerObserver* observer = nullptr;
    return observer;
  }

 protected:
  ~LayerObserver() = default;
};

}  // namespace detail

/// Whether no element is infinite or NaN.
template <FloatingElement T, class D>
bool all_finite(const Tensor<T, D>& x) {
  const std::vector<T> values = x.to_vector();
  for (const T v : values)
    if (!std::isfinite(static_cast<double>(v))) return false;
  return true;
}

namespace detail {

/// The layer of this thread that finished last.
inline const void*& last_layer() {
  thread_local const void* layer = nullptr;
  return layer;
}

/// What a layer does with its result before it returns it: notes that it is done, and shows the result to the
/// observer, if there is one.
template <FloatingElement T, class D>
Variable<T, D> observed(const void* layer, Variable<T, D> y) {
  last_layer() = layer;
  if (LayerObserver* observer = LayerObserver::current()) [[unlikely]]
    observer->saw(
        layer, [](const void* value) { return all_finite(*static_cast<const Tensor<T, D>*>(value)); },
        &y.value());
  return y;
}

}  // namespace detail

/// The path of the layer of `m` that finished last on this thread, if one did.
template <Module M>
std::optional<std::string> last_finished_layer(M& m) {
  std::optional<std::string> name;
  for_each_module(m, [&](const std::string& path, auto& module) {
    if (static_cast<const void*>(&module) == detail::last_layer())
      name = path;  // the innermost at this address wins
  });
  return name;
}

/// The path of the first layer of `m` whose result is not finite while `run()` executes (without recording
/// gradients), if there is one. Layers change their state (running statistics, random streams) as in any
/// forward pass.
template <Module M, class Run>
std::optional<std::string> first_non_finite_layer(M& m, Run&& run) {
  struct Observer final : detail::LayerObserver {
    const void* found = nullptr;
    LayerObserver* before = std::exchange(current(), this);
    ~Observer() { current() = before; }
    void saw(const void* layer, bool (*finite)(const void*), const void* value) override {
      if (!found && !finite(value)) found = layer;
    }
  } observer;
  NoGrad no_grad;
  static_cast<void>(run());
  std::optional<std::string> name;
  if (observer.found)
    for_each_module(m, [&](const std::string& path, auto& module) {
      if (static_cast<const void*>(&module) == observer.found)
        name = path;  // the innermost at this address wins
    });
  return name;
}

}  // namespace kfer
