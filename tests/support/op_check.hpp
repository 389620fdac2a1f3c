// What tests of operations share: every memory order of a shape, and the comparison of an operation in float,
// on a device and in any order, with the loops in double that define it.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "kfer/autograd/gradcheck.hpp"
#include "kfer/core/simd.hpp"
#include "kfer/tensor/compare.hpp"
#include "kfer/tensor/relayout.hpp"
#include "kfer/tensor/transfer.hpp"

#include "support/device.hpp"
#if !defined(__CUDACC__)
#include "kfer/ops/elementwise/unary_cpu.hpp"
#endif
#if defined(KFER_TEST_GPU)
#include "kfer/ops/elementwise/unary_cuda.hpp"
#endif

namespace kfer::test {

/// Row-major, and for rank 4 NHWC and the blocked orders that fit without padding.
inline std::vector<Layout> layouts_of(const Shape& shape) {
  std::vector<Layout> out{Layout::row_major(shape.rank())};
  if (shape.rank() != 4) return out;
  out.push_back(Layout::channels_last());
  for (const int block : {8, 16})
    if (shape[1] % block == 0 && shape[1] > 0) out.push_back(Layout::channel_blocked(block));
  return out;
}

/// Uniform in [low, high), and exactly representable in float.
inline Tensor<double, Cpu> numbers(const Shape& shape, std::uint64_t seed, double low = -1, double high = 1) {
  return cast<double>(uniform<float, Cpu>(shape, {.seed = seed, .stream = 0}, low, high));
}

/// The same numbers on the device that results in double come from.
inline Variable<double, Exact> exact(const Tensor<double, Cpu>& x, bool requires_grad = false) {
  return Variable<double, Exact>(to_device<Exact>(x), requires_grad);
}

/// Runs the generic operation `f(variables)` in double on row-major tensors, and in float on device D
/// with the inputs in the given memory orders; compares the result and the gradient of every input.
template <class D, class F>
void check_float(const F& f, const std::vector<Tensor<double, Cpu>>& inputs,
                 const std::vector<Layout>& layouts, double tolerance = 2e-5) {
  std::vector<Variable<double, Exact>> exact;
  std::vector<Variable<float, D>> tested;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    exact.push_back(test::exact(inputs[i].row_major(), true));
    tested.emplace_back(to_device<D>(cast<float>(inputs[i]).to(layouts[i])), true);
  }
  const auto y = f(exact);
  const auto z = f(tested);
  REQUIRE(z.shape() == y.shape());
  CHECK(largest_difference(z.value(), y.value()) < tolerance);
  const Tensor<double, Cpu> dy = numbers(y.shape(), 4711);
  backward(y, to_device<Exact>(dy));
  backward(z, to_device<D>(cast<float>(dy).to(z.value().layout())));
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    CAPTURE(i);
    REQUIRE(tested[i].has_grad());
    CHECK(largest_difference(tested[i].grad(), exact[i].grad()) < tolerance);
  }
}

/// The same with the first inputs, all of one shape, in every pair of memory orders, and the rest row-major.
template <class D, class F>
void check_layouts(const F& f, const std::vector<Tensor<double, Cpu>>& inputs, double tolerance = 2e-5) {
  std::vector<Layout> layouts;
  for (const auto& input : inputs) layouts.push_back(Layout::row_major(input.rank()));
  const bool pair = inputs.size() > 1 && inputs[1].shape() == inputs[0].shape();
  for (const Layout& first : layouts_of(inputs[0].shape()))
    for (const Layout& second : pair ? layouts_of(inputs[1].shape()) : std::vector<Layout>{Layout()}) {
      layouts[0] = first;
      if (pair) layouts[1] = second;
      INFO("shape ", to_string(inputs[0].shape()), ", layout ", to_string(first),
           pair ? " and " + to_string(second) : "");
      check_float<D>(f, inputs, layouts, tolerance);
    }
}

/// The message of the exception E that `f` throws; fails if it throws none.
template <class E, class F>
std::string message_of(const F& f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  }
  FAIL("no exception");
  return {};
}
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace kfer::test
