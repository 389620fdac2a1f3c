// A kernel thread, and how a report names it.
#pragma once

#include <cstdint>

#include "fiber.hpp"
#include "report.hpp"
#include "types.hpp"

namespace kfer::simt {

inline namespace words {

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

}  // namespace words

namespace detail {

struct Thread {
  enum class State : std::uint8_t { fresh, ready, waiting, done };

  uint3 index{};  // its threadIdx
  State state = State::fresh;
  Fiber* fiber = nullptr;    // where it waits
  void* identity = nullptr;  // to ThreadSanitizer
  Fiber* own = nullptr;  // under ThreadSanitizer, to which reuse of another thread's stack looks like a race

  // What it waits for, or waited for last.
  Op op{};
  unsigned mask = 0;
  int argument = 0, width = 32;
  Site site;
  std::uint64_t given[2]{}, taken[2]{};  // its value, and what it gets
};

/// Appends who it is and where it waits.
KFER_SIMT_RAW inline void add_place(Text& text, const Thread& thread) {
  text.add("thread (%u,%u,%u) of block (%u,%u,%u)", thread.index.x, thread.index.y, thread.index.z,
           blockIdx.x, blockIdx.y, blockIdx.z);
  if (thread.site.line) text.add(" at %s %s:%u", name(thread.op), thread.site.file, thread.site.line);
}

KFER_SIMT_RAW inline bool same_place(const Thread& a, const Thread& b) {
  return a.op == b.op && a.site.line == b.site.line && !__builtin_strcmp(a.site.file, b.site.file);
}

/// Appends how many threads wait at each place; after six places, how many wait elsewhere.
KFER_SIMT_RAW inline void add_places(Text& text, const Thread* threads, unsigned count) {
  struct Group {
    const Thread* one;
    unsigned size;
  } groups[6];
  unsigned group_count = 0, elsewhere = 0;
  for (unsigned i = 0; i < count; ++i) {
    const Thread& thread = threads[i];
    if (thread.state == Thread::State::done) continue;
    unsigned g = 0;
    while (g < group_count && !same_place(*groups[g].one, thread)) ++g;
    if (g < group_count)
      ++groups[g].size;
    else if (g < 6)
      groups[group_count++] = {&thread, 1};
    else
      ++elsewhere;
  }
  for (unsigned g = 0; g < group_count; ++g) {
    const Thread& one = *groups[g].one;
    text.add(" %u at %s %s:%u;", groups[g].size, name(one.op), one.site.file, one.site.line);
  }
  if (elsewhere) text.add(" %u elsewhere;", elsewhere);
}

}  // namespace detail
}  // namespace kfer::simt
