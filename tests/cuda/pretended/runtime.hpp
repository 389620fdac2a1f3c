// A CUDA runtime without a GPU, for tests of what kfer does with one: it runs copies and "kernels" (host
// functions) as late and in as odd an order as streams and events permit, and enforces the rules of captures.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

namespace pretended {

/// Enqueues host code as a kernel.
void launch(cudaStream_t stream, std::function<void()> kernel);

}  // namespace pretended
