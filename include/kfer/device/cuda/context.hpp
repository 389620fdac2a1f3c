// What there is once for the GPU that a process uses: its streams, its memory, and the graph being captured.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kfer/device/cuda/event.hpp"
#include "kfer/device/cuda/memory.hpp"
#include "kfer/device/cuda/pinned.hpp"
#include "kfer/device/math_options.hpp"

namespace kfer::cuda {

/// While it lives, this thread may make calls that CUDA forbids during a capture because they are not part of
/// the graph (cudaMalloc).
class OutsideCapture {
 public:
  OutsideCapture() { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  OutsideCapture(const OutsideCapture&) = delete;
  OutsideCapture& operator=(const OutsideCapture&) = delete;
  ~OutsideCapture() { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_)); }

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// The driver's allocator, as the caching one needs it.
struct DeviceMemory {
  void* allocate(std::size_t bytes) {
    const OutsideCapture outside;
    void* memory = nullptr;
    const cudaError_t error = cudaMalloc(&memory, bytes);
    if (error == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      return nullptr;
    }
    check(error, "cudaMalloc");
    return memory;
  }
  /// CUDA waits until the device is done with the memory.
  void free(void* memory) noexcept {
    const OutsideCapture outside;
    if (cudaFree(memory) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }
  std::string state() const {
    const OutsideCapture outside;
    std::size_t free = 0, total = 0;
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      return "the device's free memory is unknown";
    }
    return text(free, " of ", total, " bytes of the device are free");
  }
};

using Memory = CachingAllocator<DeviceMemory>;

/// Small values in device memory that a captured graph's kernels read and the host changes between replays:
/// one block, uploaded before every replay. The first word is the random shift.
class ReplayedBlock {
 public:
  static constexpr std::size_t capacity = 4096, alignment = 16;
  using Shift = unsigned long long;

  explicit ReplayedBlock(void* device) : device_(static_cast<char*>(device)) {}

  void* device() const { return device_; }
  const Shift* shift() const { return reinterpret_cast<const Shift*>(device_); }

  /// Where kernels read the `bytes` bytes of `cell`; the same place if it was asked for before.
  const void* slot(std::shared_ptr<const void> cell, std::size_t bytes) {
    for (const Slot& s : slots_)
      if (s.cell == cell) return device_ + s.offset;
    require(bytes <= capacity - used_, "a captured graph reads at most ", capacity,
            " bytes of changing values; ", used_, " are taken, ", bytes, " more do not fit");
    slots_.push_back({std::move(cell), bytes, used_});
    const void* place = device_ + used_;
    used_ += (bytes + alignment - 1) / alignment * alignment;
    used_ = std::min(used_, capacity);
    return place;
  }

  /// Writes what the next replay is to see to `image`, of at least used() bytes.
  void write(char* image, Shift shift) const {
    std::memcpy(image, &shift, sizeof shift);
    for (const Slot& s : slots_) std::memcpy(image + s.offset, s.cell.get(), s.bytes);
  }
  std::size_t used() const { return used_; }

 private:
  struct Slot {
    std::shared_ptr<const void> cell;
    std::size_t bytes, offset;
  };
  char* device_;
  std::vector<Slot> slots_;
  std::size_t used_ = alignment;  ///< the shift
};

/// The capture in progress: who captures, where its memory comes from, and what it must keep.
struct Capture {
  Memory::PoolId pool;
  ReplayedBlock* values;
  std::vector<void*> adopted = {};  ///< older blocks freed meanwhile: the graph may read them
  std::thread::id thread = std::this_thread::get_id();
};

/// "Can it be used?", and why not.
struct Availability {
  bool available = false;
  std::string reason = {};  ///< in one clause; empty if available

  explicit operator bool() const { return available; }
};

class Context {
 public:
  /// The context of this process, made at the first call; the calling thread is bound to its device. Throws
  /// DeviceError if there is no usable GPU. Never destroyed: a tensor of static storage may be freed last.
  static Context& instance() {
    Context& context = unbound();
    thread_local const bool bound = (check(cudaSetDevice(context.ordinal_), "cudaSetDevice"), true);
    static_cast<void>(bound);
    return context;
  }

  /// The same for calls that any thread may make, bound to the device or not.
  static Context& unbound() {
    static Context& context = *new Context;
    return context;
  }

  /// Whether instance() would succeed.
  static Availability availability() {
    prepare_environment();
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver) {
      static_cast<void>(cudaGetLastError());
      int driver = 0;
      if (cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0)
        return {false, text("the GPU driver is for CUDA ", version_text(driver),
                            ", older than this program's ", version_text(CUDART_VERSION))};
      return {false, "no GPU driver on this machine"};
    }
    if (error != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      if (error == cudaErrorNoDevice) return {false, "no GPU on this machine"};
      return {false, error_text(error, "cudaGetDeviceCount")};
    }
    const int ordinal = chosen_ordinal();
    if (ordinal < 0 || ordinal >= count)
      return {false, text("KFER_CUDA_DEVICE asks for GPU '", std::getenv("KFER_CUDA_DEVICE"), "', there are ",
                          count, ", counted from 0")};
    return {true};
  }

  int ordinal() const { return ordinal_; }
  /// Whether the device reads the host's pageable memory itself (HMM, ATS): CUDA then need not have taken
  /// what is copied from there before the call returns.
  bool reads_pageable_memory() const { return reads_pageable_memory_; }
  Memory& memory() { return memory_; }
  MathOptions& math() { return math_; }
  cudaStream_t copy_stream() const { return copy_.get(); }

  /// Throws DeviceError if another thread is capturing a graph: its graph would swallow this thread's work.
  cudaStream_t compute_stream() const {
    const Capture* capture = capture_.load(std::memory_order_acquire);
    if (capture && capture->thread != std::this_thread::get_id()) [[unlikely]]
      throw DeviceError(
          "cuda: another thread is capturing a graph; work of this thread must wait until it is done");
    return compute_.get();
  }

  /// The capture of this thread, or null.
  Capture* capture() const {
    Capture* capture = capture_.load(std::memory_order_acquire);
    return capture && capture->thread == std::this_thread::get_id() ? capture : nullptr;
  }
  void begin_capture(Capture& capture) {
    Capture* none = nullptr;
    require<DeviceError>(capture_.compare_exchange_strong(none, &capture),
                         "cuda: another thread is capturing a graph already");
  }
  void end_capture() { capture_.store(nullptr, std::memory_order_release); }

  void* allocate(std::size_t bytes) {
    const Capture* c = capture();
    // cudaFree waits for the device, which spoils a capture.
    return memory_.allocate(bytes, c ? c->pool : pool_, !capture_.load(std::memory_order_acquire));
  }
  void deallocate(void* block) noexcept {
    if (Capture* c = capture(); c && block && !memory_.is_of(c->pool, block)) {
      try {
        c->adopted.push_back(block);
      } catch (
          const std::bad_alloc&) {  // no room for the note: the block is lost, which is better than shared
      }
      return;
    }
    memory_.deallocate(block);
  }

  /// KFER_CUDA_SYNC=1: waits for what was just enqueued and throws DeviceError naming `what` if it failed.
  void enqueued(std::string_view what) {
    if (synchronous() && !capture_.load(std::memory_order_acquire))
      check(cudaStreamSynchronize(compute_.get()), what);
  }

  /// "NVIDIA H200, compute capability 9.0, 139 GiB, driver for CUDA 13.0, runtime 13.0, cuDNN 9.19.0".
  std::string description() const {
    cudaDeviceProp p;
    check(cudaGetDeviceProperties(&p, ordinal_), "cudaGetDeviceProperties");
    int driver = 0, runtime = 0;
    check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
    check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    std::string out = text(static_cast<const char*>(p.name), ", compute capability ", p.major, '.', p.minor,
                           ", ", p.totalGlobalMem >> 30, " GiB, driver for CUDA ", version_text(driver),
                           ", runtime ", version_text(runtime));
    // Asked for by name, so that a program without cuDNN need not be linked with it.
    if (void* symbol = dlsym(RTLD_DEFAULT, "cudnnGetVersion")) {
      const std::size_t v = reinterpret_cast<std::size_t (*)()>(symbol)();
      out += text(", cuDNN ", v / 10000, '.', v / 100 % 100, '.', v % 100);
    }
    return out;
  }

 private:
  Context()
      : ordinal_(usable_ordinal()),
        reads_pageable_memory_(attribute(cudaDevAttrPageableMemoryAccess)),
        memory_(DeviceMemory{}, !environment_is("KFER_CUDA_CACHE", "0")) {
    pool_ = memory_.create_pool();
  }

  /// CUDA's own switch for launches that it makes itself or that libraries make. Read when CUDA starts.
  static void prepare_environment() {
    if (synchronous()) static_cast<void>(setenv("CUDA_LAUNCH_BLOCKING", "1", 0));
  }

  static std::string version_text(int version) { return text(version / 1000, '.', version % 1000 / 10); }

  /// KFER_CUDA_DEVICE, 0 if it is not set, -1 if it is no number.
  static int chosen_ordinal() {
    const char* setting = std::getenv("KFER_CUDA_DEVICE");
    if (!setting || !*setting) return 0;
    int ordinal = 0;
    const char* end = setting + std::strlen(setting);
    const auto [stop, error] = std::from_chars(setting, end, ordinal);
    return error == std::errc() && stop == end ? ordinal : -1;
  }

  static int usable_ordinal() {
    const Availability state = availability();
    require<DeviceError>(state.available, "device cuda: ", state.reason);
    const int ordinal = chosen_ordinal();
    check(cudaSetDevice(ordinal), "cudaSetDevice");
    return ordinal;
  }

  bool attribute(cudaDeviceAttr which) const {
    int value = 0;
    check(cudaDeviceGetAttribute(&value, which, ordinal_), "cudaDeviceGetAttribute");
    return value != 0;
  }

  int ordinal_;
  bool reads_pageable_memory_;
  Stream compute_, copy_;
  Memory memory_;
  Memory::PoolId pool_ = 0;  ///< of the compute stream
  MathOptions math_;
  std::atomic<Capture*> capture_ = nullptr;
};

}  // namespace kfer::cuda
