// What is kept with a tensor's elements lives as long as they stay as they are.
#include <doctest/doctest.h>

#include <thread>

#include "kfer/tensor/create.hpp"
#include "kfer/tensor/relayout.hpp"

using namespace kfer;

namespace {

/// The sum of the elements, and how often it was computed.
struct Sums {
  int made = 0;
  float operator()(const Tensor<float>& x, int key = 0) {
    return *x.derived<float>(key, [&] {
      ++made;
      float sum = 0;
      for (const float v : x.to_vector()) sum += v;
      return sum;
    });
  }
};

}  // namespace

TEST_CASE("a derived value is made once, for all owners, until one of them writes") {
  Sums sum;
  Tensor<float> a({4}, {1, 2, 3, 4});
  CHECK(sum(a) == 10);
  Tensor<float> b = a;
  CHECK(sum(b) == 10);
  CHECK(sum.made == 1);
  b.mutable_data()[0] = 5;  // b gets its own memory
  CHECK(sum(b) == 14);
  CHECK(sum(a) == 10);
  CHECK(sum.made == 2);
  a.mutable_data()[3] = 0;  // a is alone by now
  CHECK(sum(a) == 6);
  CHECK(sum.made == 3);
  b = a;
  CHECK(sum(b) == 6);
  CHECK(sum.made == 3);
}

TEST_CASE("keys, types and views tell derived values apart") {
  Sums sum;
  const Tensor<float> a({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(sum(a, 1) == 21);
  CHECK(sum(a, 2) == 21);
  CHECK(sum.made == 2);
  CHECK(*a.derived<double>(2, [] { return 0.5; }) == 0.5);
  const auto kept = a.derived<float>(7, [] { return 7.f; });
  CHECK(sum(a.narrow(1, 1), 7) == 15);
  CHECK(sum(a.narrow(0, 1), 7) == 6);
  CHECK(*kept == 7);  // outlives its place
  CHECK(sum(a.reshape({3, 2}), 7) == 21);
  CHECK(sum.made == 5);
  CHECK(*Tensor<float>().derived<int>(0, [] { return 3; }) == 3);
}

TEST_CASE("threads that ask at once get the same value") {
  const Tensor<float> a = full<float, Cpu>({1000}, 0.5f);
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      Sums sum;
      for (int i = 0; i < 200; ++i) wrong[t] += sum(a, i / 50 % 2) != 500;
    });
  for (auto& thread : threads) thread.join();
  for (const int w : wrong) CHECK(w == 0);
}
