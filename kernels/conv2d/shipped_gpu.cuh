// Which types tensor cores compute; included by shipped.cuh under a CUDA compiler.
#pragma once

#if defined(__CUDACC__)

#include "4_double_buffer.cuh"
#include "5_tensor_core.cuh"

KFER_KERNELS_BEGIN

template <class T>
struct ShippedConv;

template <>
struct ShippedConv<bf16> {
  template <class Visit>
  static auto with(bool /*tf32*/, const Visit& visit) {
    return visit(ConvTensorCore{});
  }
};
template <>
struct ShippedConv<float> {
  template <class Visit>
  static auto with(bool tf32, const Visit& visit) {
    return tf32 ? visit(ConvTensorCore{}) : visit(ConvDoubleBuffer{});
  }
};

KFER_KERNELS_END

#endif
