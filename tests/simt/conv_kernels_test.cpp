// ConvKernels, the engine of a GPU's convolutions: memory orders and sizes. Its numbers are conv2d's, tested
// there.
#include <doctest/doctest.h>

#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/tensor/compare.hpp"
#include "kfer/tensor/create.hpp"
#include "support/op_check.hpp"

using namespace kfer;
using Engine = detail::ConvKernels<float, Simt>;

TEST_CASE("an engine takes every memory order and gives channels-last") {
  const auto s = Conv2dShape::of({2, 16, 5, 7}, {8, 16, 3, 3}, {.stride = {2, 1}, .padding = 1});
  const auto x = uniform<float, Simt>(s.input(), {1, 1}), w = uniform<float, Simt>(s.weight(), {1, 2}),
             dy = uniform<float, Simt>(s.output(), {1, 3});
  const auto y = Engine::forward(s, x, w, nullptr, false), dx = Engine::backward_data(s, w, dy),
             dw = Engine::backward_weights(s, x, dy);
  for (const auto* t : {&y, &dx, &dw}) CHECK(t->layout() == Layout::channels_last());
  for (const Layout& order : test::layouts_of(s.input())) {
    CHECK(largest_difference(Engine::forward(s, x.to(order), w.to(Layout::channels_last()), nullptr, false),
                             y) == 0);
    CHECK(largest_difference(Engine::backward_weights(s, x.to(order), dy.to(Layout::channels_last())), dw) ==
          0);
  }
  CHECK(largest_difference(
            Engine::backward_data(s, w.to(Layout::channels_last()), dy.to(Layout::channels_last())), dx) ==
        0);
}

TEST_CASE("a stride past the image reaches what it reaches") {
  const auto s = Conv2dShape::of({1, 2, 3, 2}, {2, 2, 1, 2}, {.stride = {1'000'000'000, 7}});
  const auto w = full<float, Simt>(s.weight(), 2.f), dy = full<float, Simt>(s.output(), 3.f);
  CHECK(Engine::backward_data(s, w, dy).to_vector() ==
        std::vector<float>{12, 12, 0, 0, 0, 0, 12, 12, 0, 0, 0, 0});
}

TEST_CASE("sizes past what kernels count with are refused before memory is taken") {
  const Conv2dShape s{.batch = 1 << 20,
                      .in_channels = 1,
                      .height = 1 << 10,
                      .width = 1 << 10,
                      .out_channels = 1,
                      .kernel_height = 1,
                      .kernel_width = 1,
                      .out_height = 1 << 10,
                      .out_width = 1 << 10,
                      .stride = 1,
                      .padding = 0,
                      .dilation = 1,
                      .groups = 1};
  const Tensor<float, Simt> none;
  CHECK_THROWS_AS(Engine::forward(s, none, none, nullptr, false), ShapeError);
  CHECK_THROWS_AS(Engine::backward_data(s, none, none), ShapeError);
  CHECK_THROWS_AS(Engine::backward_weights(s, none, none), ShapeError);
}
