// Reductions over a warp and over a block, in registers and one word of shared memory a warp.
#pragma once

#include "bf16.cuh"

KFER_KERNELS_BEGIN

inline constexpr unsigned full_warp = 0xFFFFFFFFu;

struct Sum {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a + b;
  }
};
/// A NaN on either side is the result.
struct Max {
  template <class A>
  __device__ A operator()(A a, A b) const {
    return a > b || a != a ? a : b;
  }
};

/// The reduction of `value` over the 32 lanes, in all of them. Every lane takes part.
template <class Op, class A>
__device__ inline A warp_reduce(A value, Op op) {
#pragma unroll
  for (int lane = 16; lane > 0; lane /= 2) value = op(value, __shfl_xor_sync(full_warp, value, lane));
  return value;
}

/// The reduction of `value` over a block of whole warps (at most 1024 threads, one-dimensional), in all
/// threads. `identity` is the operation's neutral element. Synchronises the block.
template <class Op, class A>
__device__ inline A block_reduce(A value, Op op, A identity) {
  KFER_SHARED(A, partial, [32]);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  value = warp_reduce(value, op);
  __syncthreads();  // an earlier call's readers are done
  if (lane == 0) partial[warp] = value;
  __syncthreads();
  return warp_reduce(lane < static_cast<int>(blockDim.x) / 32 ? partial[lane] : identity, op);
}
template <class A>
__device__ inline A block_sum(A value) {
  return block_reduce(value, Sum{}, A(0));
}

KFER_KERNELS_END
