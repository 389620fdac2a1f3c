// The shared memory of the block that runs.
//
// One piece of memory serves all blocks, since they run one after the other. An array gets its place when a
// thread of the block first reaches its declaration, filled with 0xFF bytes, which are NaNs: shared memory
// holds nothing at a block's start, and a read of what was not written shows. Between the arrays lie gaps
// that AddressSanitizer lets nobody touch.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "sanitizers.hpp"

namespace kfer::simt::detail {

class SharedMemory {
 public:
  /// Bytes that a block may have on compute capability 9.0: in all, and of arrays of a fixed size.
  static constexpr std::size_t limit = 227 << 10, fixed_limit = 48 << 10;

  SharedMemory() {
    void* p =
        mmap(nullptr, capacity_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    bytes_ = static_cast<char*>(p);
    poison(bytes_, capacity_);
  }
  ~SharedMemory() {
    unpoison(bytes_, capacity_);
    munmap(bytes_, capacity_);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  KFER_SIMT_RAW void start_launch(std::size_t dynamic_bytes) {
    dynamic_bytes_ = dynamic_bytes;
    start_ = used_ = 0;
  }
  KFER_SIMT_RAW void start_block() {
    poison(bytes_ + start_, used_);
    arrays_ = 0;
    used_ = fixed_bytes_ = 0;
  }
  /// The same in memory that no block of this launch had, for a sanitizer that would take its reuse for a
  /// race. False when there is no more.
  KFER_SIMT_RAW bool start_block_elsewhere() {
    start_ = (start_ + used_ + 4095) / 4096 * 4096;
    const bool fits = start_ + block_capacity_ <= capacity_;
    if (!fits) start_ = used_ = 0;
    start_block();
    return fits;
  }

  /// The array known by `key` (an address of its declaration), null if it takes more memory than there is.
  KFER_SIMT_RAW void* array(const void* key, std::size_t bytes) {
    if (void* p = find(key)) return p;
    fixed_bytes_ += bytes;
    if (fixed_bytes_ > fixed_limit || bytes_in_use() > limit) return nullptr;
    return place(key, bytes);
  }
  KFER_SIMT_RAW void* dynamic_array() {
    if (void* p = find(this)) return p;
    return bytes_in_use() > limit ? nullptr : place(this, dynamic_bytes_);
  }
  KFER_SIMT_RAW std::size_t fixed_bytes() const { return fixed_bytes_; }
  KFER_SIMT_RAW std::size_t dynamic_bytes() const { return dynamic_bytes_; }

 private:
  struct Array {
    const void* key;
    void* at;
  };

  KFER_SIMT_RAW std::size_t bytes_in_use() const { return fixed_bytes_ + dynamic_bytes_; }
  KFER_SIMT_RAW void* find(const void* key) const {
    for (int i = 0; i < arrays_; ++i) {
      if (array_[i].key == key) return array_[i].at;
    }
    return nullptr;
  }
  KFER_SIMT_RAW void* place(const void* key, std::size_t bytes) {
    if (arrays_ == max_arrays_) return nullptr;
    char* p = bytes_ + start_ + (used_ + gap_ + 127) / 128 * 128;
    used_ = static_cast<std::size_t>(p - bytes_) - start_ + bytes;
    unpoison(p, bytes);
    // Volatile, or it would become a call of memset, which sanitizers watch. The last word may reach into the
    // gap.
    for (std::size_t i = 0; i < bytes; i += 8)
      *reinterpret_cast<volatile std::uint64_t*>(p + i) = ~std::uint64_t{0};
    array_[arrays_++] = {key, p};
    return p;
  }

  static constexpr int max_arrays_ = 64;
  static constexpr std::size_t gap_ = 64, block_capacity_ = limit + max_arrays_ * (gap_ + 128),
                               capacity_ = thread_sanitizer ? std::size_t{1} << 28 : block_capacity_;

  char* bytes_ = nullptr;
  Array array_[max_arrays_];
  int arrays_ = 0;
  std::size_t start_ = 0, used_ = 0;  // this block's part of bytes_
  std::size_t fixed_bytes_ = 0, dynamic_bytes_ = 0;
};

}  // namespace kfer::simt::detail
