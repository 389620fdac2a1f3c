// What the updates share: the tensors of one parameter, coefficients that a launch carries or that lie in
// device memory, and alignment.
#pragma once

#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// One parameter in a step. T: weight and moments, float or double; G: gradient.
template <class T, class G, int Moments>
struct StepEntry {
  static constexpr int moments = Moments;
  T* weight;
  const G* grad;
  T* moment[Moments];  ///< null: there is none
  bf16* copy;          ///< becomes the weight rounded to bf16; may be null
  long long count;
};

/// A step's coefficients: those in device memory if there are any, else the launch's own. Picked number by
/// number, because a choice between the two structs would copy the launch's to the stack.
template <class C>
struct Current {
  const C& own;
  const C* live;
  const double* scale;  ///< in device memory, in place of grad_scale; a NaN: no step. Null: neither
  template <class X>
  __device__ X operator()(X C::*member) const {
    return live ? live->*member : own.*member;
  }
  __device__ double grad_scale() const { return scale ? *scale : (*this)(&C::grad_scale); }
  __device__ bool refused() const { return scale && *scale != *scale; }
};

template <unsigned long long Bytes>
__device__ inline bool multiple_of(const void* p) {
  return reinterpret_cast<unsigned long long>(p) % Bytes == 0;
}
/// Whether vec_width<T> elements of everything can be moved at a time.
template <class T, class G, int Moments>
__device__ inline bool has_vectors(const StepEntry<T, G, Moments>& e) {
  constexpr int width = vec_width<T>;
  bool all = multiple_of<16>(e.weight) && multiple_of<width * sizeof(G)>(e.grad) &&
             multiple_of<width * sizeof(bf16)>(e.copy);
#pragma unroll
  for (int k = 0; k < Moments; ++k) all = all && multiple_of<16>(e.moment[k]);
  return all;
}

KFER_KERNELS_END
