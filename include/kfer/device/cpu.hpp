// The Cpu device: host memory from a caching allocator.
//
// Training asks for the same few large blocks in every step. Returning them to the system would mean faulting
// every page in again (first touch runs at a tenth of copy speed), so freed blocks are kept and handed out
// again.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/device/device.hpp"

namespace kfer {
namespace detail {

/// Size-bucketed free lists over aligned_alloc. Thread-safe. KFER_CPU_CACHE=0 in the environment turns the
/// keeping off, so that a memory checker sees every allocation.
class CpuMemory {
 public:
  /// Never destroyed: a tensor of static storage may be freed after every other object of the program.
  static CpuMemory& instance() {
    static CpuMemory& memory = *new CpuMemory;
    return memory;
  }

  void* allocate(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    require<OutOfMemoryError>(bytes <= most, "cpu: cannot allocate ", bytes, " bytes (", in_use_,
                              " bytes in use)");
    const std::size_t size = bucket(bytes);
    if (const auto it = free_.find(size); it != free_.end() && !it->second.empty()) {
      void* block = it->second.back();
      it->second.pop_back();
      kept_ -= size;
      count(size);
      return block;
    }
    void* block = fresh(size);
    if (!block) {
      release_locked();
      block = fresh(size);
    }
    require<OutOfMemoryError>(block != nullptr, "cpu: cannot allocate ", bytes, " bytes (", in_use_,
                              " bytes in use)");
    count(size);
    return block;
  }

  void deallocate(void* block, std::size_t bytes) noexcept {
    const std::size_t size = bucket(bytes);
    std::lock_guard lock(mutex_);
    in_use_ -= size;
    if (keep_) {
      try {
        free_[size].push_back(block);
        kept_ += size;
        return;
      } catch (const std::bad_alloc&) {  // no room for the note: give the block back instead
      }
    }
    std::free(static_cast<char*>(block) - skew_of(size, block));
  }

  /// Returns every kept block to the system.
  void release() {
    std::lock_guard lock(mutex_);
    release_locked();
  }

  std::size_t in_use() const {
    std::lock_guard lock(mutex_);
    return in_use_;
  }
  std::size_t peak() const {
    std::lock_guard lock(mutex_);
    return peak_;
  }
  std::size_t kept() const {
    std::lock_guard lock(mutex_);
    return kept_;
  }

 private:
  static constexpr std::size_t large = std::size_t{1} << 20;
  static constexpr std::size_t huge_page = std::size_t{2} << 20;
  static constexpr std::size_t most = PTRDIFF_MAX;  ///< of one block, before rounding up

  CpuMemory() {
    const char* setting = std::getenv("KFER_CPU_CACHE");
    keep_ = !(setting && std::strcmp(setting, "0") == 0);
  }

  void count(std::size_t size) {
    in_use_ += size;
    peak_ = std::max(peak_, in_use_);
  }

  /// Rounds up to one of eight sizes per power of two: at most 12.5 % is lost, and near sizes share blocks.
  static std::size_t bucket(std::size_t bytes) {
    bytes = std::max<std::size_t>(bytes, 64);
    std::size_t step = 64;
    while (step * 16 <= bytes) step *= 2;
    return (bytes + step - 1) / step * step;
  }

  // Large blocks are page-aligned by nature, so tensors of equal shape would start at the same cache set and
  // at 4 KiB-aliasing addresses (Adam over four of them ran 4 times slower). Each one starts a few lines
  // further on; the amount sits in the low bits of the address.
  static constexpr std::size_t skew_step = 64 * 5;
  static std::size_t skew_of(std::size_t size, const void* block) {
    return size < large ? 0 : reinterpret_cast<std::uintptr_t>(block) % huge_page;
  }

  void* fresh(std::size_t size) {
    if (size < large) return std::aligned_alloc(64, size);
    const std::size_t skew = skew_step * (color_++ % 61);
    void* base = nullptr;
    if (posix_memalign(&base, huge_page, size + skew) != 0) return nullptr;
    // Huge pages where the block fills them, and not at its ragged end: many blocks are a power of two and a
    // few lines long. A hint: failure costs speed alone.
    madvise(base, (size + skew) / huge_page * huge_page, MADV_HUGEPAGE);
    return static_cast<char*>(base) + skew;
  }

  void release_locked() noexcept {
    for (auto& [size, blocks] : free_) {
      for (void* block : blocks) std::free(static_cast<char*>(block) - skew_of(size, block));
      blocks.clear();
    }
    kept_ = 0;
  }

  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  std::size_t in_use_ = 0, peak_ = 0, kept_ = 0, color_ = 0;
  bool keep_ = true;
};

}  // namespace detail

struct Cpu {
  static constexpr std::string_view name = "cpu";

  static void* allocate(std::size_t bytes) { return detail::CpuMemory::instance().allocate(bytes); }
  static void deallocate(void* block, std::size_t bytes) noexcept {
    detail::CpuMemory::instance().deallocate(block, bytes);
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes) std::memcpy(to, from, bytes);
  }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void set_zero(void* to, std::size_t bytes) {
    if (bytes) std::memset(to, 0, bytes);
  }

  /// Bytes handed out now, and the most there ever were.
  static std::size_t bytes_in_use() { return detail::CpuMemory::instance().in_use(); }
  static std::size_t peak_bytes() { return detail::CpuMemory::instance().peak(); }
  /// Gives memory that is kept for reuse back to the system.
  static void release_cache() { detail::CpuMemory::instance().release(); }
};

static_assert(Device<Cpu>);

}  // namespace kfer
