// A caching allocator: large slabs of raw memory, cut into blocks that are reused.
//
// It knows nothing of CUDA (the raw allocator is a template parameter), so that all of it is tested on the
// host.
//
// Memory belongs to pools. A block that is freed goes back to its pool, at once and without asking whether
// the device is done with it; so whoever takes blocks of one pool must use them in order: a stream, or a
// captured graph, which replays on the same addresses again and again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "kfer/core/error.hpp"

namespace kfer::cuda {

/// Bytes, rounded up to blocks, of every pool together.
struct MemoryStatistics {
  std::size_t in_use = 0;       ///< handed out now
  std::size_t peak = 0;         ///< the most ever handed out
  std::size_t reserved = 0;     ///< held in slabs: in use and kept for reuse
  std::size_t slabs = 0;        ///< how many
  std::size_t allocations = 0;  ///< ever handed out
  std::size_t raw_calls = 0;    ///< slabs ever asked for

  std::size_t kept() const { return reserved - in_use; }
};

/// `Raw`: `void* allocate(bytes)` (null: out of memory), `void free(void*) noexcept` (waits until the device
/// is done with the memory), and `std::string state()`, how the device's memory stands, for the error
/// message. Thread-safe.
template <class Raw>
class CachingAllocator {
  struct Block;
  struct BySize {
    using is_transparent = void;
    bool operator()(const Block* a, const Block* b) const {
      return a->bytes != b->bytes ? a->bytes < b->bytes : a->begin < b->begin;
    }
    bool operator()(const Block* a, std::size_t bytes) const { return a->bytes < bytes; }
    bool operator()(std::size_t bytes, const Block* b) const { return bytes < b->bytes; }
  };
  using FreeBlocks = std::set<Block*, BySize>;

  /// Small and large blocks live in slabs of their own: a small one never splits what a large one needs.
  struct Pool {
    FreeBlocks small, large;
    std::size_t slabs = 0;
    bool held = false;     ///< its free memory must stay what it is, too: a graph will write to it again
    bool retired = false;  ///< its slabs leave as soon as they are free
  };

  /// A piece of a slab. Neighbours of one slab are chained; no two free ones touch.
  struct Block {
    char* begin = nullptr;
    std::size_t bytes = 0;
    Block *before = nullptr, *after = nullptr;
    Pool* pool = nullptr;
    bool small = false, free = false;
    typename FreeBlocks::node_type
        place;  ///< of a block in use: its node of the free list, so freeing needs no memory

    bool whole_slab() const { return !before && !after; }
  };

 public:
  static constexpr std::size_t granularity = 512;
  static constexpr std::size_t small_limit = std::size_t{1} << 20;  ///< of a block from the small slabs
  static constexpr std::size_t small_slab = std::size_t{2} << 20;
  static constexpr std::size_t large_slab = std::size_t{32}
                                            << 20;  ///< the smallest; a larger block has its own
  static constexpr std::size_t slab_step = std::size_t{2} << 20;
  static constexpr std::size_t most = PTRDIFF_MAX - slab_step;  ///< bytes of one block

  using PoolId = std::uint64_t;

  /// `keep`: whether free memory is kept at all. Memory of held pools always is.
  explicit CachingAllocator(Raw raw = {}, bool keep = true) : raw_(std::move(raw)), keep_(keep) {}
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;
  /// Returns every slab, blocks in use included.
  ~CachingAllocator() {
    for (auto& [address, block] : live_) put_back(block);
    for (auto& [id, pool] : pools_) drop_free_slabs(pool);
  }

  /// `held`: free memory of the pool is never given to the raw allocator before the pool is retired.
  PoolId create_pool(bool held = false) {
    const std::lock_guard lock(mutex_);
    pools_.try_emplace(++last_pool_).first->second.held = held;
    return last_pool_;
  }

  /// Gives back the pool's free slabs; the others follow with their last block. Nothing can be allocated from
  /// it any more.
  void retire_pool(PoolId id) noexcept {
    const std::lock_guard lock(mutex_);
    const auto it = pools_.find(id);
    if (it == pools_.end()) return;
    it->second.retired = true;
    drop_free_slabs(it->second);
    forget_if_empty(it->second);
  }

  /// At least `bytes` bytes, aligned to `granularity` bytes relative to the raw memory; of no bytes too.
  ///
  /// Throws OutOfMemoryError, after all memory kept for reuse was given back (if that `may_release`) and the
  /// raw allocator asked once more; everything stays usable.
  void* allocate(std::size_t bytes, PoolId id, bool may_release = true) {
    const std::lock_guard lock(mutex_);
    require<OutOfMemoryError>(bytes <= most, out_of_memory(bytes));
    Pool& pool = pool_of(id);
    const std::size_t size = std::max(round_up(bytes, granularity), granularity);
    const bool small = size <= small_limit;
    FreeBlocks& list = small ? pool.small : pool.large;
    const auto fit = list.lower_bound(size);  // the smallest that is large enough
    Block* block = fit != list.end() ? *fit : new_slab(pool, size, small, bytes, may_release);
    cut(*block, size);
    live_.emplace(block->begin, block);  // the last thing that may throw; the block is still free
    block->place = list.extract(block);
    block->free = false;
    statistics_.in_use += block->bytes;
    statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
    ++statistics_.allocations;
    return block->begin;
  }

  /// Gives a block back to its pool. Null is allowed.
  void deallocate(void* address) noexcept {
    const std::lock_guard lock(mutex_);
    const auto it = live_.find(address);
    if (it == live_.end()) return;
    Block* block = it->second;
    live_.erase(it);
    Pool& pool = *block->pool;
    statistics_.in_use -= block->bytes;
    block = put_back(block);
    if (block->whole_slab() && (pool.retired || !(keep_ || pool.held))) {
      drop_slab(block);
      forget_if_empty(pool);
    }
  }

  /// Gives every free slab back to the raw allocator, except those of held pools.
  void release() noexcept {
    const std::lock_guard lock(mutex_);
    release_locked();
  }

  /// Whether a block in use is the pool's. False for what is no block in use.
  bool is_of(PoolId id, void* address) const {
    const std::lock_guard lock(mutex_);
    const auto block = live_.find(address);
    const auto pool = pools_.find(id);
    return block != live_.end() && pool != pools_.end() && block->second->pool == &pool->second;
  }

  MemoryStatistics statistics() const {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }
  /// Counts the peak anew from what is in use.
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    statistics_.peak = statistics_.in_use;
  }

  Raw& raw() { return raw_; }

 private:
  static std::size_t round_up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

  static FreeBlocks& list_of(const Block& block) {
    return block.small ? block.pool->small : block.pool->large;
  }

  Pool& pool_of(PoolId id) {
    const auto it = pools_.find(id);
    require(it != pools_.end() && !it->second.retired, "allocation from memory pool ", id,
            ", which does not exist (any more)");
    return it->second;
  }

  std::string out_of_memory(std::size_t bytes) {
    return text("cannot allocate ", bytes, " bytes (", statistics_.in_use, " bytes in use, ",
                statistics_.kept(), " kept for reuse; ", raw_.state(), ')');
  }

  /// A fresh free block that is a slab of its own. `asked`: for the message.
  Block* new_slab(Pool& pool, std::size_t size, bool small, std::size_t asked, bool may_release) {
    std::size_t bytes = size;  // without reuse, a slab is one block
    if (keep_ || pool.held) bytes = small ? small_slab : std::max(round_up(size, slab_step), large_slab);
    auto block = std::make_unique<Block>();
    FreeBlocks& list = small ? pool.small : pool.large;
    ++statistics_.raw_calls;
    void* memory = raw_.allocate(bytes);
    if (!memory && may_release) {
      release_locked();
      memory = raw_.allocate(bytes);
    }
    if (!memory && bytes > size) {  // the slab's spare part may be what is too much
      bytes = size;
      memory = raw_.allocate(bytes);
    }
    require<OutOfMemoryError>(memory != nullptr, out_of_memory(asked));
    block->begin = static_cast<char*>(memory);
    block->bytes = bytes;
    block->pool = &pool;
    block->small = small;
    block->free = true;
    try {
      list.insert(block.get());
    } catch (...) {
      raw_.free(memory);
      throw;
    }
    ++pool.slabs;
    ++statistics_.slabs;
    statistics_.reserved += bytes;
    return block.release();
  }

  /// Cuts what a free block has beyond `size` off, if that is worth a block.
  void cut(Block& block, std::size_t size) {
    const std::size_t rest = block.bytes - size;
    if (rest < granularity || (!block.small && rest <= small_limit)) return;
    FreeBlocks& list = list_of(block);
    auto tail = std::make_unique<Block>();
    tail->begin = block.begin + size;
    tail->bytes = rest;
    tail->before = &block;
    tail->after = block.after;
    tail->pool = block.pool;
    tail->small = block.small;
    tail->free = true;
    list.insert(tail.get());  // the last thing that may throw
    auto node = list.extract(&block);
    block.bytes = size;
    if (block.after) block.after->before = tail.get();
    block.after = tail.release();
    list.insert(std::move(node));
  }

  /// Makes a block free and merges it with its free neighbours; the block that it is now part of.
  static Block* put_back(Block* block) noexcept {
    FreeBlocks& list = list_of(*block);
    auto node = std::move(block->place);
    if (block->before && block->before->free) {
      block = block->before;
      list.erase(block);
      swallow_next(*block);
    }
    if (block->after && block->after->free) {
      list.erase(block->after);
      swallow_next(*block);
    }
    block->free = true;
    node.value() = block;
    list.insert(std::move(node));
    return block;
  }

  static void swallow_next(Block& block) noexcept {
    const std::unique_ptr<Block> next(block.after);
    block.bytes += next->bytes;
    block.after = next->after;
    if (block.after) block.after->before = &block;
  }

  /// Gives a slab that is one free block back to the raw allocator.
  void drop_slab(Block* block) noexcept {
    const std::unique_ptr<Block> owner(block);
    list_of(*block).erase(block);
    --block->pool->slabs;
    --statistics_.slabs;
    statistics_.reserved -= block->bytes;
    raw_.free(block->begin);
  }

  void drop_free_slabs(Pool& pool) noexcept {
    for (FreeBlocks* list : {&pool.small, &pool.large})
      for (auto it = list->begin(); it != list->end();) {
        Block* block = *it++;
        if (block->whole_slab()) drop_slab(block);
      }
  }

  void release_locked() noexcept {
    for (auto& [id, pool] : pools_)
      if (!pool.held || pool.retired) drop_free_slabs(pool);
  }

  void forget_if_empty(const Pool& pool) noexcept {
    if (pool.slabs == 0 && pool.retired)
      std::erase_if(pools_, [&](const auto& entry) { return &entry.second == &pool; });
  }

  mutable std::mutex mutex_;
  Raw raw_;
  bool keep_;
  PoolId last_pool_ = 0;
  std::map<PoolId, Pool> pools_;
  std::unordered_map<void*, Block*> live_;
  MemoryStatistics statistics_;
};

}  // namespace kfer::cuda
