// Which sanitizer watches this build, and the calls that tell it what the executor does behind its back.
//
// AddressSanitizer must hear of every change of stacks, and of the memory that lies between shared arrays.
// ThreadSanitizer must take each kernel thread for a thread of its own, ordered with others only where CUDA
// orders them. In other builds every call here is nothing.
#pragma once

#include <cstddef>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KFER_SIMT_ASAN 1
#elif __has_feature(thread_sanitizer)
#define KFER_SIMT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define KFER_SIMT_ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define KFER_SIMT_TSAN 1
#endif
#if !defined(KFER_SIMT_ASAN)
#define KFER_SIMT_ASAN 0
#endif
#if !defined(KFER_SIMT_TSAN)
#define KFER_SIMT_TSAN 0
#endif

#if KFER_SIMT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if KFER_SIMT_TSAN
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#endif

// Marks a function of the executor, which no sanitizer instruments: its own reads and writes are made in the
// name of many kernel threads, and would be taken for races of the kernel.
#if defined(__clang__)
#define KFER_SIMT_RAW __attribute__((disable_sanitizer_instrumentation))
#else
#define KFER_SIMT_RAW __attribute__((no_sanitize("thread"), no_sanitize("address")))
#endif

namespace kfer::simt::detail {

inline constexpr bool address_sanitizer = KFER_SIMT_ASAN, thread_sanitizer = KFER_SIMT_TSAN;

// ---- AddressSanitizer ----

#if KFER_SIMT_ASAN
KFER_SIMT_RAW inline void poison(void* p, std::size_t bytes) {
  __asan_poison_memory_region(p, bytes);
}
KFER_SIMT_RAW inline void unpoison(void* p, std::size_t bytes) {
  __asan_unpoison_memory_region(p, bytes);
}
/// Before a switch to the stack [bottom, bottom + bytes). `saved` keeps this stack's part of ASan's state.
KFER_SIMT_RAW inline void leave_stack(void** saved, const void* bottom, std::size_t bytes) {
  __sanitizer_start_switch_fiber(saved, bottom, bytes);
}
/// After a switch, on the new stack; tells which stack was left.
KFER_SIMT_RAW inline void enter_stack(void* saved, const void** bottom, std::size_t* bytes) {
  __sanitizer_finish_switch_fiber(saved, bottom, bytes);
}
#else
inline void poison(void*, std::size_t) {}
inline void unpoison(void*, std::size_t) {}
inline void leave_stack(void**, const void*, std::size_t) {}
inline void enter_stack(void*, const void**, std::size_t*) {}
#endif

// ---- ThreadSanitizer ----

#if KFER_SIMT_TSAN
/// What was done before happens_before(p) is ordered before what is done after happens_after(p).
KFER_SIMT_RAW inline void happens_before(void* p) {
  __tsan_release(p);
}
KFER_SIMT_RAW inline void happens_after(void* p) {
  __tsan_acquire(p);
}
KFER_SIMT_RAW inline void* current_identity() {
  return __tsan_get_current_fiber();
}
KFER_SIMT_RAW inline void* new_identity() {
  return __tsan_create_fiber(0);
}
/// What reports call it.
KFER_SIMT_RAW inline void name_identity(void* identity, unsigned x, unsigned y, unsigned z) {
  char name[48];
  std::snprintf(name, sizeof name, "threadIdx (%u,%u,%u)", x, y, z);
  __tsan_set_fiber_name(identity, name);
}
KFER_SIMT_RAW inline void drop_identity(void* identity) {
  __tsan_destroy_fiber(identity);
}
/// What follows is done by `identity`; the switch itself orders nothing.
KFER_SIMT_RAW inline void act_as(void* identity) {
  if (__tsan_get_current_fiber() != identity) __tsan_switch_to_fiber(identity, 1);
}
#else
inline void happens_before(void*) {}
inline void happens_after(void*) {}
inline void* current_identity() {
  return nullptr;
}
inline void* new_identity() {
  return nullptr;
}
inline void name_identity(void*, unsigned, unsigned, unsigned) {}
inline void drop_identity(void*) {}
inline void act_as(void*) {}
#endif

}  // namespace kfer::simt::detail
