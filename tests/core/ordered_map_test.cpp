#include "kfer/core/ordered_map.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>

using kfer::OrderedMap;

namespace {

using Squares = OrderedMap<int, std::unique_ptr<int>>;  // results that can only be moved

/// 0, 1, ..., n - 1.
Squares::Source count_to(int n, std::atomic<int>* taken = nullptr) {
  return [n, i = std::make_shared<int>(0), taken]() -> std::optional<int> {
    if (taken) ++*taken;
    if (*i == n) return std::nullopt;
    return (*i)++;
  };
}

/// Squares; some take longer than those that follow.
std::unique_ptr<int> square(int i) {
  if (i % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  return std::make_unique<int>(i * i);
}

}  // namespace

TEST_CASE("results come in the order of their inputs, all of them, whatever the threads") {
  for (const int workers : {0, 1, 2, 5})
    for (const int n : {0, 1, 3, 200})
      for (const std::int64_t capacity : {1, 2, 64}) {
        CAPTURE(workers);
        CAPTURE(n);
        CAPTURE(capacity);
        Squares squares(count_to(n), square, {.workers = workers, .capacity = capacity});
        for (int i = 0; i < n; ++i) {
          const auto got = squares.next();
          REQUIRE(got);
          REQUIRE(**got == i * i);
        }
        CHECK(!squares.next());
        CHECK(!squares.next());
      }
}

TEST_CASE("no more inputs are taken than the capacity allows") {
  std::atomic<int> taken = 0;
  Squares squares(count_to(1000, &taken), square, {.workers = 3, .capacity = 8});
  for (int given = 0; given < 20; ++given) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    CHECK(taken <= given + 8);
    CHECK(squares.next());
  }
  CHECK(taken > 20);  // and it runs ahead of the consumer
}

TEST_CASE("what an input or its work throws comes when it is due, and stays") {
  const auto failing = [](int i) {
    if (i == 11) throw kfer::ValueError("eleven");
    return square(i);
  };
  const auto breaking = [] {
    return [next = count_to(100)] {
      const auto i = next();
      if (i == 11) throw kfer::ValueError("eleven");
      return i;
    };
  };
  for (const int workers : {0, 1, 4})
    for (const bool in_source : {false, true}) {
      Squares squares(in_source ? Squares::Source(breaking()) : count_to(100),
                      in_source ? Squares::Map(square) : failing, {.workers = workers, .capacity = 6});
      for (int i = 0; i < 11; ++i) REQUIRE(**squares.next() == i * i);
      CHECK_THROWS_WITH_AS(squares.next(), "eleven", kfer::ValueError);
      CHECK_THROWS_AS(squares.next(), kfer::ValueError);
    }
}

TEST_CASE("it can be left at any time") {
  for (int used = 0; used < 10; ++used) {
    std::atomic<int> working = 0;
    {
      Squares squares(count_to(1000),
                      [&](int i) {
                        ++working;
                        auto out = square(i);
                        --working;
                        return out;
                      },
                      {.workers = 3, .capacity = 5});
      for (int i = 0; i < used; ++i) squares.next();
    }
    CHECK(working == 0);
  }
  CHECK_THROWS_AS(Squares(count_to(1), square, {.workers = -1}), kfer::ValueError);
  CHECK_THROWS_AS(Squares(count_to(1), square, {.capacity = 0}), kfer::ValueError);
}
