// Adam (Kingma and Ba 2015), with AdamW's decoupled weight decay (Loshchilov and Hutter 2019) and AMSGrad
// (Reddi et al. 2018).
#pragma once

#include <cmath>
#include <string_view>

#include "kfer/optim/fused_optimizer.hpp"

namespace kfer {

/// One step's numbers: w = keep * w - rate * m / (sqrt(v) * root_scale + epsilon), after
/// g = grad_scale * grad + l2 * w, m += (1 - beta1)(g - m), v = beta2 v + (1 - beta2) g^2.
struct AdamCoefficients {
  double grad_scale, l2, keep, rate, root_scale, epsilon, beta1, beta2;
  bool amsgrad;  ///< v in the formula is the largest v so far: moment 2
};

struct AdamOptions {
  double lr = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;    ///< must be positive
  double weight_decay = 0;  ///< L2: added to the gradient; decoupled: taken off the weights directly
  bool decoupled = false;   ///< AdamW
  bool amsgrad = false;
  /// Where epsilon stands: false as in PyTorch, sqrt(v / (1 - beta2^t)) + epsilon; true as in Keras and
  /// TensorFlow ("epsilon hat" in the paper), sqrt(v) + epsilon with the correction of v moved into the rate.
  bool epsilon_hat = false;

  static constexpr std::string_view name = "Adam";
  /// Throws ValueError for what is out of range.
  void check() const {
    const auto rate = [](double b) { return b >= 0 && b < 1; };
    require(rate(beta1) && rate(beta2), "Adam: betas must be in [0, 1), got ", beta1, " and ", beta2);
    require(epsilon > 0, "Adam: epsilon must be positive, got ", epsilon);
    require(weight_decay >= 0, "Adam: weight_decay must not be negative, got ", weight_decay);
  }
  std::vector<std::string> moments() const {
    if (amsgrad) return {"m", "v", "v_max"};
    return {"m", "v"};
  }
  AdamCoefficients coefficients(double rate, std::int64_t steps, double grad_scale) const {
    const double t = static_cast<double>(steps + 1);
    const double correction1 = 1 - std::pow(beta1, t), correction2 = std::sqrt(1 - std::pow(beta2, t));
    return {.grad_scale = grad_scale,
            .l2 = decoupled ? 0 : weight_decay,
            .keep = decoupled ? 1 - rate * weight_decay : 1,
            .rate = rate / correction1 * (epsilon_hat ? correction2 : 1),
            .root_scale = epsilon_hat ? 1 : 1 / correction2,
            .epsilon = epsilon,
            .beta1 = beta1,
            .beta2 = beta2,
            .amsgrad = amsgrad};
  }
};

/// `Adam optimizer(named_parameters(model), {.lr = 1e-4});` then, after backward(), `optimizer.step()`.
template <FloatingElement T = float, class D = Cpu>
class Adam : public FusedOptimizer<AdamOptions, T, D> {
 public:
  /// Throws ValueError for options out of range, for no parameter and for two of one name.
  explicit Adam(std::vector<std::pair<std::string, Variable<T, D>>> parameters,
                const AdamOptions& options = {})
      : FusedOptimizer<AdamOptions, T, D>(std::move(parameters), options) {}
};

}  // namespace kfer
