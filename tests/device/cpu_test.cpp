#include "kfer/device/cpu.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
// An allocation that fails is what is tested here, not a bug to stop at.
extern "C" const char* __asan_default_options() {
  return "allocator_may_return_null=1";
}
#endif

using namespace kfer;

namespace {
bool cache_is_on() {
  const char* setting = std::getenv("KFER_CPU_CACHE");
  return !(setting && std::string(setting) == "0");
}
constexpr std::size_t sizes[] = {
    0, 1, 63, 64, 65, 1000, 4096, 100003, (1 << 20) - 1, 1 << 20, (3 << 20) + 17};
}  // namespace

TEST_CASE("blocks are aligned to cache lines, writable to their end, and counted") {
  const std::size_t before = Cpu::bytes_in_use();
  std::vector<Buffer<Cpu>*> blocks;
  std::size_t asked = 0;
  for (const std::size_t bytes : sizes) {
    blocks.push_back(new Buffer<Cpu>(bytes));
    REQUIRE(blocks.back()->data() != nullptr);
    CHECK(blocks.back()->bytes() == bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(blocks.back()->data()) % 64 == 0);
    std::memset(blocks.back()->data(), 0xA5, bytes);
    asked += bytes;
  }
  CHECK(Cpu::bytes_in_use() - before >= asked);
  CHECK(Cpu::bytes_in_use() - before <= asked + asked / 8 + 64 * std::size(sizes));
  CHECK(Cpu::peak_bytes() >= Cpu::bytes_in_use());
  for (auto* block : blocks) delete block;
  CHECK(Cpu::bytes_in_use() == before);
}

TEST_CASE("live blocks do not overlap") {
  std::vector<std::unique_ptr<Buffer<Cpu>>> blocks;
  for (int round = 0; round < 5; ++round)
    for (const std::size_t bytes : sizes) {
      blocks.push_back(std::make_unique<Buffer<Cpu>>(bytes));
      std::memset(blocks.back()->data(), static_cast<int>(blocks.size()), bytes);
    }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* bytes = static_cast<const unsigned char*>(blocks[i]->data());
    bool intact = true;
    for (std::size_t k = 0; k < blocks[i]->bytes(); ++k) intact = intact && bytes[k] == i + 1;
    CHECK(intact);
  }
}

TEST_CASE("a freed block is handed out again, until the cache is released") {
  if (!cache_is_on()) return;
  Cpu::release_cache();
  auto& memory = detail::CpuMemory::instance();
  CHECK(memory.kept() == 0);
  for (const std::size_t bytes : {std::size_t{1000}, std::size_t{5} << 20}) {
    void* block = Cpu::allocate(bytes);
    Cpu::deallocate(block, bytes);
    CHECK(memory.kept() >= bytes);
    void* again = Cpu::allocate(bytes - bytes / 100);  // a near size of the same bucket
    CHECK(again == block);
    CHECK(memory.kept() == 0);
    Cpu::deallocate(again, bytes - bytes / 100);
    Cpu::release_cache();
    CHECK(memory.kept() == 0);
  }
}

TEST_CASE("an allocation that cannot be is an OutOfMemoryError naming the bytes, and work goes on") {
  const std::size_t before = Cpu::bytes_in_use(), peak = Cpu::peak_bytes();
  for (const std::size_t bytes : {std::size_t{1} << 60, std::size_t{PTRDIFF_MAX}, std::size_t{1} << 63,
                                  std::numeric_limits<std::size_t>::max()}) {
    try {
      Buffer<Cpu> block(bytes);
      FAIL("no exception");
    } catch (const OutOfMemoryError& e) {
      CHECK(std::string(e.what()).find(std::to_string(bytes)) != std::string::npos);
    }
  }
  CHECK(Cpu::bytes_in_use() == before);
  CHECK(Cpu::peak_bytes() == peak);
  Buffer<Cpu> block(1 << 20);
  std::memset(block.data(), 1, block.bytes());
}

TEST_CASE("threads allocate and free at once, also each other's blocks") {
  const std::size_t before = Cpu::bytes_in_use();
  std::vector<std::thread> threads;
  std::atomic<int> broken = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t, &broken] {
      std::vector<std::unique_ptr<Buffer<Cpu>>> mine;
      for (int i = 0; i < 2000; ++i) {
        auto block = std::make_unique<Buffer<Cpu>>(static_cast<std::size_t>(1 + (i * 37 + t) % 3000));
        std::memset(block->data(), t, block->bytes());
        mine.push_back(std::move(block));
        static_cast<void>(Cpu::bytes_in_use());
        if (i % 7 == 0) {
          const auto* bytes = static_cast<const unsigned char*>(mine.front()->data());
          for (std::size_t k = 0; k < mine.front()->bytes(); ++k) broken += bytes[k] != t;
          mine.erase(mine.begin());
        }
        if (i % 500 == 0) Cpu::release_cache();
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(broken == 0);
  CHECK(Cpu::bytes_in_use() == before);
}

TEST_CASE("copies and clearing") {
  int from[3] = {1, 2, 3}, to[3] = {};
  Cpu::copy(to, from, sizeof to);
  CHECK(to[2] == 3);
  Cpu::set_zero(to, sizeof to);
  CHECK(to[2] == 0);
  Cpu::copy(nullptr, nullptr, 0);
  Cpu::set_zero(nullptr, 0);
}
