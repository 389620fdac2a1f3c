// The sum of n elements, each added to one word of memory by itself.
//
// Reads n elements; but n additions meet at one address, and an L2 slice does about one a clock, so the time
// is n clocks, not n sizeof(T) / bandwidth. In what order they arrive is chance, and so are the last bits.
// The starting point that every other variant is measured against.
#pragma once

#include "../common/bf16.cuh"
#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// Any grid. `sum` holds zero before.
template <class T>
__global__ void __launch_bounds__(256) sum_atomic(const T* __restrict__ x, accum_t<T>* sum, long long n) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    atomicAdd(sum, widen(x[i]));
}

KFER_KERNELS_END
