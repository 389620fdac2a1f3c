// Adam (Kingma and Ba 2015), with AdamW's decoupled weight decay (Loshchilov and Hutter 2019) and AMSGrad
// (Reddi et al. 2018).
#pragma once

#include <cmath>
#include <span>

#include "kfer/device/captured_graph.hpp"
#include "kfer/device/replayed.hpp"
#include "kfer/optim/parameter_list.hpp"

namespace kfer {

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;    ///< must be positive
  double weight_decay = 0;  ///< L2: added to the gradient; decoupled: taken off the weights directly
  bool decoupled = false;   ///< AdamW
  bool amsgrad = false;
  /// Where epsilon stands: false as in PyTorch, sqrt(v / (1 - beta2^t)) + epsilon; true as in Keras and
  /// TensorFlow
  /// ("epsilon hat" in the paper), sqrt(v) + epsilon with the correction of v moved into the rate.
  bool epsilon_hat = false;
};

/// One step's numbers: w = keep * w - rate * m / (sqrt(v) * root_scale + epsilon), after
/// g = grad_scale * grad + l2 * w, m += (1 - beta1)(g - m), v = beta2 v + (1 - beta2) g^2.
struct AdamCoefficients {
  double grad_scale, l2, keep, rate, root_scale, epsilon, beta1, beta2;
  bool amsgrad;  ///< v in the formula is the largest v so far: moment 2
};

/// `piece_size`, and run(pieces, coefficients): moments 0 = m, 1 = v, 2 = largest v. One specialisation a
/// device.
template <FloatingElement T, class D>
struct adam_impl;

/// `Adam optimizer(named_parameters(model), {.lr = 1e-4});` then, after backward(), `optimizer.step()`.
template <FloatingElement T = float, class D = Cpu>
class Adam {
 public:
  using value_type = T;
  using device_type = D;

  /// Throws ValueError for options out of range.
  explicit Adam(std::vector<std::pair<std::string, Variable<T, D>>> parameters,
                const AdamOptions& options = {})
      : lr(options.lr), options_(options), list_(std::move(parameters), moment_names(options)) {
    const auto rate = [](double b) { return b >= 0 && b < 1; };
    require(rate(options.beta1) && rate(options.beta2), "Adam: betas must be in [0, 1), got ", options.beta1,
            " and ", options.beta2);
    require(options.epsilon > 0, "Adam: epsilon must be positive, got ", options.epsilon);
    require(options.weight_decay >= 0, "Adam: weight_decay must not be negative, got ", options.weight_decay);
  }

  double lr;  ///< learning rate of the next step

  /// Moves every parameter that has a gradient; gradients are multiplied by `grad_scale` on the way (see
  /// clip.hpp). Throws ValueError if no parameter has one, or for a rate that is negative or not a number.
  void step(double grad_scale = 1) {
    const auto pieces = list_.pieces(adam_impl<T, D>::piece_size);
    advance(grad_scale);
    run(pieces.items);
  }

  /// A step in two halves, for steps that are captured once and replayed. The host's: counts the step and
  /// works out its numbers, from `lr`; before every replay.
  void advance(double grad_scale = 1) {
    require(lr >= 0, "Adam: the learning rate must not be negative, got ", lr);
    ++steps_;
    const double t = static_cast<double>(steps_);
    const double correction1 = 1 - std::pow(options_.beta1, t);
    const double correction2 = std::sqrt(1 - std::pow(options_.beta2, t));
    const bool hat = options_.epsilon_hat;
    coefficients_.set({.grad_scale = grad_scale,
                       .l2 = options_.decoupled ? 0 : options_.weight_decay,
                       .keep = options_.decoupled ? 1 - lr * options_.weight_decay : 1,
                       .rate = lr / correction1 * (hat ? correction2 : 1),
                       .root_scale = hat ? 1 : 1 / correction2,
                       .epsilon = options_.epsilon,
                       .beta1 = options_.beta1,
                       .beta2 = options_.beta2,
                       .amsgrad = options_.amsgrad});
  }
  /// The device's half: captured, each replay uses the numbers of the last `advance()`.
  void apply() { run(list_.pieces(adam_impl<T, D>::piece_size).items); }
  /// Makes sure that no other tensor shares the moments: a captured step writes them where they are.
  void own_storage() { list_.own_storage(); }

  void zero_grad() { list_.zero_grad(); }

  /// Steps taken so far.
  std::int64_t steps() const { return steps_; }
  const AdamOptions& options() const { return options_; }

  /// Moments by parameter name: "m.<name>", "v.<name>" and, for AMSGrad, "v_max.<name>". Snapshots, as a copy
  /// of a tensor is.
  NamedTensors<T, D> state() const { return list_.state(); }
  /// Continues from `state()` after `steps` steps. Throws ValueError or ShapeError naming what does not fit.
  void load_state(const NamedTensors<T, D>& state, std::int64_t steps) {
    require(steps >= 0, "optimiser state: the number of steps must not be negative, got ", steps);
    list_.load(state);
    steps_ = steps;
  }

 private:
  static std::vector<std::string> moment_names(const AdamOptions& options) {
    if (options.amsgrad) return {"m", "v", "v_max"};
    return {"m", "v"};
  }

  void run(std::span<const ParameterPiece<T>> pieces) {
    if constexpr (Capturing<D>)
      adam_impl<T, D>::run(pieces, coefficients_.value(), coefficients_.device());
    else
      adam_impl<T, D>::run(pieces, coefficients_.value());
  }

  AdamOptions options_;
  ParameterList<T, D> list_;
  std::int64_t steps_ = 0;
  ReplayedValue<AdamCoefficients, D> coefficients_;
};

}  // namespace kfer
