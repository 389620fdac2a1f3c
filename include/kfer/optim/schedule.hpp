// Learning rates over time: callables step -> rate, where step counts the optimiser steps taken before.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <utility>

#include "kfer/core/error.hpp"

namespace kfer {

using Schedule = std::function<double(std::int64_t step)>;

/// Always `lr`.
struct ConstantRate {
  double lr;
  double operator()(std::int64_t) const { return lr; }
};

/// lr * rate^(step / decay_steps), falling at every step. Throws ValueError unless decay_steps is positive.
struct ExponentialDecay {
  double lr, rate;
  double decay_steps;
  double operator()(std::int64_t step) const {
    require(decay_steps > 0, "ExponentialDecay: decay_steps must be positive, got ", decay_steps);
    return lr * std::pow(rate, static_cast<double>(step) / decay_steps);
  }
};

/// lr * factor^floor(step / every). Throws ValueError unless every is positive.
struct StepDecay {
  double lr, factor;
  std::int64_t every;
  double operator()(std::int64_t step) const {
    require(every >= 1, "StepDecay: every must be positive, got ", every);
    return lr * std::pow(factor, static_cast<double>(step / every));
  }
};

/// From `lr` to `end` along half a cosine over `steps`, then `end` (Loshchilov and Hutter 2017).
struct CosineDecay {
  double lr;
  std::int64_t steps;
  double end = 0;
  double operator()(std::int64_t step) const {
    if (step >= steps) return end;
    const double t = static_cast<double>(step) / static_cast<double>(steps);
    return end + (lr - end) * 0.5 * (1 + std::cos(std::numbers::pi * t));
  }
};

/// Linear from `start` times to 1 times the rate over `steps`, on top of a schedule that begins after the
/// warm-up.
struct WarmUp {
  std::int64_t steps;
  Schedule then;
  double start = 0;
  double operator()(std::int64_t step) const {
    if (step >= steps) return then(step - steps);
    const double t = static_cast<double>(step) / static_cast<double>(steps);
    return then(0) * (start + (1 - start) * t);
  }
};

}  // namespace kfer
