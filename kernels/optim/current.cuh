// What the updates share: coefficients that a launch carries or that lie in device memory, and alignment.
#pragma once

#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// A step's coefficients: those in device memory if there are any, else the launch's own. Picked number by
/// number, because a choice between the two structs would copy the launch's to the stack.
template <class C>
struct Current {
  const C& own;
  const C* live;
  template <class X>
  __device__ X operator()(X C::*member) const {
    return live ? live->*member : own.*member;
  }
};

template <unsigned long long Bytes>
__device__ inline bool multiple_of(const void* p) {
  return reinterpret_cast<unsigned long long>(p) % Bytes == 0;
}

KFER_KERNELS_END
