// The step of stochastic gradient descent on a GPU.
#pragma once

#include "kfer/optim/sgd.hpp"
#include "kfer/optim/step_cuda.hpp"

namespace kfer {

template <>
struct kernel_rule<SgdCoefficients> {
  template <class T>
  using type = kernels::SgdRule<T, T, SgdCoefficients>;
};

}  // namespace kfer
