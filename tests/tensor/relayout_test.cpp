#include "kfer/tensor/relayout.hpp"

#include <doctest/doctest.h>

#include "kfer/tensor/create.hpp"

using namespace kfer;

namespace {
template <class T>
bool holds(const Tensor<T>& x, const std::vector<T>& values) {
  std::array<std::int64_t, Shape::max_rank> index{};
  for (const T& value : values) {
    if (x.data()[x.layout().offset(x.shape(), index)] != value) return false;
    for (std::size_t d = x.rank(); d-- > 0;) {
      if (++index[d] < x.shape()[d]) break;
      index[d] = 0;
    }
  }
  return true;
}
}  // namespace

TEST_CASE_TEMPLATE("every order to every other, and back", T, float, double, bfloat16, std::uint8_t) {
  const std::vector<Layout> layouts{Layout::row_major(4),
                                    Layout::channels_last(),
                                    Layout::channel_blocked(8),
                                    Layout::channel_blocked(16),
                                    Layout::channel_blocked(4),
                                    Layout::channel_blocked(3),
                                    Layout{3, 2, 1, 0},
                                    Layout{{0, 1, 2, 3}, {{1, 8}, {0, 8}}},
                                    Layout{{1, 0, 2, 3}, {{0, 4}, {0, 2}}}};
  for (const Shape& shape :
       {Shape{2, 16, 3, 5}, Shape{1, 48, 17, 19}, Shape{3, 3, 7, 11}, Shape{5, 17, 1, 1}, Shape{1, 1, 1, 1},
        Shape{1, 32, 1, 13}, Shape{0, 16, 2, 2}, Shape{2, 0, 3, 3}, Shape{2, 8, 0, 3}, Shape{13, 24, 2, 1}}) {
    std::vector<T> values(static_cast<std::size_t>(shape.numel()));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<T>(static_cast<float>(i % 251));
    const Tensor<T> x(shape, std::span<const T>(values));
    for (const Layout& a : layouts) {
      const Tensor<T> y = x.to(a);
      INFO("shape ", to_string(shape), ", layout ", to_string(a));
      CHECK(y.layout() == a);
      CHECK(holds(y, values));
      for (const Layout& b : layouts) {
        INFO("to ", to_string(b));
        const Tensor<T> z = y.to(b);
        CHECK(z.shape() == shape);
        CHECK(holds(z, values));
        CHECK(z.to_vector() == values);
      }
    }
  }
}

TEST_CASE("orders of other ranks") {
  const Tensor<float> x = arange<float>(7 * 5 * 3).reshape({7, 5, 3});
  const Tensor<float> y = x.to(Layout{2, 0, 1}), z = x.to(Layout{{1, 2, 0}, {{0, 4}}});
  CHECK(y.data()[1] == 3);
  CHECK(holds(z, x.to_vector()));
  CHECK(z.to(y.layout()).to_vector() == x.to_vector());
  const Tensor<float> m = arange<float>(6).reshape({2, 3}).to(Layout{1, 0});
  CHECK(std::vector<float>(m.data(), m.data() + 6) == std::vector<float>{0, 3, 1, 4, 2, 5});
  CHECK(arange<float>(5).to(Layout{{0}, {{0, 4}}}).storage_size() == 8);
}
