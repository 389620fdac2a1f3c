// struct Cuda: what Tensor and the ops ask of the device. See device/cuda.hpp.
#pragma once

#include "kfer/device/cuda/context.hpp"
#include "kfer/device/device.hpp"

namespace kfer {

struct Cuda {
  static constexpr std::string_view name = "cuda";
  using Event = cuda::Event;
  using PinnedBuffer = cuda::PinnedBuffer;

  /// Whether this machine has a GPU to compute on, and why not. Nothing else here works without.
  static cuda::Availability available() { return cuda::Context::availability(); }
  /// Device, compute capability, memory, and the versions of driver, runtime and cuDNN (if linked), in one
  /// line.
  static std::string description() { return context().description(); }
  /// Which GPU of the machine.
  static int ordinal() { return context().ordinal(); }

  static void* allocate(std::size_t bytes) {
    try {
      return context().allocate(bytes);
    } catch (const OutOfMemoryError& e) {
      throw OutOfMemoryError(text("cuda: ", e.what()));
    }
  }
  static void deallocate(void* block, std::size_t) noexcept { cuda::Context::unbound().deallocate(block); }

  /// Between places on the device, in order with the kernels.
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream()), "copy on the device");
    context().enqueued("copy on the device");
  }
  /// Returns when the source may be changed again; later kernels see the copy. Throws DeviceError during a
  /// capture.
  static void copy_from_host(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    refuse_in_capture("a copy from the host");
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream()), "copy from the host");
    // From pageable memory that the device cannot read itself, CUDA has taken the bytes before it returns.
    // Else they are read later.
    if (context().reads_pageable_memory() || is_pinned(from)) synchronize();
    context().enqueued("copy from the host");
  }
  /// Waits for all work before it, and reports its errors. Throws DeviceError during a capture.
  static void copy_to_host(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    refuse_in_capture("a copy to the host");
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream()), "copy to the host");
    synchronize();
  }
  static void set_zero(void* to, std::size_t bytes) {
    if (bytes == 0) return;
    cuda::check(cudaMemsetAsync(to, 0, bytes, stream()), "clearing memory");
    context().enqueued("clearing memory");
  }

  /// Where all kernels and library calls go.
  static cudaStream_t stream() { return context().compute_stream(); }
  /// For copies beside the kernels; order the two by events.
  static cudaStream_t copy_stream() { return context().copy_stream(); }
  /// Enqueues a copy from pinned host memory on the copy stream. The source must stay unchanged, and the
  /// target unused, until an event says that it is done.
  static void copy_from_pinned(void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, copy_stream()),
                "copy from pinned memory");
    if (cuda::synchronous()) cuda::check(cudaStreamSynchronize(copy_stream()), "copy from pinned memory");
  }
  /// Waits for the work of the compute stream and reports its errors. Throws DeviceError during a capture.
  static void synchronize() {
    refuse_in_capture("waiting for the device");
    cuda::check(cudaStreamSynchronize(stream()), "work on the device");
  }
  /// To be called after a launch or a library call: with KFER_CUDA_SYNC=1, waits and names `what` if it
  /// failed.
  static void enqueued(std::string_view what) { context().enqueued(what); }

  /// Whether this thread is capturing a graph.
  static bool capturing() { return context().capture() != nullptr; }
  /// During a capture: where kernels read how many random streams past the captured one a replay stands; else
  /// null.
  static const unsigned long long* random_shift() {
    const cuda::Capture* capture = context().capture();
    return capture ? capture->values->shift() : nullptr;
  }
  /// During a capture: where kernels read the bytes of `cell` as they are at each replay; else null. See
  /// device/replayed.hpp.
  static const void* replayed_slot(const std::shared_ptr<const void>& cell, std::size_t bytes) {
    cuda::Capture* capture = context().capture();
    return capture ? capture->values->slot(cell, bytes) : nullptr;
  }

  /// How libraries compute; read at every call.
  static MathOptions& math() { return context().math(); }

  /// Bytes handed out now, and the most there ever were, rounded up to blocks.
  static std::size_t bytes_in_use() { return context().memory().statistics().in_use; }
  static std::size_t peak_bytes() { return context().memory().statistics().peak; }
  static void reset_peak() { context().memory().reset_peak(); }
  static cuda::MemoryStatistics memory() { return context().memory().statistics(); }
  /// Gives memory that is kept for reuse back to the driver, except that of captured graphs.
  static void release_cache() { context().memory().release(); }

 private:
  static cuda::Context& context() { return cuda::Context::instance(); }

  static void refuse_in_capture(std::string_view what) {
    if (capturing()) [[unlikely]]
      throw DeviceError(text("cuda: ", what, " cannot be part of a captured graph"));
  }
  static bool is_pinned(const void* p) {
    cudaPointerAttributes attributes{};
    cuda::check(cudaPointerGetAttributes(&attributes, p), "cudaPointerGetAttributes");
    return attributes.type != cudaMemoryTypeUnregistered;
  }
};

static_assert(Device<Cuda>);

}  // namespace kfer
