// Which device the Cuda backend of an op is compiled for: Cuda under a CUDA compiler, Simt under any other.
// So the whole backend, not only its kernels, is built and tested where there is no GPU.
#pragma once

#include <concepts>
#include <type_traits>

#include "kfer/core/dtype.hpp"
#include "kfer/core/random.hpp"
#include "kfer/kernels/common/bf16.cuh"
#include "kfer/kernels/common/philox.cuh"

#if defined(__CUDACC__)
#include "kfer/device/cuda.hpp"
#else
#include "kfer/device/simt.hpp"
#endif

namespace kfer {

#if defined(__CUDACC__)
template <class D>
concept Gpu = std::same_as<D, Cuda>;
#else
template <class D>
concept Gpu = std::same_as<D, Simt>;
#endif

namespace detail {

template <class T>
using kernel_t = std::conditional_t<std::is_same_v<T, bfloat16>, kernels::bf16, T>;

/// A tensor's elements as kernels see them: bfloat16 becomes the kernels' bf16, of the same bits.
template <class T>
kernel_t<T>* raw(T* p) {
  return reinterpret_cast<kernel_t<T>*>(p);
}
template <class T>
const kernel_t<T>* raw(const T* p) {
  return reinterpret_cast<const kernel_t<T>*>(p);
}

/// The mask as kernels see it.
template <Gpu D>
kernels::Dropout raw(const DropoutMask& mask) {
  return {mask.random.seed, mask.random.stream, D::random_shift(), mask.threshold(), mask.scale()};
}

}  // namespace detail
}  // namespace kfer
