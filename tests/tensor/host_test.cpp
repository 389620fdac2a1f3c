#include "kfer/tensor/host.hpp"

#include <doctest/doctest.h>

#include "kfer/tensor/create.hpp"

using namespace kfer;

TEST_CASE("an xtensor view of a tensor is its memory") {
  Tensor<float> x({2, 3}, {1, 2, 3, 4, 5, 6});
  const auto view = host(std::as_const(x));
  CHECK(view.data() == x.data());
  CHECK(view.dimension() == 2);
  CHECK(view(1, 2) == 6);
  const float* memory = x.data();
  auto writable = host(x);
  CHECK(x.data() == memory);
  writable(0, 1) = -2;
  CHECK(x.to_vector() == std::vector<float>{1, -2, 3, 4, 5, 6});
}

TEST_CASE("writing through a view leaves other owners alone") {
  Tensor<float> x({3}, {1, 2, 3});
  const Tensor<float> snapshot = x;
  auto view = host(x);
  view(0) = 9;
  CHECK(view.data() == x.data());
  CHECK(snapshot.to_vector() == std::vector<float>{1, 2, 3});
  CHECK(x.to_vector() == std::vector<float>{9, 2, 3});
}

TEST_CASE("a view needs row-major order") {
  Tensor<float> x = arange<float>(24).reshape({1, 2, 3, 4}).to(Layout::channels_last());
  CHECK_THROWS_AS(host(x), ValueError);
  CHECK_THROWS_AS(host(std::as_const(x)), ValueError);
  const Tensor<float> plain = x.row_major();
  CHECK(host(plain)(0, 1, 2, 3) == 23);
}

TEST_CASE("to and from arrays") {
  const Tensor<float> x = arange<float>(24).reshape({1, 2, 3, 4}).to(Layout::channels_last());
  const xt::xarray<float> copy = to_host(x);
  CHECK(copy(0, 1, 0, 2) == 14);
  const Tensor<float> back = from_host(copy * 2);
  CHECK(back.shape() == x.shape());
  CHECK(back.to_vector()[23] == 46);
  CHECK(from_host(xt::xarray<double>::from_shape({2, 0})).shape() == Shape{2, 0});
  CHECK(from_host(xt::xarray<std::int64_t>{{1, 2}, {3, 4}}).to_vector() ==
        std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK(to_host(Tensor<float>()).size() == 0);
  Tensor<float> none({2, 0});
  CHECK(host(none).size() == 0);
  CHECK(to_host(Tensor<float>(Shape{}, {3.0f}))() == 3);
}
