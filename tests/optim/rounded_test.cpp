// Parameters that a network computes with in bfloat16: the rounded copy that steps keep up to date.
#include <doctest/doctest.h>

#include "kfer/autograd/backward.hpp"
#include "kfer/optim/adam.hpp"
#include "kfer/optim/sgd.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/cast/cast_cpu.hpp"
#include "kfer/ops/elementwise/unary_cpu.hpp"
#include "kfer/ops/reduce/reduce_cpu.hpp"
#include "kfer/optim/adam_cpu.hpp"
#include "kfer/optim/sgd_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/cast/cast_cuda.hpp"
#include "kfer/ops/elementwise/unary_cuda.hpp"
#include "kfer/ops/reduce/reduce_cuda.hpp"
#include "kfer/optim/adam_cuda.hpp"
#include "kfer/optim/sgd_cuda.hpp"
#endif

using namespace kfer;

namespace {

using D = test::TestDevice;
using Var = Variable<float, D>;
using Named = std::vector<std::pair<std::string, Var>>;

std::vector<float> numbers(const Tensor<bfloat16, D>& x) {
  return kfer::cast<float>(x).to_vector();
}
/// What a network sees of the parameter.
std::vector<float> seen(const Var& w) {
  return numbers(cast<bfloat16>(w).value());
}
std::vector<float> rounded(const Var& w) {
  auto values = w.value().to_vector();
  for (float& v : values) v = bfloat16(v);
  return values;
}

}  // namespace

TEST_CASE_TEMPLATE("a step writes weights and their rounded copy; the network sees the weights of now", O,
                   Adam<float, D>, Sgd<float, D>) {
  for (const Shape& shape : {Shape{1}, Shape{7, 11}, Shape{3, 5, 3, 3}, Shape{4111}}) {
    Var w(uniform<float, D>(shape, {.seed = 7}, -1, 1), true), plain(w.value(), true);
    O optimizer(Named{{"w", w}, {"plain", plain}}, {.lr = 0.1});
    const void* place = nullptr;
    for (int step = 0; step < 4; ++step) {
      optimizer.zero_grad();
      backward(mean(square(cast<float>(cast<bfloat16>(w)))));
      backward(mean(square(plain)));
      const auto before = seen(w);
      optimizer.step();
      CHECK(seen(w) == rounded(w));
      CHECK(seen(w) != before);
      CHECK(plain.rounded() == nullptr);
      if constexpr (Capturing<D>) {
        REQUIRE(w.rounded() != nullptr);
        CHECK(numbers(*w.rounded()) == rounded(w));
        if (step > 0) CHECK(w.rounded()->data() == place);
        place = w.rounded()->data();
      } else {
        CHECK(w.rounded() == nullptr);
      }
    }
    // Whoever else writes the weights is seen too.
    w.mutable_value() = uniform<float, D>(shape, {.seed = 8}, -1, 1);
    CHECK(w.rounded() == nullptr);
    CHECK(seen(w) == rounded(w));
    // A result that somebody keeps stays what it was.
    const auto kept = cast<bfloat16>(w).value();
    const auto values = numbers(kept);
    optimizer.step();
    CHECK(numbers(kept) == values);
    CHECK(seen(w) == rounded(w));
    if (shape.rank() == 4) {
      w.settle(Layout::channels_last());
      CHECK(seen(w) == rounded(w));
      CHECK(cast<bfloat16>(w).value().layout() == Layout::channels_last());
      optimizer.step();
      CHECK(seen(w) == rounded(w));
    }
  }
}

TEST_CASE("without recording, and of frozen parameters, no copy is kept") {
  Var w(uniform<float, D>({5}, {.seed = 7}), true), frozen(w.value());
  {
    NoGrad no_grad;
    CHECK(seen(w) == rounded(w));
  }
  CHECK(seen(frozen) == rounded(frozen));
  CHECK(w.rounded() == nullptr);
  CHECK(frozen.rounded() == nullptr);
}
