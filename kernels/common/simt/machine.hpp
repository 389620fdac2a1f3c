// The machine: runs the blocks of a grid one after the other, and the threads of a block by turns.
//
// A thread runs on a fiber until it waits; then the next that can go on does, on its own fiber if it has
// begun, or else on a fresh one. A fiber whose thread has left the kernel starts the next thread itself, so
// that a kernel without barriers is a plain loop. The last thread to arrive at a barrier or at an operation
// of its warp works out the results and makes the others ready.
//
// Everything runs in one thread of the operating system; launches from several are made one by one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>

#include "config.hpp"
#include "fiber.hpp"
#include "report.hpp"
#include "sanitizers.hpp"
#include "schedule.hpp"
#include "shared.hpp"
#include "types.hpp"
#include "warp.hpp"

namespace kfer::simt {

inline namespace words {

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

}  // namespace words

namespace detail {

/// A kernel with its parameters.
struct Kernel {
  virtual void operator()() const = 0;

 protected:
  ~Kernel() = default;
};

class Machine {
 public:
  static Machine& get() {
    static Machine machine;
    return machine;
  }

  /// Calls `kernel` once a thread. Throws Error if the executor finds a bug, LaunchError if a GPU would not
  /// run such a grid.
  void run(dim3 grid, dim3 block, std::size_t dynamic_shared, const Kernel& kernel) {
    if (in_kernel_) fail(Text().add("a launch inside a kernel"));
    check_shape(grid, block, dynamic_shared);
    const std::lock_guard lock(launching_);
    run_grid(grid, block, dynamic_shared, kernel);
  }

  // ---- Called by kernels, through the intrinsics ----

  /// Waits for the whole block. `vote` feeds the counting forms.
  KFER_SIMT_RAW int wait_for_block(Op op, int vote, const Site& site) {
    Thread& me = *current_;
    me.op = op;
    me.site = site;
    me.argument = vote;
    const unsigned barrier = barriers_ & 1;
    happens_before(&barrier_order_[barrier]);
    ++stats.barriers;
    me.state = Thread::State::waiting;
    if (++arrived_ == live_) finish_barrier();
    suspend();
    happens_after(&barrier_order_[barrier]);
    return static_cast<int>(me.taken[0]);
  }

  /// Waits for the lanes of `mask`. The operands are in the thread, and so is the result.
  KFER_SIMT_RAW void wait_for_warp(Op op, unsigned mask, int argument, int width, const Site& site) {
    Thread& me = *current_;
    const unsigned number = number_of(me), lane = number % warp_size, warp = number / warp_size;
    me.op = op;
    me.site = site;
    me.mask = mask;
    me.argument = argument;
    me.width = width;
    ++stats.warp_ops;
    if (width < 1 || width > 32 || (width & (width - 1))) {
      fail(Text().add("a width of %d; it must be 1, 2, 4, 8, 16 or 32", width));
    }
    if (!(mask >> lane & 1)) fail(Text().add("lane %u is not in its own mask %08x", lane, mask));
    if (mask & ~live_lanes(warp)) {
      fail(Text().add("the mask %08x names lanes that have exited or do not exist", mask));
    }
    Gathering& gathering = find_gathering(op, mask, warp);
    if (gathering.op != op) fail(Text().add("warp divergence: another lane is in %s", name(gathering.op)));
    gathering.arrived |= 1u << lane;
    if (op == Op::syncwarp) happens_before(&warp_order_[warp]);
    me.state = Thread::State::waiting;
    if (gathering.arrived == mask) {
      gathering.open = false;
      finish_warp(op, mask, warp);
    }
    suspend();
    if (op == Op::syncwarp) happens_after(&warp_order_[warp]);
  }

  /// Lets others go first.
  KFER_SIMT_RAW void yield(const Site& site) {
    current_->op = Op::nanosleep;
    current_->site = site;
    make_ready(*current_);
    suspend();
  }

  /// Orders what was done before a fence before what is done after a later one.
  KFER_SIMT_RAW void fence() {
    happens_after(&fence_order_);
    happens_before(&fence_order_);
  }

  KFER_SIMT_RAW Thread& current() { return *current_; }
  KFER_SIMT_RAW unsigned active_lanes() const { return live_lanes(number_of(*current_) / warp_size); }

  KFER_SIMT_RAW void* shared(const void* key, std::size_t bytes) {
    return check_shared(shared_.array(key, bytes));
  }
  KFER_SIMT_RAW void* dynamic_shared() { return check_shared(shared_.dynamic_array()); }

  /// Ends the launch, which throws Error.
  [[noreturn]] KFER_SIMT_RAW void fail(const Text& why) { fail(why, current_); }

 private:
  using State = Thread::State;

  Machine() = default;

  // ---- A launch ----

  static void check_shape(dim3 grid, dim3 block, std::size_t dynamic_shared);
  KFER_SIMT_RAW void run_grid(dim3 grid, dim3 block, std::size_t dynamic_shared, const Kernel& kernel);
  KFER_SIMT_RAW void run_block();
  KFER_SIMT_RAW void abandon_fibers();
  KFER_SIMT_RAW void order_host_before_threads();
  KFER_SIMT_RAW void order_threads_before_host();

  // ---- Taking turns ----

  KFER_SIMT_RAW Thread* next_thread() {
    if (ready_.empty()) return nullptr;
    return &threads_[config.order == Order::random ? ready_.pop_any(random_) : ready_.pop()];
  }
  KFER_SIMT_RAW void make_ready(Thread& thread) {
    thread.state = State::ready;
    ready_.push(number_of(thread));
  }
  /// The current thread waits, or is ready again: another runs.
  KFER_SIMT_RAW void suspend() {
    Thread* me = current_;
    Fiber* mine = fiber_;
    me->fiber = mine;
    Thread* next = next_thread();
    if (!next) fail_stuck();
    if (next != me) {
      current_ = next;
      switch_to(next->state == State::fresh ? take_fiber(*next) : *next->fiber);
    }
    current_ = me;
    fiber_ = mine;
    threadIdx = me->index;
    act_as(me->identity);
  }
  KFER_SIMT_RAW static void fiber_entry() { get().run_threads(); }
  /// What every fiber does: runs threads while there are any to start.
  KFER_SIMT_RAW void run_threads() {
    fiber_->landed();
    for (;;) {
      Thread* thread = current_;
      threadIdx = thread->index;
      act_as(thread->identity);
      (*kernel_)();
      act_as(host_identity_);
      thread->state = State::done;
      thread->site = {};
      --live_;
      if (live_ && arrived_) {
        if (!config.exited_threads_may_miss_barriers) fail_exited(*thread);
        if (arrived_ == live_) finish_barrier();
      }
      Fiber* mine = fiber_;
      Thread* next = next_thread();
      if (!next) {
        if (live_) fail_stuck();
        release_fiber(*mine);
        switch_to(host_);  // comes back in a later block, with a fresh thread in current_
      } else {
        current_ = next;
        if (thread_sanitizer || next->state != State::fresh) {
          Fiber& to = next->state == State::fresh ? take_fiber(*next) : *next->fiber;
          release_fiber(*mine);
          switch_to(to);  // comes back as above
        }
      }
      fiber_ = mine;
    }
  }
  KFER_SIMT_RAW void switch_to(Fiber& to) {
    ++stats.switches;
    act_as(host_identity_);
    Fiber& from = *fiber_;
    fiber_ = &to;
    from.switch_to(to);
  }
  KFER_SIMT_RAW Fiber& take_fiber(Thread& thread) {
    if (thread_sanitizer) return *thread.own;
    if (!free_) return new_fiber();
    Fiber& fiber = *free_;
    free_ = fiber.next_free;
    return fiber;
  }
  KFER_SIMT_RAW void release_fiber(Fiber& fiber) {
    if (thread_sanitizer) return;
    fiber.next_free = free_;
    free_ = &fiber;
  }
  Fiber& new_fiber() {
    fibers_[fiber_count_] = std::make_unique<Fiber>(config.stack_bytes, &Machine::fiber_entry);
    return *fibers_[fiber_count_++];
  }

  // ---- Waiting together ----

  KFER_SIMT_RAW void finish_barrier();
  KFER_SIMT_RAW Gathering& find_gathering(Op op, unsigned mask, unsigned warp) {
    Gathering* unused = nullptr;
    for (Gathering& g : gatherings_[warp]) {
      if (g.open && g.mask == mask) return g;
      if (!g.open && !unused) unused = &g;
    }
    *unused = {true, op, mask, 0};  // there is one: a lane is in one gathering at a time
    return *unused;
  }
  KFER_SIMT_RAW void finish_warp(Op op, unsigned mask, unsigned warp) {
    Thread* lanes = threads_ + warp * warp_size;
    const int astray = complete(op, mask, lanes);
    if (astray >= 0) {
      const Thread& thread = lanes[astray];
      fail(Text().add("a lane reads lane %d, which is not in the mask %08x",
                      shuffle_source(op, astray, thread.argument, thread.width), mask),
           &thread);
    }
    for (unsigned i = 0; i < warp_size; ++i) {
      const unsigned lane = config.order == Order::reverse ? warp_size - 1 - i : i;
      if (mask >> lane & 1) make_ready(lanes[lane]);
    }
  }
  KFER_SIMT_RAW unsigned number_of(const Thread& thread) const {
    return static_cast<unsigned>(&thread - threads_);
  }
  /// Lanes that exist and have not exited.
  KFER_SIMT_RAW unsigned live_lanes(unsigned warp) const {
    unsigned lanes = 0;
    for (unsigned i = 0; i < warp_size && warp * warp_size + i < block_threads_; ++i) {
      if (threads_[warp * warp_size + i].state != State::done) lanes |= 1u << i;
    }
    return lanes;
  }

  // ---- Reports ----

  KFER_SIMT_RAW void* check_shared(void* array) {
    if (!array) {
      fail(Text().add(
          "shared memory: %zu bytes of fixed size and %zu dynamic; a block may have %zu, %zu of them "
          "of fixed size",
          shared_.fixed_bytes(), shared_.dynamic_bytes(), SharedMemory::limit, SharedMemory::fixed_limit));
    }
    return array;
  }
  [[noreturn]] KFER_SIMT_RAW void fail(const Text& why, const Thread* thread) {
    failure_.clear();
    failure_.add("kfer::simt: %s", why.c_str());
    if (thread) {
      failure_.add(" [");
      add_place(failure_, *thread);
      failure_.add("]");
    }
    switch_to(host_);
    __builtin_unreachable();
  }
  [[noreturn]] KFER_SIMT_RAW void fail_exited(const Thread& exited);
  [[noreturn]] KFER_SIMT_RAW void fail_stuck();
  static KFER_SIMT_RAW void add_place(Text& text, const Thread& thread) {
    text.add("thread (%u,%u,%u) of block (%u,%u,%u)", thread.index.x, thread.index.y, thread.index.z,
             blockIdx.x, blockIdx.y, blockIdx.z);
    if (thread.site.line) text.add(" at %s %s:%u", name(thread.op), thread.site.file, thread.site.line);
  }
  static KFER_SIMT_RAW bool same_place(const Thread& a, const Thread& b) {
    return a.op == b.op && a.site.line == b.site.line && !__builtin_strcmp(a.site.file, b.site.file);
  }

  std::mutex launching_;
  static inline thread_local bool in_kernel_ = false;

  // The launch.
  const Kernel* kernel_ = nullptr;
  Random random_;
  Text failure_;

  // The block that runs.
  Thread threads_[max_block_threads];
  unsigned block_threads_ = 0, live_ = 0;
  Thread* current_ = nullptr;
  RunQueue ready_;
  SharedMemory shared_;
  unsigned arrived_ = 0, barriers_ = 0;
  Gathering gatherings_[max_block_threads / warp_size][warp_size];

  // One more than there are threads: a fiber is released only after the next one was taken.
  std::unique_ptr<Fiber> fibers_[max_block_threads + 1];
  unsigned fiber_count_ = 0;
  Fiber host_, *fiber_ = &host_, *free_ = nullptr;

  // ThreadSanitizer's. Barriers take turns with two: a thread may arrive at the next one before others have
  // left this one.
  void* host_identity_ = nullptr;
  char launch_order_ = 0, fence_order_ = 0, barrier_order_[2]{}, warp_order_[max_block_threads / warp_size]{};
};

inline void Machine::check_shape(dim3 grid, dim3 block, std::size_t dynamic_shared) {
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  Text why;
  if (threads == 0 || threads > max_block_threads || block.x > 1024 || block.y > 1024 || block.z > 64) {
    why.add("a block may be 1024 x 1024 x 64, of 1 to 1024 threads");
  } else if (!grid.x || !grid.y || !grid.z || grid.x > 0x7FFFFFFFu || grid.y > 65535 || grid.z > 65535) {
    why.add("a grid may be 2147483647 x 65535 x 65535, each at least 1");
  } else if (dynamic_shared > SharedMemory::limit) {
    why.add("a block may have %zu bytes of shared memory", SharedMemory::limit);
  } else {
    return;
  }
  Text text;
  text.add("kfer::simt: launch of grid (%u,%u,%u), block (%u,%u,%u), %zu bytes of shared memory: %s", grid.x,
           grid.y, grid.z, block.x, block.y, block.z, dynamic_shared, why.c_str());
  throw LaunchError(text.c_str());
}

KFER_SIMT_RAW inline void Machine::run_grid(dim3 grid, dim3 block, std::size_t dynamic_shared,
                                            const Kernel& kernel) {
  kernel_ = &kernel;
  gridDim = grid;
  blockDim = block;
  block_threads_ = block.x * block.y * block.z;
  failure_.clear();
  random_.seed(config.seed);
  shared_.start_launch(dynamic_shared);
  for (unsigned i = 0; i < block_threads_; ++i) {
    threads_[i].index = {i % block.x, i / block.x % block.y, i / block.x / block.y};
    if (!threads_[i].identity) threads_[i].identity = new_identity();
    name_identity(threads_[i].identity, threads_[i].index.x, threads_[i].index.y, threads_[i].index.z);
    if (thread_sanitizer && !threads_[i].own) threads_[i].own = &new_fiber();
  }
  host_identity_ = current_identity();
  order_host_before_threads();
  in_kernel_ = true;

  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  BlockOrder order(config.order, blocks, random_);
  for (std::uint64_t i = 0; i < blocks && failure_.empty(); ++i) {
    const std::uint64_t at = order.next();
    blockIdx = {static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
                static_cast<unsigned>(at / grid.x / grid.y)};
    if (config.only_block && (blockIdx.x != config.only_block->x || blockIdx.y != config.only_block->y ||
                              blockIdx.z != config.only_block->z)) {
      continue;
    }
    run_block();
  }

  in_kernel_ = false;
  order_threads_before_host();
  if (!failure_.empty()) {
    abandon_fibers();
    throw Error(failure_.c_str());
  }
}

KFER_SIMT_RAW inline void Machine::run_block() {
  ++stats.blocks;
  stats.threads += block_threads_;
  live_ = block_threads_;
  arrived_ = 0;
  // Blocks share memory one after the other. ThreadSanitizer is told that one ends before the next begins, or
  // else gives every block memory of its own.
  if (!thread_sanitizer) {
    shared_.start_block();
  } else if (!config.race_check_between_blocks || !shared_.start_block_elsewhere()) {
    if (!config.race_check_between_blocks) shared_.start_block();
    order_threads_before_host();
    order_host_before_threads();
  }
  for (auto& warp : gatherings_) {
    for (Gathering& g : warp) g.open = false;
  }
  ready_.clear();
  for (unsigned i = 0; i < block_threads_; ++i) {
    threads_[i].state = State::fresh;
    threads_[i].site = {};
    ready_.push(config.order == Order::reverse ? block_threads_ - 1 - i : i);
  }
  current_ = next_thread();
  switch_to(take_fiber(*current_));
  fiber_ = &host_;
  current_ = nullptr;
}

/// After a failure. What the suspended threads had on their stacks is dropped without destructors; kernels
/// have none that matter.
KFER_SIMT_RAW inline void Machine::abandon_fibers() {
  free_ = nullptr;
  for (unsigned i = 0; i < fiber_count_; ++i) {
    fibers_[i]->restart();
    release_fiber(*fibers_[i]);
  }
  for (Thread& thread : threads_) {  // their stacks of calls, as ThreadSanitizer sees them, are stale
    if (thread.identity) drop_identity(thread.identity);
    thread.identity = nullptr;
  }
}

KFER_SIMT_RAW inline void Machine::order_host_before_threads() {
  if (!thread_sanitizer) return;
  happens_before(&launch_order_);
  for (unsigned i = 0; i < block_threads_; ++i) {
    act_as(threads_[i].identity);
    happens_after(&launch_order_);
  }
  act_as(host_identity_);
}

KFER_SIMT_RAW inline void Machine::order_threads_before_host() {
  if (!thread_sanitizer) return;
  for (unsigned i = 0; i < block_threads_; ++i) {
    act_as(threads_[i].identity);
    happens_before(&launch_order_);
  }
  act_as(host_identity_);
  happens_after(&launch_order_);
}

KFER_SIMT_RAW inline void Machine::finish_barrier() {
  const Thread* first = nullptr;
  unsigned votes = 0;
  for (unsigned i = 0; i < block_threads_; ++i) {
    const Thread& thread = threads_[i];
    if (thread.state == State::done) {
      if (!config.exited_threads_may_miss_barriers) fail_exited(thread);
      continue;
    }
    if (!first) first = &thread;
    if (!same_place(thread, *first)) {
      Text text;
      text.add("barrier divergence: ");
      add_place(text, *first);
      text.add(" meets ");
      add_place(text, thread);
      fail(text, nullptr);
    }
    votes += thread.argument != 0;
  }
  const unsigned result = first->op == Op::barrier_and  ? votes == live_
                          : first->op == Op::barrier_or ? votes > 0
                                                        : votes;
  arrived_ = 0;
  ++barriers_;
  for (unsigned i = 0; i < block_threads_; ++i) {
    Thread& thread = threads_[config.order == Order::reverse ? block_threads_ - 1 - i : i];
    if (thread.state == State::done) continue;
    thread.taken[0] = result;
    make_ready(thread);
  }
}

[[noreturn]] KFER_SIMT_RAW inline void Machine::fail_exited(const Thread& exited) {
  Text text;
  text.add("a thread exited while %u wait at a barrier: ", arrived_);
  for (unsigned i = 0; i < block_threads_; ++i) {
    if (threads_[i].state == State::waiting && threads_[i].op <= Op::barrier_or) {
      add_place(text, threads_[i]);
      break;
    }
  }
  fail(text, &exited);
}

[[noreturn]] KFER_SIMT_RAW inline void Machine::fail_stuck() {
  struct Group {
    const Thread* one;
    unsigned count;
  } groups[6];
  unsigned group_count = 0, elsewhere = 0;
  for (unsigned i = 0; i < block_threads_; ++i) {
    const Thread& thread = threads_[i];
    if (thread.state == State::done) continue;
    unsigned g = 0;
    while (g < group_count && !same_place(*groups[g].one, thread)) ++g;
    if (g < group_count)
      ++groups[g].count;
    else if (g < 6)
      groups[group_count++] = {&thread, 1};
    else
      ++elsewhere;
  }
  Text text;
  text.add("divergent synchronisation, no thread of block (%u,%u,%u) can go on:", blockIdx.x, blockIdx.y,
           blockIdx.z);
  for (unsigned g = 0; g < group_count; ++g) {
    const Thread& one = *groups[g].one;
    text.add(" %u at %s %s:%u;", groups[g].count, name(one.op), one.site.file, one.site.line);
  }
  text.add(" %u elsewhere; %u exited", elsewhere, block_threads_ - live_);
  fail(text, nullptr);
}

}  // namespace detail
}  // namespace kfer::simt
