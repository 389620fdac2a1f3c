// The sum of n elements by blocks, lanes adding through registers.
//
// A shuffle hands a lane its neighbour's register: five of them sum a warp, with neither shared memory nor a
// barrier. What is left for shared memory is one word a warp, for barriers two.
#pragma once

#include "../common/grid.cuh"
#include "../common/reduce.cuh"

KFER_KERNELS_BEGIN

/// Blocks of whole warps, any grid: partial[blockIdx.x] is the sum of the block's share.
template <class T, class Out>
__global__ void __launch_bounds__(256) sum_warp_shuffle(const T* __restrict__ x, Out* partial, long long n) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  accum_t<T> sum = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    sum += widen(x[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = narrow<Out>(sum);
}

KFER_KERNELS_END
