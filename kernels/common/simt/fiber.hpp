// Fibers: several stacks in one thread of the operating system, switched by a few instructions.
//
// switch_stack() is an ordinary function call to its caller, so that only the registers that a callee must
// keep have to be saved: they are pushed on the stack that is left, its stack pointer is noted, and the same
// is undone on the other stack. No system call: a switch takes a few nanoseconds.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sanitizers.hpp"

namespace kfer::simt::detail {

#if defined(__x86_64__)

/// Saves the caller's state on its stack, stores the stack pointer to *from, goes on where `to` stopped.
/// Below `to` lie: MXCSR and the x87 control word, r15, r14, r13, r12, rbx, rbp, the return address.
__attribute__((naked, noinline)) inline void switch_stack(void** /*from*/, void* /*to*/) {
  asm volatile(
      "push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15\n\t"
      "sub $8, %rsp; stmxcsr (%rsp); fnstcw 4(%rsp)\n\t"
      "mov %rsp, (%rdi); mov %rsi, %rsp\n\t"
      "ldmxcsr (%rsp); fldcw 4(%rsp); add $8, %rsp\n\t"
      "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp\n\t"
      "pop %rcx; jmp *%rcx");  // a `ret` would be predicted to go back to the caller, which it never does
}

/// A stack that switch_stack() will start `entry` on. `top` is its end.
KFER_SIMT_RAW inline void* prepare_stack(void* top, void (*entry)()) {
  auto* p = reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--p = 0;  // entry's return address: a debugger's backtrace ends here
  *--p = reinterpret_cast<std::uint64_t>(entry);
  for (int i = 0; i < 6; ++i) *--p = 0;
  std::uint32_t mxcsr;
  std::uint16_t x87;
  asm volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(x87));
  *--p = mxcsr | std::uint64_t{x87} << 32;
  return p;
}

#elif defined(__aarch64__)

// As above. GCC has no naked functions on this processor, so the function is written as one of a COMDAT.
// Above `to` lie: x19 to x30, d8 to d15, FPCR.
extern "C" void kfer_simt_switch_stack(void** from, void* to);
asm(R"(
    .pushsection .text.kfer_simt_switch_stack,"axG",%progbits,kfer_simt_switch_stack,comdat
    .weak kfer_simt_switch_stack
    .type kfer_simt_switch_stack, %function
    .p2align 4
kfer_simt_switch_stack:
    sub sp, sp, #176
    stp x19, x20, [sp]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]
    mov x9, sp
    str x9, [x0]
    mov sp, x1
    ldp x19, x20, [sp]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    ldr x9, [sp, #160]
    msr fpcr, x9
    add sp, sp, #176
    ret
    .size kfer_simt_switch_stack, . - kfer_simt_switch_stack
    .popsection
)");

KFER_SIMT_RAW inline void switch_stack(void** from, void* to) {
  kfer_simt_switch_stack(from, to);
}

KFER_SIMT_RAW inline void* prepare_stack(void* top, void (*entry)()) {
  auto* p =
      reinterpret_cast<std::uint64_t*>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15}) - 22;
  for (int i = 0; i < 22; ++i) p[i] = 0;
  p[11] = reinterpret_cast<std::uint64_t>(entry);  // x30, where `ret` goes
  asm volatile("mrs %0, fpcr" : "=r"(p[20]));
  return p;
}

#else
#error "the host SIMT executor switches stacks on x86-64 and aarch64; add switch_stack() for this processor"
#endif

/// A stack and where it stopped. Default-made: the stack of whoever switches away from it.
class Fiber {
 public:
  Fiber() = default;
  /// Starts in `entry`, which calls landed() first and never returns. Below the stack lies a page that cannot
  /// be touched, so that an overflow faults instead of writing elsewhere.
  Fiber(std::size_t bytes, void (*entry)()) : bytes_(bytes), entry_(entry) {
    void* all = mmap(nullptr, bytes + guard_bytes(), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all, guard_bytes(), PROT_NONE) != 0) {
      std::perror("kfer::simt: no memory for the stack of a thread");
      std::abort();
    }
    stack_ = static_cast<char*>(all) + guard_bytes();
    restart();
  }
  ~Fiber() {
    if (entry_) munmap(stack() - guard_bytes(), bytes_ + guard_bytes());
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Forgets what ran on the stack: it starts in its entry again.
  KFER_SIMT_RAW void restart() {
    unpoison(stack(), bytes_);
    asan_state_ = nullptr;
    stopped_at_ = prepare_stack(stack() + bytes_, entry_);
  }

  /// Stops here and goes on where `to` stopped; returns when another fiber switches to this one.
  KFER_SIMT_RAW void switch_to(Fiber& to) {
    to.came_from_ = this;
    leave_stack(&asan_state_, to.stack_, to.bytes_);
    switch_stack(&stopped_at_, to.stopped_at_);
    landed();
  }
  /// AddressSanitizer tells the bounds of the stack that was left: that is how a default-made fiber gets its.
  KFER_SIMT_RAW void landed() { enter_stack(asan_state_, &came_from_->stack_, &came_from_->bytes_); }

  Fiber* next_free = nullptr;

 private:
  KFER_SIMT_RAW char* stack() const { return static_cast<char*>(const_cast<void*>(stack_)); }
  static std::size_t guard_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

  void* stopped_at_ = nullptr;
  const void* stack_ = nullptr;  // its lowest byte
  std::size_t bytes_ = 0;
  void* asan_state_ = nullptr;
  Fiber* came_from_ = nullptr;
  void (*entry_)() = nullptr;
};

}  // namespace kfer::simt::detail
