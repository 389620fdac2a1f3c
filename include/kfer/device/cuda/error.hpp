// CUDA's error codes as exceptions, and the switch that makes every call wait for its result.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <string_view>

#include "kfer/core/error.hpp"

namespace kfer::cuda {

/// Whether an environment variable is set to `value`.
inline bool environment_is(const char* variable, std::string_view value) {
  const char* setting = std::getenv(variable);
  return setting && setting == value;
}

/// KFER_CUDA_SYNC=1: every launch and library call is waited for, so that an error is reported by the call
/// that caused it.
inline bool synchronous() {
  static const bool on = environment_is("KFER_CUDA_SYNC", "1");
  return on;
}

/// "cudaMalloc of 512 bytes: out of memory (cudaErrorMemoryAllocation)".
inline std::string error_text(cudaError_t error, std::string_view what) {
  std::string out = text(what, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ')');
  if (error == cudaErrorNoKernelImageForDevice)
    out += "; the program was built for other GPUs: configure with KFER_CUDA_ARCHITECTURES for this one";
  return out;
}

/// Throws DeviceError naming `what` was called and CUDA's name and text of the error. An error that a call
/// has reported is not reported again by an unrelated later one.
inline void check(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());
  throw DeviceError(text("cuda: ", error_text(error, what)));
}

}  // namespace kfer::cuda
