// The sum of n elements by blocks: a tree in shared memory, one partial sum a block, and the same kernel over
// the partial sums.
//
// No word is shared by two blocks, so no atomics, and the order of additions is fixed: the same bits every
// time. Halving the number of adders from the front keeps the active threads in whole warps and their words
// in different banks. It costs log2(256) = 8 barriers a block, for one element a thread per stride.
#pragma once

#include "../common/bf16.cuh"
#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// Blocks of 256 threads, any grid: partial[blockIdx.x] is the sum of the block's share.
template <class T, class Out>
__global__ void __launch_bounds__(256) sum_shared_tree(const T* __restrict__ x, Out* partial, long long n) {
  using A = accum_t<T>;
  KFER_SHARED(A, tree, [256]);
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  A sum = 0;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    sum += widen(x[i]);
  tree[threadIdx.x] = sum;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) tree[threadIdx.x] += tree[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) partial[blockIdx.x] = narrow<Out>(tree[0]);
}

KFER_KERNELS_END
