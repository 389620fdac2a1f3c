// Comparison of an operation's gradients with finite differences, in double precision.
#pragma once

#include <cmath>
#include <functional>

#include "kfer/autograd/backward.hpp"
#include "kfer/tensor/transfer.hpp"

namespace kfer {

struct GradcheckOptions {
  double step = 1e-5;       ///< half width of the central difference, relative to 1 + |x|
  double tolerance = 1e-6;  ///< largest |numeric - analytic| / (1 + |numeric|)
};

/// Differentiates `f(inputs)` weighted by fixed pseudo-random numbers, analytically and by central
/// differences, with respect to every element of every input. Throws NumericError naming the first element
/// that disagrees (a NaN does). The inputs are given on the Cpu and copied to device D.
template <class D>
void gradcheck(const std::function<Variable<double, D>(const std::vector<Variable<double, D>>&)>& f,
               const std::vector<Tensor<double, Cpu>>& inputs, const GradcheckOptions& options = {}) {
  std::vector<Variable<double, D>> leaves;
  for (const auto& input : inputs) leaves.emplace_back(to_device<D>(input.row_major()), true);
  const Variable<double, D> result = f(leaves);
  const auto weights = uniform<double, D>(result.shape(), {.seed = 97, .stream = 0}, -1, 1);
  const auto objective = [&] {
    NoGrad no_grad;
    const auto y = f(leaves).value().to_vector();
    const auto w = weights.to_vector();
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * w[i];
    return sum;
  };
  backward(result, weights);
  for (std::size_t k = 0; k < leaves.size(); ++k) {
    const auto start = inputs[k].to_vector();
    const auto analytic =
        leaves[k].has_grad() ? leaves[k].grad().to_vector() : std::vector<double>(start.size());
    for (std::size_t i = 0; i < start.size(); ++i) {
      const auto at = [&](double x) {
        auto moved = start;
        moved[i] = x;
        leaves[k].mutable_value() = Tensor<double, D>(inputs[k].shape(), std::span<const double>(moved));
        return objective();
      };
      const double h = options.step * (1 + std::abs(start[i]));
      const double numeric = (at(start[i] + h) - at(start[i] - h)) / (2 * h);
      const double error = std::abs(numeric - analytic[i]) / (1 + std::abs(numeric));
      require<NumericError>(error <= options.tolerance, "gradcheck: input ", k, ", element ", i,
                            ": analytic ", analytic[i], ", numeric ", numeric);
    }
    leaves[k].mutable_value() = to_device<D>(inputs[k].row_major());
  }
}

}  // namespace kfer
