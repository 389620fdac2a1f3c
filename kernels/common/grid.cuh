// Launch shapes.
#pragma once

#include "device.cuh"

KFER_KERNELS_BEGIN

__host__ __device__ constexpr long long div_up(long long a, long long b) {
  return (a + b - 1) / b;
}

/// Multiprocessors of the current device; under the host executor a small number, so that grid strides are
/// walked.
inline int multiprocessors() {
#if defined(__CUDACC__)
  static const int count = [] {
    int device = 0, n = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&n, cudaDevAttrMultiProcessorCount, device);
    return n > 0 ? n : 1;
  }();
  return count;
#else
  return 3;
#endif
}

/// Blocks for `work` items of which a block takes `per_block`: one a piece of work, at most `waves` full
/// device loads of blocks (`resident` fit a multiprocessor); the kernel strides over the rest. At least 1.
inline unsigned grid_blocks(long long work, long long per_block, int resident = 8, int waves = 4) {
  const long long wanted = div_up(work, per_block),
                  most = static_cast<long long>(multiprocessors()) * resident * waves;
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}

KFER_KERNELS_END
