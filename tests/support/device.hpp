// The device that a test program of operations tests: Cuda under a CUDA compiler; Simt, the Cuda backend on
// the host SIMT executor, with KFER_TEST_SIMT; else Cpu. One source serves all three.
#pragma once

#include "kfer/fwd.hpp"

#if defined(__CUDACC__) || defined(KFER_TEST_SIMT)
#include "kfer/ops/ops_cuda.hpp"
#endif

namespace kfer::test {
#if defined(__CUDACC__)
using TestDevice = Cuda;
#elif defined(KFER_TEST_SIMT)
using TestDevice = Simt;
#else
using TestDevice = Cpu;
#endif
}  // namespace kfer::test
