// Convolutions whose weights stay as they are keep them in forms of their own: never one that is out of date.
#include <doctest/doctest.h>

#include <functional>

#include "kfer/autograd/backward.hpp"
#include "kfer/ops/conv2d/conv2d_cpu.hpp"
#include "kfer/ops/conv_transpose2d/conv_transpose2d_cpu.hpp"
#include "kfer/ops/reduce/reduce_cpu.hpp"
#include "kfer/optim/adam_cpu.hpp"

using namespace kfer;

namespace {

struct Case {
  const char* name;
  Shape x, w;
  std::function<Variable<>(const Variable<>&, const Variable<>&)> run;
};

const std::vector<Case> cases{
    {"Winograd",
     {2, 16, 12, 12},
     {32, 16, 3, 3},
     [](auto& x, auto& w) { return conv2d(x, w, {.padding = 1}); }},
    {"many channels",
     {2, 256, 4, 4},
     {256, 256, 3, 3},
     [](auto& x, auto& w) { return conv2d(x, w, {.padding = 1}); }},
    {"few outputs",
     {2, 32, 9, 7},
     {3, 32, 3, 3},
     [](auto& x, auto& w) { return conv2d(x, w, {.padding = 1}); }},
    {"strided", {2, 16, 8, 8}, {32, 16, 3, 3}, [](auto& x, auto& w) { return conv2d(x, w, {.stride = 2}); }},
    {"ragged", {2, 5, 8, 8}, {7, 5, 3, 3}, [](auto& x, auto& w) { return conv2d(x, w); }},
    {"transposed",
     {2, 16, 9, 9},
     {16, 32, 3, 3},
     [](auto& x, auto& w) {
       return conv_transpose2d(x, w, static_cast<const Variable<>*>(nullptr), {.padding = 1});
     }},
};

std::vector<float> fresh(const Case& c, const Variable<>& x, const Variable<>& w) {
  const auto values = w.value().to_vector();
  return c.run(x, Variable<>(Tensor<>(c.w, std::span<const float>(values)))).value().to_vector();
}

}  // namespace

TEST_CASE("weights written between two calls are the ones that the second computes with") {
  NoGrad no_grad;
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const Variable<> x(uniform(c.x, {.seed = 1, .stream = 1}, -1, 1));
    Variable<> w(uniform(c.w, {.seed = 1, .stream = 2}, -1, 1));
    const auto y = [&] { return c.run(x, w).value().to_vector(); };
    const auto first = y();
    CHECK(y() == first);

    w.mutable_value().mutable_data()[0] += 1;  // in place
    CHECK(y() == fresh(c, x, w));
    CHECK(y() != first);

    const Tensor<> snapshot = w.value();
    const auto before = y();
    w.mutable_value().mutable_data()[3] -= 2;  // shared: a copy is written
    CHECK(y() == fresh(c, x, w));
    CHECK(y() != before);
    w.mutable_value() = snapshot;  // as loading does
    CHECK(y() == before);

    w.mutable_value() = w.value().row_major();  // another order of the same
    CHECK(y() == before);
  }
}

TEST_CASE("an optimiser's step between two calls counts") {
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const Variable<> x(uniform(c.x, {.seed = 1, .stream = 1}, -1, 1));
    Variable<> w(uniform(c.w, {.seed = 1, .stream = 2}, -1, 1), true);
    Adam<float> optimizer({{"w", w}}, {.lr = 0.1});
    const auto evaluate = [&] {
      NoGrad no_grad;
      return c.run(x, w).value().to_vector();
    };
    std::vector<float> last;
    for (int step = 0; step < 3; ++step) {
      const auto now = evaluate();
      CHECK(now != last);
      {
        NoGrad no_grad;
        CHECK(now == fresh(c, x, w));
      }
      last = now;
      optimizer.zero_grad();
      backward(sum(c.run(x, w)));
      optimizer.step();
    }
  }
}

TEST_CASE("a call that is not recorded leaves the weights where they are: threads read them") {
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const Variable<> x(uniform(c.x, {.seed = 1, .stream = 1}, -1, 1)),
        w(uniform(c.w, {.seed = 1, .stream = 2}, -1, 1), true);
    const float* at = w.value().data();
    std::vector<float> at_rest;
    {
      NoGrad no_grad;
      at_rest = c.run(x, w).value().to_vector();
      CHECK(w.value().data() == at);
      CHECK(c.run(x, w).value().to_vector() == at_rest);
    }
    const auto recorded = c.run(x, w);  // here they settle
    CHECK(recorded.requires_grad());
    const auto kept = c.run(Variable<>(x.value()), w.detach()).value().to_vector();
    CHECK(kept == at_rest);
  }
}

TEST_CASE("one set of weights serves convolutions of several kinds") {
  NoGrad no_grad;
  const Variable<> w(uniform({16, 16, 3, 3}, {.seed = 2, .stream = 1}, -1, 1));
  const Variable<> large(uniform({2, 16, 24, 24}, {.seed = 2, .stream = 2}, -1, 1)),
      small(uniform({1, 16, 2, 2}, {.seed = 2, .stream = 3}, -1, 1));
  const auto all = [&](const Variable<>& weights) {
    std::vector<std::vector<float>> out;
    for (const auto* x : {&large, &small}) {
      out.push_back(conv2d(*x, weights, {.padding = 1}).value().to_vector());
      out.push_back(conv_transpose2d(*x, weights, static_cast<const Variable<>*>(nullptr), {.padding = 1})
                        .value()
                        .to_vector());
    }
    return out;
  };
  const auto first = all(w);
  CHECK(all(w) == first);
  const auto values = w.value().to_vector();
  CHECK(all(Variable<>(Tensor<>(w.shape(), std::span<const float>(values)))) == first);
}
