// y[i] = f(x0[i], x1[i], ...), one element a thread.
//
// Reads every operand once and writes y once: n (sizeof(In) + ... + sizeof(Out)) bytes, the floor of any
// elementwise kernel. A warp's request is 128 bytes of float, but 64 of bf16, and a thread has one load of
// each operand on the way: too little to cover the latency of memory, so the memory system idles. Serves
// pointers that are not aligned.
#pragma once

#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// Grid: n threads, rounded up to whole blocks. `f` takes elements as they are stored. y may be one of the
/// operands.
template <class F, class Out, class... In>
__global__ void __launch_bounds__(256) map_naive(F f, long long n, Out* y, const In*... x) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = f(x[i]...);
}

KFER_KERNELS_END
