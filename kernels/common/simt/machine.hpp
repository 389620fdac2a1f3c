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
#include <memory>
#include <mutex>

#include "config.hpp"
#include "fiber.hpp"
#include "report.hpp"
#include "sanitizers.hpp"
#include "schedule.hpp"
#include "shared.hpp"
#include "thread.hpp"
#include "types.hpp"
#include "warp.hpp"

namespace kfer::simt::detail {

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
  void run(dim3 grid, dim3 block, std::size_t dynamic_shared, const Kernel& kernel);

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
    char* order = &gathering.order[gathering.turn];
    if (op == Op::syncwarp) happens_before(order);
    me.state = Thread::State::waiting;
    if (gathering.arrived == mask) {
      gathering.open = false;
      finish_warp(op, mask, warp);
    }
    suspend();
    if (op == Op::syncwarp) happens_after(order);
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

  // ---- A launch: defined in grid.hpp ----

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
    Gathering& fresh = *unused;  // there is one: a lane is in one gathering at a time
    fresh.open = true;
    fresh.op = op;
    fresh.mask = mask;
    fresh.arrived = 0;
    fresh.turn ^= 1;
    return fresh;
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
  char launch_order_ = 0, fence_order_ = 0, barrier_order_[2]{};
};

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
  Text text;
  text.add("divergent synchronisation, no thread of block (%u,%u,%u) can go on:", blockIdx.x, blockIdx.y,
           blockIdx.z);
  add_places(text, threads_, block_threads_);
  text.add(" %u exited", block_threads_ - live_);
  fail(text, nullptr);
}

}  // namespace kfer::simt::detail
