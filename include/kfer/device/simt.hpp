// The Simt device: the Cuda backend without a GPU. Memory is the host's, and kernels run on the host SIMT
// executor, which checks what a GPU does not: barriers, warp masks and, in sanitizer builds, bounds and
// races. Slow, and exact.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "kfer/core/error.hpp"
#include "kfer/device/device.hpp"
#include "kfer/kernels/common/device.cuh"

#if defined(__CUDACC__)
#error "kfer/device/simt.hpp is for host compilers; a CUDA compiler runs the same kernels on Cuda"
#endif

namespace kfer {

struct Simt {
  static constexpr std::string_view name = "simt";

  /// Exact sizes from the heap, so that a memory checker sees the first byte past the end; poisoned with
  /// NaNs, so that what no kernel wrote shows.
  static void* allocate(std::size_t bytes) {
    void* block = nullptr;
    require<OutOfMemoryError>(bytes <= PTRDIFF_MAX && posix_memalign(&block, 256, bytes ? bytes : 1) == 0,
                              "simt: cannot allocate ", bytes, " bytes");
    std::memset(block, 0xFF, bytes);
    return block;
  }
  static void deallocate(void* block, std::size_t) noexcept { std::free(block); }
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes) std::memcpy(to, from, bytes);
  }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void set_zero(void* to, std::size_t bytes) {
    if (bytes) std::memset(to, 0, bytes);
  }

  static kernels::Stream stream() { return {}; }
  static void synchronize() {}
  static bool capturing() { return false; }
  static const unsigned long long* random_shift() { return nullptr; }
};

static_assert(Device<Simt>);

}  // namespace kfer
