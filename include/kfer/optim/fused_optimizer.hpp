// What optimisers share: all parameters are stepped in one pass, by a formula that their options know.
#pragma once

#include <span>

#include "kfer/device/replayed.hpp"
#include "kfer/optim/parameter_list.hpp"

namespace kfer {

/// One pass over all parameters by the formula of coefficients C. One specialisation a device has
/// - `piece_size`, the elements of a piece at most;
/// - run(pieces, coefficients, live, scale). `live` and `scale` (device memory, or null) are what a captured
///   step reads at every replay: coefficients in place of `coefficients`, and what gradients are multiplied
///   by in place of their grad_scale; a NaN there means that nothing is to change.
template <class C, FloatingElement T, class D>
struct step_impl;

/// `Options` (AdamOptions, SgdOptions) has `name`, check(), moments(), the names of a parameter's moments,
/// and coefficients(lr, steps, grad_scale) of the step after `steps` others.
template <class Options, FloatingElement T, class D>
class FusedOptimizer {
 public:
  using value_type = T;
  using device_type = D;
  using Parameters = std::vector<std::pair<std::string, Variable<T, D>>>;

  /// Throws ValueError for options out of range, for no parameter and for two of one name.
  FusedOptimizer(Parameters parameters, const Options& options)
      : lr(options.lr), options_(options), list_(std::move(parameters), options.moments()) {
    options.check();
  }

  double lr;  ///< learning rate of the next step

  /// Moves every parameter that has a gradient; gradients are multiplied by `grad_scale` on the way (see
  /// clip.hpp). Throws ValueError if no parameter has one, or for a rate that is negative or not a number.
  void step(double grad_scale = 1) {
    const auto pieces = list_.pieces(Step::piece_size);
    advance(grad_scale);
    run(pieces.items, nullptr);
  }

  /// A step in two halves, for steps that are captured once and replayed. The host's: counts the step and
  /// works out its numbers, from `lr`; before every replay.
  void advance(double grad_scale = 1) {
    require(lr >= 0, Options::name, ": the learning rate must not be negative, got ", lr);
    coefficients_.set(options_.coefficients(lr, steps_, grad_scale));
    ++steps_;
  }
  /// The device's half: captured, each replay uses the numbers of the last `advance()`, and `*scale` if that
  /// is not null (see StepGuard).
  void apply(const double* scale = nullptr) { run(list_.pieces(Step::piece_size).items, scale); }
  /// Uncounts the last `steps` steps: `*scale` was a NaN in them.
  void take_back(std::int64_t steps) { steps_ -= steps; }
  /// Makes sure that no other tensor shares the moments: a captured step writes them where they are. Appends
  /// where that is.
  void own_storage(std::vector<const void*>& places) { list_.own_storage(places); }

  void zero_grad() { list_.zero_grad(); }

  /// Steps taken so far.
  std::int64_t steps() const { return steps_; }
  const Options& options() const { return options_; }

  /// Moments by parameter name, "<moment>.<parameter>", of every parameter that was ever stepped. Snapshots,
  /// as a copy of a tensor is.
  NamedTensors<T, D> state() const { return list_.state(); }
  /// Continues from `state()` after `steps` steps. Throws ValueError or ShapeError naming what does not fit.
  void load_state(const NamedTensors<T, D>& state, std::int64_t steps) {
    require(steps >= 0, "optimiser state: the number of steps must not be negative, got ", steps);
    list_.load(state);
    steps_ = steps;
  }

 private:
  using Coefficients = decltype(std::declval<const Options&>().coefficients(0, 0, 0));
  using Step = step_impl<Coefficients, T, D>;

  void run(std::span<const ParameterPiece<T>> pieces, const double* scale) {
    Step::run(pieces, coefficients_.value(), coefficients_.device(), scale);
  }

  Options options_;
  ParameterList<T, D> list_;
  std::int64_t steps_ = 0;
  ReplayedValue<Coefficients, D> coefficients_;
};

}  // namespace kfer
