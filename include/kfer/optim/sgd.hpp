// Stochastic gradient descent with momentum (Sutskever et al. 2013), in PyTorch's form: the rate is not part
// of the velocity.
#pragma once

#include <span>

#include "kfer/device/captured_graph.hpp"
#include "kfer/device/replayed.hpp"
#include "kfer/optim/parameter_list.hpp"

namespace kfer {

struct SgdOptions {
  double lr = 1e-2;
  double momentum = 0;
  double dampening = 0;     ///< share of the gradient that does not enter the velocity (after the first step)
  bool nesterov = false;    ///< needs momentum and no dampening
  double weight_decay = 0;  ///< L2: added to the gradient
};

/// One step's numbers: g = grad_scale * grad + l2 * w; with momentum, u = momentum * u + fresh * g, and
/// g = nesterov ? g + momentum * u : u; w -= lr * g.
struct SgdCoefficients {
  double grad_scale, l2, momentum, fresh, lr;
  bool nesterov;
};

/// `piece_size`, and run(pieces, coefficients): moment 0 = u, if there is momentum. One specialisation a
/// device.
template <FloatingElement T, class D>
struct sgd_impl;

/// The same interface as Adam.
template <FloatingElement T = float, class D = Cpu>
class Sgd {
 public:
  using value_type = T;
  using device_type = D;

  /// Throws ValueError for options out of range.
  explicit Sgd(std::vector<std::pair<std::string, Variable<T, D>>> parameters, const SgdOptions& options = {})
      : lr(options.lr), options_(options), list_(std::move(parameters), moment_names(options)) {
    require(options.momentum >= 0 && options.momentum < 1, "Sgd: momentum must be in [0, 1), got ",
            options.momentum);
    require(options.weight_decay >= 0, "Sgd: weight_decay must not be negative, got ", options.weight_decay);
    require(!options.nesterov || (options.momentum > 0 && options.dampening == 0),
            "Sgd: nesterov needs momentum and no dampening, got momentum ", options.momentum,
            " and dampening ", options.dampening);
  }

  double lr;  ///< learning rate of the next step

  /// Moves every parameter that has a gradient, as Adam's does.
  void step(double grad_scale = 1) {
    const auto pieces = list_.pieces(sgd_impl<T, D>::piece_size);
    advance(grad_scale);
    run(pieces.items);
  }
  /// The halves of a step, as Adam's.
  void advance(double grad_scale = 1) {
    require(lr >= 0, "Sgd: the learning rate must not be negative, got ", lr);
    coefficients_.set({.grad_scale = grad_scale,
                       .l2 = options_.weight_decay,
                       .momentum = options_.momentum,
                       .fresh = steps_ == 0 ? 1 : 1 - options_.dampening,
                       .lr = lr,
                       .nesterov = options_.nesterov});
    ++steps_;
  }
  void apply() { run(list_.pieces(sgd_impl<T, D>::piece_size).items); }
  void own_storage() { list_.own_storage(); }

  void zero_grad() { list_.zero_grad(); }

  std::int64_t steps() const { return steps_; }
  const SgdOptions& options() const { return options_; }

  /// Velocities by parameter name: "u.<name>"; nothing without momentum.
  NamedTensors<T, D> state() const { return list_.state(); }
  /// Continues from `state()` after `steps` steps. Throws ValueError or ShapeError naming what does not fit.
  void load_state(const NamedTensors<T, D>& state, std::int64_t steps) {
    require(steps >= 0, "optimiser state: the number of steps must not be negative, got ", steps);
    list_.load(state);
    steps_ = steps;
  }

 private:
  static std::vector<std::string> moment_names(const SgdOptions& options) {
    if (options.momentum > 0) return {"u"};
    return {};
  }

  void run(std::span<const ParameterPiece<T>> pieces) {
    if constexpr (Capturing<D>)
      sgd_impl<T, D>::run(pieces, coefficients_.value(), coefficients_.device());
    else
      sgd_impl<T, D>::run(pieces, coefficients_.value());
  }

  SgdOptions options_;
  ParameterList<T, D> list_;
  std::int64_t steps_ = 0;
  ReplayedValue<SgdCoefficients, D> coefficients_;
};

}  // namespace kfer
