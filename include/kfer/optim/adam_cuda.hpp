// Adam's step on a GPU.
#pragma once

#include "kfer/optim/adam.hpp"
#include "kfer/optim/step_cuda.hpp"

namespace kfer {

template <>
struct kernel_rule<AdamCoefficients> {
  template <class T>
  using type = kernels::AdamRule<T, T, AdamCoefficients>;
};

}  // namespace kfer
