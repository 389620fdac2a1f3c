// A launch: its limits, and the machine going through the blocks of a grid.
#pragma once

#include "machine.hpp"

namespace kfer::simt::detail {

inline void Machine::run(dim3 grid, dim3 block, std::size_t dynamic_shared, const Kernel& kernel) {
  if (in_kernel_) fail(Text().add("a launch inside a kernel"));
  check_shape(grid, block, dynamic_shared);
  const std::lock_guard lock(launching_);
  run_grid(grid, block, dynamic_shared, kernel);
}

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

}  // namespace kfer::simt::detail
