#include "kfer/autograd/backward.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "kfer/ops/elementwise/binary_cpu.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "support/op_check.hpp"

using namespace kfer;

namespace {

Variable<double> leaf(double value) {
  return Variable<double>(Tensor<double>({1}, {value}), true);
}

/// y = x, with a call counted for each backward pass.
struct CountedBackward {
  int* calls;
  Tensor<double, Cpu> saved;
  void operator()(Tensor<double, Cpu> dy, InputGrads<double, Cpu>& grads) {
    ++*calls;
    grads.add(0, std::move(dy));
  }
};
Variable<double> counted(const Variable<double>& x, int& calls, Tensor<double> saved = {}) {
  return record(x.value(), {x}, CountedBackward{&calls, std::move(saved)});
}

}  // namespace

TEST_CASE("a diamond passes each operation once, with the sum of its gradients") {
  const auto x = leaf(3);
  int calls = 0;
  const auto y = counted(x * x, calls);  // x^2
  backward(y * y + y * leaf(5) + x);     // x^4 + 5 x^2 + x
  CHECK(calls == 1);
  CHECK(x.grad().item() == 4 * 27 + 10 * 3 + 1);
}

TEST_CASE("a variable used twice by one operation gets both shares") {
  const auto x = leaf(3);
  backward(x + x);
  CHECK(x.grad().item() == 2);
  const auto z = leaf(4), y = z * z;
  backward(y * y);
  CHECK(z.grad().item() == 4 * 64);
}

TEST_CASE("paths of different length, made in any order, are summed before they go on") {
  const auto x = leaf(2);
  int calls = 0;
  const auto shared = counted(x, calls);
  auto deep = shared;
  for (int i = 0; i < 10; ++i) deep = deep + shared;  // 11 x
  backward(shared * deep + shared);                   // 11 x^2 + x
  CHECK(calls == 1);
  CHECK(x.grad().item() == 22 * 2 + 1);
}

TEST_CASE("gradients accumulate over backward passes until they are cleared") {
  auto x = leaf(3);
  backward(x * x);
  backward(x * x);
  CHECK(x.grad().item() == 12);
  x.zero_grad();
  backward(x * leaf(7));
  CHECK(x.grad().item() == 7);
}

TEST_CASE("a gradient held from before is a value of its own") {
  const auto x = leaf(3);
  backward(x * x);
  const Tensor<double> before = x.grad();
  backward(x * x);
  CHECK(before.item() == 6);
  const auto a = leaf(1), b = leaf(2);  // both get the same tensor as gradient
  backward(a + b);
  backward(a * leaf(10));
  CHECK(a.grad().item() == 11);
  CHECK(b.grad().item() == 1);
}

TEST_CASE("the root must depend on a variable that requires a gradient, and the seed must fit it") {
  const Variable<double> data(ones<double>({2, 3})), weight(ones<double>({2, 3}), true);
  CHECK_THROWS_AS(backward(data + data, ones<double>({2, 3})), ValueError);
  std::string message = test::message_of<ShapeError>([&] { backward(data + weight, ones<double>({3, 2})); });
  CHECK(test::contains(message, "[2, 3]"));
  CHECK(test::contains(message, "[3, 2]"));
  message = test::message_of<ShapeError>([&] { backward(data + weight); });
  CHECK(test::contains(message, "[2, 3]"));
  CHECK_FALSE(weight.has_grad());
}

TEST_CASE("a leaf as root takes the seed") {
  const auto x = leaf(3);
  backward(x, Tensor<double>({1}, {5.0}));
  CHECK(x.grad().item() == 5);
}

TEST_CASE("a graph can be differentiated once") {
  const auto x = leaf(3), y = x * x, z = y + y;
  backward(z);
  CHECK_THROWS_AS(backward(z), ValueError);
  CHECK_THROWS_AS(backward(y), ValueError);
  CHECK_THROWS_AS(backward(y * leaf(2)), ValueError);
}

TEST_CASE("gradients that nobody needs are not computed") {
  struct Picky {
    void operator()(Tensor<double, Cpu> dy, InputGrads<double, Cpu>& grads) {
      if (grads.wants(0)) throw Error("asked for the gradient of data");
      CHECK(grads.wants(1));
      grads.add(0, zeros<double>({99}));  // dropped unseen
      grads.add(1, std::move(dy));
    }
  };
  const Variable<double> data(ones<double>({1}));
  const auto x = leaf(3);
  backward(record(data.value(), {data, x}, Picky{}));
  CHECK(x.grad().item() == 1);
  CHECK_FALSE(data.has_grad());
  // The same sum with both wanted does ask.
  CHECK_THROWS_WITH(backward(record(data.value(), {leaf(1), x}, Picky{})), "asked for the gradient of data");
  // An operation that no gradient reaches does not run.
  struct Blocks {
    void operator()(Tensor<double, Cpu>, InputGrads<double, Cpu>&) {}
  };
  int calls = 0;
  const auto y = counted(x, calls);
  backward(record(y.value(), {y}, Blocks{}));
  CHECK(calls == 0);
}

TEST_CASE("a backward pass records nothing itself") {
  struct Recording {
    void operator()(Tensor<double, Cpu> dy, InputGrads<double, Cpu>& grads) {
      CHECK_FALSE(grad_enabled());
      grads.add(0, std::move(dy));
    }
  };
  const auto x = leaf(1);
  backward(record(x.value(), {x}, Recording{}));
  CHECK(grad_enabled());
  CHECK(x.has_grad());
}

TEST_CASE("saved values are released as the pass consumes them") {
  const std::int64_t n = 1 << 16;
  const std::size_t before = Cpu::bytes_in_use();
  {
    const Variable<double> x(ones<double>({n}), true);
    const std::size_t block = Cpu::bytes_in_use() - before;
    REQUIRE(block >= n * sizeof(double));
    std::vector<std::size_t> in_use;
    struct Watch {
      std::vector<std::size_t>* in_use;
      Tensor<double, Cpu> saved;
      void operator()(Tensor<double, Cpu> dy, InputGrads<double, Cpu>& grads) {
        in_use->push_back(Cpu::bytes_in_use());
        grads.add(0, std::move(dy));
      }
    };
    auto y = x;
    for (int i = 0; i < 8; ++i) y = record(y.value(), {y}, Watch{&in_use, zeros<double>({n})});
    CHECK(Cpu::bytes_in_use() == before + 9 * block);
    backward(y, ones<double>({n}));
    REQUIRE(in_use.size() == 8);
    for (std::size_t i = 1; i < in_use.size(); ++i) CHECK(in_use[i - 1] - in_use[i] == block);
    CHECK(Cpu::bytes_in_use() == before + 2 * block);  // x and its gradient, though y still lives
  }
  CHECK(Cpu::bytes_in_use() == before);
}

TEST_CASE("a graph that is dropped without a backward pass gives everything back") {
  const std::size_t before = Cpu::bytes_in_use();
  {
    const Variable<double> x(ones<double>({1000}), true);
    const auto y = x * x, z = y + y, w = z * y;
  }
  CHECK(Cpu::bytes_in_use() == before);
}

TEST_CASE("graphs of 100 000 operations do not overflow the stack") {
  const auto x = leaf(1);
  int calls = 0;
  const auto chain = [&] {
    auto y = x;
    for (int i = 0; i < 100000; ++i) y = counted(y, calls);
    return y;
  };
  const auto ladder = [&] {  // every operation has two inputs, one of them used twice
    auto a = x, b = x;
    for (int i = 0; i < 50000; ++i) {
      const auto c = record(a.value(), {a, b}, CountedBackward{&calls, {}});
      b = record(b.value(), {b, c}, CountedBackward{&calls, {}});
      a = c;
    }
    return a;
  };
  const std::size_t before = Cpu::bytes_in_use();
  SUBCASE("chain, dropped") {
    chain();
  }
  SUBCASE("ladder, dropped") {
    ladder();
  }
  SUBCASE("on a thread with its small stack") {
    std::thread([&] { chain(), ladder(); }).join();
  }
  SUBCASE("chain, backward") {
    backward(chain());
    CHECK(calls == 100000);
    CHECK(x.grad().item() == 1);
    return;
  }
  SUBCASE("dropped half way by an exception") {
    struct Throws {
      void operator()(Tensor<double, Cpu>, InputGrads<double, Cpu>&) { throw Error("no further"); }
    };
    auto y = record(x.value(), {chain()}, Throws{});
    CHECK_THROWS_WITH(backward(counted(y, calls)), "no further");
    CHECK(calls == 1);
  }
  CHECK(Cpu::bytes_in_use() == before);
}

TEST_CASE("a part of a graph outlives the rest") {
  const auto x = leaf(2);
  auto y = x * x;
  {
    auto z = y;
    for (int i = 0; i < 1000; ++i) z = z + y;
  }
  backward(y);
  CHECK(x.grad().item() == 4);
}
