// Stochastic gradient descent with momentum (Sutskever et al. 2013), in PyTorch's form: the rate is not part
// of the velocity.
#pragma once

#include <string_view>

#include "kfer/optim/fused_optimizer.hpp"

namespace kfer {

/// One step's numbers: g = grad_scale * grad + l2 * w; with momentum, u = momentum * u + fresh * g, and
/// g = nesterov ? g + momentum * u : u; w -= lr * g. Moment 0 is u.
struct SgdCoefficients {
  double grad_scale, l2, momentum, fresh, lr;
  bool nesterov;
};

struct SgdOptions {
  double lr = 1e-2;
  double momentum = 0;
  double dampening = 0;   ///< share of the gradient, in [0, 1], kept out of the velocity after the first step
  bool nesterov = false;  ///< needs momentum and no dampening
  double weight_decay = 0;  ///< L2: added to the gradient

  static constexpr std::string_view name = "Sgd";
  /// Throws ValueError for what is out of range.
  void check() const {
    require(momentum >= 0 && momentum < 1, "Sgd: momentum must be in [0, 1), got ", momentum);
    require(dampening >= 0 && dampening <= 1, "Sgd: dampening must be in [0, 1], got ", dampening);
    require(weight_decay >= 0, "Sgd: weight_decay must not be negative, got ", weight_decay);
    require(!nesterov || (momentum > 0 && dampening == 0),
            "Sgd: nesterov needs momentum and no dampening, got momentum ", momentum, " and dampening ",
            dampening);
  }
  std::vector<std::string> moments() const {
    if (momentum > 0) return {"u"};
    return {};
  }
  SgdCoefficients coefficients(double rate, std::int64_t steps, double grad_scale) const {
    return {.grad_scale = grad_scale,
            .l2 = weight_decay,
            .momentum = momentum,
            .fresh = steps == 0 ? 1 : 1 - dampening,
            .lr = rate,
            .nesterov = nesterov};
  }
};

/// The same interface as Adam.
template <FloatingElement T = float, class D = Cpu>
class Sgd : public FusedOptimizer<SgdOptions, T, D> {
 public:
  /// Throws ValueError for options out of range, for no parameter and for two of one name.
  explicit Sgd(std::vector<std::pair<std::string, Variable<T, D>>> parameters, const SgdOptions& options = {})
      : FusedOptimizer<SgdOptions, T, D>(std::move(parameters), options) {}
};

}  // namespace kfer
