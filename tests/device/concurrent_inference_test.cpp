// One model, warmed up, serves several threads at once.
#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "kfer/kfer.hpp"

using namespace kfer;

namespace {

struct Net {
  Conv2d<> conv1, conv2;
  Linear<> hidden, head;

  explicit Net(RandomStream& random)
      : conv1(3, 16, 5, random, {.padding = 2, .relu = true}),
        conv2(16, 24, 3, random, {.padding = 1, .relu = true}),
        hidden(24 * 8 * 8, 32, random, {.relu = true}),
        head(32, 7, random) {}

  Variable<float> operator()(const Variable<float>& x) const {
    auto y = max_pool2d(conv2(max_pool2d(conv1(x), {.kernel = 2})), {.kernel = 2});
    return head(hidden(flatten(y)));
  }
};

}  // namespace

TEST_CASE("two threads run one model at once and get what one thread gets") {
  RandomStream random{.seed = 11, .stream = 0};
  const Net net(random);
  constexpr std::size_t inputs = 6, rounds = 20;
  std::vector<Variable<float>> x;
  std::vector<std::vector<float>> expected;
  const auto run = [&](std::size_t i) {
    NoGrad no_grad;
    return net(x[i]).value().to_vector();
  };
  for (std::size_t i = 0; i < inputs; ++i) {
    // Two batch sizes, so that the threads also look up different primitives.
    x.emplace_back(uniform<float>({i % 2 ? 4 : 3, 3, 32, 32}, {.seed = 100 + i, .stream = 0}));
    expected.push_back(run(i));  // the warm-up
  }
  CHECK(expected[0] != expected[2]);
  std::vector<std::vector<std::vector<float>>> got(2);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < got.size(); ++t)
    threads.emplace_back([&, t] {
      for (std::size_t k = 0; k < inputs * rounds; ++k) got[t].push_back(run((k + t) % inputs));
    });
  for (auto& thread : threads) thread.join();
  std::size_t wrong = 0;
  for (std::size_t t = 0; t < got.size(); ++t) {
    REQUIRE(got[t].size() == inputs * rounds);
    for (std::size_t k = 0; k < got[t].size(); ++k) wrong += got[t][k] != expected[(k + t) % inputs];
  }
  CHECK(wrong == 0);
}
