// How the executor runs the launches that follow, and what it counted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "sanitizers.hpp"
#include "types.hpp"

namespace kfer::simt {

/// A bug that the executor found in a kernel, or in a launch of one. The machine stays usable.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A launch that a GPU would refuse.
struct LaunchError : Error {
  using Error::Error;
};

/// Which of the threads that can go on does so, and which block comes next.
enum class Order { forward, reverse, random };

struct Config {
  Order order = Order::random;
  /// Of Order::random: the same seed gives the same schedule.
  std::uint64_t seed = 1;
  /// A thread that has left the kernel counts as having arrived at every later barrier. GPUs have it so since
  /// Volta; it is more often a bug than meant.
  bool exited_threads_may_miss_barriers = false;
  /// ThreadSanitizer also reports races between two blocks of a launch. Shared memory must be KFER_SHARED.
  bool race_check_between_blocks = false;
  /// Runs this block of every grid and no other: for a debugger.
  std::optional<uint3> only_block;
  /// Of each fiber, when it is first made.
  std::size_t stack_bytes = detail::address_sanitizer || detail::thread_sanitizer ? 512 << 10 : 64 << 10;

  /// The defaults, as changed by KFER_SIMT_ORDER (forward, reverse, random), KFER_SIMT_SEED (a number) and
  /// KFER_SIMT_BLOCK (x or x,y or x,y,z). Throws std::invalid_argument on any other value.
  static Config from_environment();
};

inline Config Config::from_environment() {
  Config config;
  const auto refuse = [](const char* name, const char* expected, const char* got) {
    throw std::invalid_argument(std::string(name) + ": expected " + expected + ", got \"" + got + '"');
  };
  if (const char* order = std::getenv("KFER_SIMT_ORDER")) {
    if (!std::strcmp(order, "forward"))
      config.order = Order::forward;
    else if (!std::strcmp(order, "reverse"))
      config.order = Order::reverse;
    else if (!std::strcmp(order, "random"))
      config.order = Order::random;
    else
      refuse("KFER_SIMT_ORDER", "forward, reverse or random", order);
  }
  if (const char* seed = std::getenv("KFER_SIMT_SEED")) {
    char* end = nullptr;
    config.seed = std::strtoull(seed, &end, 10);
    if (end == seed || *end) refuse("KFER_SIMT_SEED", "a number", seed);
  }
  if (const char* block = std::getenv("KFER_SIMT_BLOCK")) {
    unsigned at[3]{};
    const char* next = block;
    for (unsigned& extent : at) {
      char* end = nullptr;
      extent = static_cast<unsigned>(std::strtoul(next, &end, 10));
      if (end == next) refuse("KFER_SIMT_BLOCK", "x or x,y or x,y,z", block);
      next = end;
      if (*next != ',') break;
      ++next;
    }
    if (*next) refuse("KFER_SIMT_BLOCK", "x or x,y or x,y,z", block);
    config.only_block = uint3{at[0], at[1], at[2]};
  }
  return config;
}

/// Counts since the program's start, or since the caller last set them to {}.
struct Stats {
  std::uint64_t threads = 0, blocks = 0, switches = 0, barriers = 0, warp_ops = 0;
};

/// Change between launches, not in one.
inline Config config = Config::from_environment();
inline Stats stats;

}  // namespace kfer::simt
