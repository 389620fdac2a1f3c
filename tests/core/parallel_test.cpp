#include "kfer/core/parallel.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

using namespace kfer;

namespace {
/// Sets the number of threads, and back at the end.
class Threads {
 public:
  explicit Threads(int n) : before_(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before_); }

 private:
  int before_;
};
}  // namespace

TEST_CASE("ranges cover everything once, in multiples of the grain") {
  for (const int threads : {1, 2, 3, 7}) {
    const Threads set(threads);
    for (const std::int64_t n : {0, 1, 2, 5, 17, 64, 1000, 1009})
      for (const std::int64_t grain : {1, 2, 8, 16, 1000, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        std::atomic<bool> right = true;
        parallel_ranges(n, grain, [&](int thread, std::int64_t begin, std::int64_t end) {
          if (thread < 0 || thread >= threads || begin % grain || (end % grain && end != n) || begin >= end)
            right = false;
          for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
        });
        CHECK(right);
        bool once = true;
        for (const auto& count : seen) once = once && count == 1;
        CHECK(once);
      }
  }
}

TEST_CASE("nothing is called for nothing, and a grain larger than all work is one range") {
  int calls = 0;
  parallel_ranges(0, 1, [&](int, std::int64_t, std::int64_t) { ++calls; });
  parallel_ranges(-5, 1, [&](int, std::int64_t, std::int64_t) { ++calls; });
  CHECK(calls == 0);
  parallel_ranges(100, std::numeric_limits<std::int64_t>::max(),
                  [&](int, std::int64_t begin, std::int64_t end) {
                    ++calls;
                    CHECK(begin == 0);
                    CHECK(end == 100);
                  });
  CHECK(calls == 1);
}

TEST_CASE("a loop inside a loop runs on its own thread, whole") {
  const Threads set(3);
  std::atomic<int> sum = 0;
  parallel_for(6,
               [&](std::int64_t) { parallel_for(10, [&](std::int64_t i) { sum += static_cast<int>(i); }); });
  CHECK(sum == 6 * 45);
}

TEST_CASE("an exception of a body reaches the caller, and the next loop runs") {
  for (const int threads : {1, 2, 4}) {
    const Threads set(threads);
    CHECK_THROWS_WITH_AS(parallel_for(100,
                                      [](std::int64_t i) {
                                        if (i == 77) throw std::runtime_error("at 77");
                                      }),
                         "at 77", std::runtime_error);
    CHECK_THROWS_AS(parallel_for(100, [](std::int64_t) { throw std::runtime_error("everywhere"); }),
                    std::runtime_error);
    std::atomic<int> calls = 0;
    parallel_for(100, [&](std::int64_t) { ++calls; });
    CHECK(calls == 100);
  }
}

TEST_CASE("the number of threads is at least one") {
  const Threads set(0);
  CHECK(num_threads() == 1);
}
