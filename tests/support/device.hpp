// The device that a test program of operations tests: Cuda under a CUDA compiler; Simt, the Cuda backend on
// the host SIMT executor, with KFER_TEST_SIMT; else Cpu. One source serves all three; it includes the
// backends that it needs, those of the Cpu unless a CUDA compiler reads it, those of a GPU if KFER_TEST_GPU
// is defined here.
#pragma once

#include "kfer/fwd.hpp"
#include "kfer/tensor/transfer.hpp"

#if defined(__CUDACC__) || defined(KFER_TEST_SIMT)
#define KFER_TEST_GPU
#include "kfer/ops/elementwise/accumulate_cuda.hpp"
#include "kfer/tensor/create_cuda.hpp"
#endif

namespace kfer::test {
#if defined(__CUDACC__)
using TestDevice = Cuda;
/// Where results in double are computed that others are compared with: the kernels in double, which agree
/// with the plain loops on Simt. (The loops are the Cpu backend's, which a CUDA compiler does not read.)
using Exact = Cuda;
#elif defined(KFER_TEST_SIMT)
using TestDevice = Simt;
using Exact = Cpu;
#else
using TestDevice = Cpu;
using Exact = Cpu;
#endif
}  // namespace kfer::test
