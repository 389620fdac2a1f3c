// Host memory that the device copies from and to by itself, while the host goes on.
#pragma once

#include <cstddef>
#include <utility>

#include "kfer/device/cuda/error.hpp"

namespace kfer::cuda {

/// Page-locked host memory. Making one is slow: keep it.
class PinnedBuffer {
 public:
  PinnedBuffer() = default;
  /// Throws OutOfMemoryError.
  explicit PinnedBuffer(std::size_t bytes) : bytes_(bytes) {
    if (bytes == 0) return;
    const cudaError_t error = cudaHostAlloc(&data_, bytes, cudaHostAllocDefault);
    if (error == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      throw OutOfMemoryError(text("cuda: cannot allocate ", bytes, " bytes of pinned host memory"));
    }
    check(error, "cudaHostAlloc");
  }
  PinnedBuffer(PinnedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  PinnedBuffer& operator=(PinnedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~PinnedBuffer() {
    if (data_ && cudaFreeHost(data_) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }

  void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace kfer::cuda
