// The Cuda device's caching allocator over host memory: malloc is the device.
#include "kfer/device/cuda/memory.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <set>
#include <thread>
#include <vector>

using namespace kfer;

namespace {

/// A device of limited memory that knows every slab.
struct Host {
  struct State {
    std::size_t capacity = SIZE_MAX, used = 0;
    std::map<char*, std::size_t> slabs;
    std::set<std::size_t> sizes_asked;
  };
  State* host;

  void* allocate(std::size_t bytes) {
    host->sizes_asked.insert(bytes);
    if (bytes > host->capacity - host->used) return nullptr;
    void* memory = std::aligned_alloc(512, bytes);
    if (!memory) return nullptr;
    host->used += bytes;
    host->slabs.emplace(static_cast<char*>(memory), bytes);
    return memory;
  }
  void free(void* memory) noexcept {
    const auto slab = host->slabs.find(static_cast<char*>(memory));
    if (slab == host->slabs.end()) std::abort();  // freed twice, or never allocated
    host->used -= slab->second;
    host->slabs.erase(slab);
    std::free(memory);
  }
  std::string state() const { return text(host->capacity - host->used, " bytes free"); }
};

using Memory = cuda::CachingAllocator<Host>;
constexpr std::size_t KiB = 1024, MiB = 1024 * KiB;

std::size_t rounded(std::size_t bytes) {
  return std::max<std::size_t>((bytes + 511) / 512 * 512, 512);
}

struct Fixture {
  Host::State host;
  Memory memory{Host{&host}};
  Memory::PoolId pool = memory.create_pool();

  void* get(std::size_t bytes) { return memory.allocate(bytes, pool); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "blocks are aligned, counted, and cut from slabs of two kinds") {
  void* const a = get(1);
  void* const b = get(513);
  void* const c = get(0);
  CHECK(reinterpret_cast<std::uintptr_t>(b) % Memory::granularity == 0);
  CHECK(memory.statistics().in_use == 512 + 1024 + 512);
  CHECK(host.slabs.size() == 1);
  CHECK(host.slabs.begin()->second == 2 * MiB);
  void* const d = get(MiB + 1);
  CHECK(host.slabs.size() == 2);
  CHECK(host.used == 2 * MiB + 32 * MiB);
  void* const e = get(100 * MiB + 1);  // larger than the usual slab: one of its own
  CHECK(host.used == 2 * MiB + 32 * MiB + 102 * MiB);
  const auto s = memory.statistics();
  CHECK(s.reserved == host.used);
  CHECK(s.slabs == 3);
  CHECK(s.allocations == 5);
  CHECK(s.in_use == 2048 + rounded(MiB + 1) + rounded(100 * MiB + 1));
  for (void* block : {a, b, c, d, e}) memory.deallocate(block);
  CHECK(memory.statistics().in_use == 0);
  CHECK(memory.statistics().peak == s.in_use);
  memory.reset_peak();
  CHECK(memory.statistics().peak == 0);
  CHECK(memory.statistics().kept() == host.used);
  memory.release();
  CHECK(host.slabs.empty());
  CHECK(memory.statistics().reserved == 0);
}

TEST_CASE_FIXTURE(Fixture, "a freed block is the next one of its size, and the best fit is taken") {
  std::vector<void*> blocks;
  for (const std::size_t size : {4 * KiB, 512ul, 2 * KiB, 512ul, 8 * KiB, 512ul}) blocks.push_back(get(size));
  memory.deallocate(blocks[0]);
  memory.deallocate(blocks[2]);
  memory.deallocate(blocks[4]);
  CHECK(get(2 * KiB) == blocks[2]);
  CHECK(get(3 * KiB) == blocks[0]);  // of 4 KiB: 1 KiB is cut off
  CHECK(get(1 * KiB) == static_cast<char*>(blocks[0]) + 3 * KiB);
  CHECK(get(5 * KiB) == blocks[4]);
  CHECK(host.slabs.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a large block keeps a rest that is too small for any other") {
  void* const a = get(32 * MiB - 1 * MiB);
  CHECK(memory.statistics().in_use == 32 * MiB);
  memory.deallocate(a);
  void* const b = get(32 * MiB - 1 * MiB - 512);
  CHECK(memory.statistics().in_use == 31 * MiB - 512);
  CHECK(a == b);
  memory.deallocate(b);
  CHECK(memory.statistics().in_use == 0);
}

TEST_CASE_FIXTURE(Fixture, "neighbours merge in every order of freeing") {
  std::vector<int> order{0, 1, 2, 3};
  do {
    void* blocks[4];
    for (auto& block : blocks) block = get(512 * KiB);  // together one small slab
    for (const int i : order) memory.deallocate(blocks[i]);
    void* const whole = get(MiB);
    void* const rest = get(MiB);  // two halves of a slab that is whole again
    CHECK(host.slabs.size() == 1);
    memory.deallocate(whole);
    memory.deallocate(rest);
  } while (std::next_permutation(order.begin(), order.end()));
  memory.release();
  CHECK(host.slabs.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "random use agrees with a model: no overlap, exact counts, whole slabs at the end") {
  struct Live {
    std::size_t bytes;
    unsigned char mark;
    Memory::PoolId pool;
  };
  std::mt19937 random(20240607);
  const Memory::PoolId pools[] = {pool, memory.create_pool(), memory.create_pool(true)};
  std::map<char*, Live> live;
  std::map<Memory::PoolId, std::map<char*, std::size_t>> slabs_of;  // slabs that a pool ever used
  std::size_t in_use = 0, peak = 0;
  bool disjoint = true, inside = true, intact = true, isolated = true;
  const auto slab_of = [&](char* p) { return std::prev(host.slabs.upper_bound(p)); };
  for (int step = 0; step < 20000; ++step) {
    if (live.empty() || random() % 100 < (step < 10000 ? 55u : 45u)) {
      // Mostly small, some large, a few huge.
      const unsigned kind = random() % 100;
      const std::size_t bytes = kind < 80   ? random() % 20000
                                : kind < 98 ? random() % (3 * MiB)
                                            : random() % (40 * MiB);
      const auto id = pools[random() % 3];
      if (in_use > 600 * MiB && bytes > MiB) continue;
      const std::size_t before = memory.statistics().in_use;
      char* p = static_cast<char*>(memory.allocate(bytes, id));
      const std::size_t got = memory.statistics().in_use - before;
      REQUIRE(got >= rounded(bytes));
      CHECK_MESSAGE(got <= rounded(bytes) + MiB, bytes);
      in_use += got;
      peak = std::max(peak, in_use);
      const auto next = live.lower_bound(p);
      disjoint = disjoint && (next == live.end() || p + got <= next->first) &&
                 (next == live.begin() || std::prev(next)->first + std::prev(next)->second.bytes <= p);
      const auto slab = slab_of(p);
      inside = inside && p >= slab->first && p + got <= slab->first + slab->second;
      for (const auto& [other, slabs] : slabs_of)
        isolated = isolated && (other == id || !slabs.count(slab->first));
      slabs_of[id][slab->first] = slab->second;
      const auto mark = static_cast<unsigned char>(random());
      std::memset(p, mark, std::min<std::size_t>(bytes, 256));
      live.emplace(p, Live{got, mark, id});
    } else {
      auto it =
          live.lower_bound(std::next(live.begin(), random() % std::min<std::size_t>(live.size(), 50))->first);
      const auto& [p, block] = *it;
      CHECK(memory.is_of(block.pool, p));
      if (block.bytes > 512) intact = intact && static_cast<unsigned char>(*p) == block.mark;
      memory.deallocate(p);
      in_use -= block.bytes;
      live.erase(it);
    }
    if (step % 1000 == 999) {
      memory.release();
      for (auto& [id, slabs] : slabs_of)
        std::erase_if(slabs, [&](auto& s) { return !host.slabs.count(s.first); });
    }
    if (memory.statistics().in_use != in_use)
      FAIL("step ", step, ": ", memory.statistics().in_use, " != ", in_use);
  }
  CHECK(disjoint);
  CHECK(inside);
  CHECK(intact);
  CHECK(isolated);
  CHECK(memory.statistics().peak == peak);
  CHECK(memory.statistics().reserved == host.used);
  CHECK(memory.statistics().slabs == host.slabs.size());
  for (const auto& [p, block] : live) memory.deallocate(p);
  CHECK(memory.statistics().in_use == 0);
  // Every slab is one free block again: all of them can be returned, those of the held pool once it is
  // retired.
  memory.release();
  CHECK(host.slabs.size() == slabs_of[pools[2]].size());
  memory.retire_pool(pools[2]);
  CHECK(host.slabs.empty());
  CHECK(host.used == 0);
}

TEST_CASE_FIXTURE(Fixture, "a pool takes nothing from another, and a freed block returns to its own") {
  const auto other = memory.create_pool();
  void* const a = get(4 * KiB);
  memory.deallocate(a);
  void* const b = memory.allocate(4 * KiB, other);
  CHECK(host.slabs.size() == 2);
  CHECK(a != b);
  CHECK(memory.is_of(other, b));
  CHECK_FALSE(memory.is_of(pool, b));
  CHECK_FALSE(memory.is_of(other, a));  // not in use
  memory.deallocate(b);
  CHECK(get(4 * KiB) == a);
  CHECK(memory.allocate(4 * KiB, other) == b);
}

TEST_CASE_FIXTURE(
    Fixture,
    "the memory of a held pool stays until the pool is retired, and then until its last block is freed") {
  const auto graph = memory.create_pool(true);
  void* const a = memory.allocate(5 * MiB, graph);
  void* const b = memory.allocate(100, graph);
  memory.deallocate(a);
  memory.release();
  CHECK(host.slabs.size() == 2);
  memory.retire_pool(graph);
  CHECK(host.slabs.size() == 1);  // the one where b is
  CHECK(static_cast<char*>(b) >= host.slabs.begin()->first);
  CHECK_THROWS_AS(memory.allocate(1, graph), ValueError);
  std::memset(b, 1, 100);
  memory.deallocate(b);
  CHECK(host.slabs.empty());
  CHECK_THROWS_AS(memory.allocate(1, graph), ValueError);
  memory.retire_pool(graph);  // nothing to do
  CHECK(memory.statistics().in_use == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "out of memory: what is kept is given back first, and what fails leaves all usable") {
  host.capacity = 100 * MiB;
  void* const a = get(40 * MiB);
  void* const b = get(40 * MiB);
  memory.deallocate(a);
  memory.deallocate(b);
  CHECK(host.used == 80 * MiB);
  void* const c = get(60 * MiB);  // only fits after the other two are gone
  CHECK(host.used == 60 * MiB);
  const auto held = memory.create_pool(true);
  memory.deallocate(memory.allocate(32 * MiB, held));
  try {
    get(50 * MiB);
    FAIL("no exception");
  } catch (const OutOfMemoryError& e) {
    const std::string message = e.what();
    CHECK(message.find(text("cannot allocate ", 50 * MiB, " bytes")) != std::string::npos);
    CHECK(message.find(text(60 * MiB, " bytes in use")) != std::string::npos);
    CHECK(message.find(text(32 * MiB, " kept")) != std::string::npos);
    CHECK(message.find(text(8 * MiB, " bytes free")) != std::string::npos);
  }
  CHECK(memory.statistics().in_use == 60 * MiB);
  void* const d = get(6 * MiB);  // less than a slab is left: then a slab of just that size
  CHECK(host.used == 98 * MiB);
  std::memset(d, 1, 6 * MiB);
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 2, SIZE_MAX / 2 + 1, std::size_t{1} << 60})
    CHECK_THROWS_AS(get(bytes), OutOfMemoryError);
  memory.deallocate(c);
  memory.deallocate(d);
  void* const e = get(60 * MiB);
  std::memset(e, 1, 60 * MiB);
  memory.deallocate(e);
  CHECK(memory.statistics().in_use == 0);
}

TEST_CASE("without keeping, every block is the raw allocator's, except in held pools") {
  Host::State host;
  Memory memory(Host{&host}, false);
  const auto pool = memory.create_pool(), held = memory.create_pool(true);
  void* const a = memory.allocate(100, pool);
  void* const b = memory.allocate(5 * MiB, pool);
  CHECK(host.slabs.size() == 2);
  CHECK(host.used == 512 + 5 * MiB);
  memory.deallocate(a);
  memory.deallocate(b);
  CHECK(host.used == 0);
  memory.deallocate(memory.allocate(100, held));
  CHECK(host.used == 2 * MiB);
  memory.release();
  CHECK(host.used == 2 * MiB);
}

TEST_CASE("blocks still in use when the allocator goes are returned with it") {
  Host::State host;
  {
    Memory memory(Host{&host});
    const auto pool = memory.create_pool(), held = memory.create_pool(true);
    for (int i = 0; i < 10; ++i) {
      memory.allocate(1000, pool);
      memory.deallocate(memory.allocate(3 * MiB, held));
    }
    memory.deallocate(nullptr);
    CHECK(host.used > 0);
  }
  CHECK(host.used == 0);
}

TEST_CASE_FIXTURE(Fixture, "threads allocate and free at once") {
  std::vector<std::thread> threads;
  std::vector<int> broken(4, 0);
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      std::vector<std::pair<unsigned char*, std::size_t>> mine;
      for (int i = 0; i < 3000; ++i) {
        if (mine.size() < 20 || random() % 2) {
          const std::size_t bytes = 1 + random() % (i % 100 ? 5000 : 2 * MiB);
          mine.emplace_back(static_cast<unsigned char*>(get(bytes)), bytes);
          mine.back().first[0] = mine.back().first[bytes - 1] = static_cast<unsigned char>(t);
        } else {
          const auto [p, bytes] = mine.back();
          broken[t] += p[0] != t || p[bytes - 1] != t;
          mine.pop_back();
          memory.deallocate(p);
        }
        if (i % 500 == 0) memory.release();
      }
      for (const auto& block : mine) memory.deallocate(block.first);
    });
  for (auto& thread : threads) thread.join();
  CHECK(broken == std::vector<int>(4, 0));
  CHECK(memory.statistics().in_use == 0);
  memory.release();
  CHECK(host.used == 0);
}
