#include "kfer/core/layout.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <numeric>
#include <random>
#include <vector>

using namespace kfer;

namespace {

using Index = std::array<std::int64_t, Shape::max_rank>;

template <class Visit>
void for_each_index(const Shape& shape, const Visit& visit) {
  Index index{};
  for (std::int64_t i = 0; i < shape.numel(); ++i) {
    visit(index);
    for (std::size_t d = shape.rank(); d-- > 0;) {
      if (++index[d] < shape[d]) break;
      index[d] = 0;
    }
  }
}

/// The definition, in words of its own: memory is a row-major array over the outer axes in order, then the
/// blocks; the digits of index[d] in the mixed radix (outer, block, block) are its coordinates there.
std::int64_t offset_by_definition(const Shape& shape, const Layout& layout, const Index& index) {
  struct Axis {
    std::int64_t extent, coordinate;
  };
  std::vector<Axis> axes;
  Index rest = index;
  Index padded{};
  for (std::size_t d = 0; d < shape.rank(); ++d) padded[d] = shape[d];
  for (std::size_t b = layout.block_count(); b-- > 0;) {  // innermost digit first
    const auto block = layout.block(b);
    axes.insert(axes.begin(), {block.size, rest[block.dim] % block.size});
    rest[block.dim] /= block.size;
    padded[block.dim] = (padded[block.dim] + block.size - 1) / block.size;
  }
  for (std::size_t i = shape.rank(); i-- > 0;) {
    const auto d = static_cast<std::size_t>(layout.order(i));
    axes.insert(axes.begin(), {padded[d], rest[d]});
  }
  std::int64_t at = 0;
  for (const auto& axis : axes) at = at * axis.extent + axis.coordinate;
  return at;
}

class RandomLayouts {
 public:
  Shape shape(std::size_t rank) {
    static constexpr std::int64_t extents[] = {1, 1, 2, 3, 4, 5, 7, 8, 12};
    Shape out;
    for (std::size_t d = 0; d < rank; ++d) out.push_back(extents[number(std::size(extents))]);
    return out;
  }
  Layout layout(std::size_t rank) {
    static constexpr std::uint8_t sizes[] = {1, 2, 3, 4, 8};
    std::vector<int> order(rank);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), engine_);
    const auto block = [&] {
      return Layout::Block{static_cast<std::uint8_t>(number(rank)), sizes[number(std::size(sizes))]};
    };
    const std::size_t blocks = number(3);
    const auto build = [&](std::initializer_list<int> o) {
      return blocks == 0 ? Layout(o) : blocks == 1 ? Layout(o, {block()}) : Layout(o, {block(), block()});
    };
    switch (rank) {
      case 1:
        return build({order[0]});
      case 2:
        return build({order[0], order[1]});
      case 3:
        return build({order[0], order[1], order[2]});
      default:
        return build({order[0], order[1], order[2], order[3]});
    }
  }
  std::size_t number(std::size_t n) { return engine_() % n; }

 private:
  std::mt19937 engine_{20240607};
};

}  // namespace

TEST_CASE("offsets follow the definition, and no two elements share a place") {
  RandomLayouts random;
  for (int round = 0; round < 500; ++round) {
    const std::size_t rank = 1 + random.number(4);
    const Shape shape = random.shape(rank);
    const Layout layout = random.layout(rank);
    INFO("shape ", to_string(shape), ", layout ", to_string(layout));
    std::vector<bool> taken(static_cast<std::size_t>(layout.storage_size(shape)));
    bool right = true;
    for_each_index(shape, [&](const Index& index) {
      const std::int64_t at = layout.offset(shape, index);
      right = right && at == offset_by_definition(shape, layout, index);
      REQUIRE(at >= 0);
      REQUIRE(at < static_cast<std::int64_t>(taken.size()));
      right = right && !taken[static_cast<std::size_t>(at)];
      taken[static_cast<std::size_t>(at)] = true;
    });
    CHECK(right);
    CHECK(layout.has_padding(shape) == (layout.storage_size(shape) != shape.numel()));
    CHECK(layout.storage_size(shape) >= shape.numel());
  }
}

TEST_CASE("same_order says yes exactly where all offsets agree, for layouts without padding") {
  RandomLayouts random;
  int yes = 0, no = 0;
  for (int round = 0; round < 6000; ++round) {
    const std::size_t rank = 1 + random.number(4);
    const Shape shape = random.shape(rank);
    const Layout a = random.layout(rank), b = random.layout(rank);
    bool agree = true;
    for_each_index(shape, [&](const Index& i) { agree = agree && a.offset(shape, i) == b.offset(shape, i); });
    INFO("shape ", to_string(shape), ", layouts ", to_string(a), " and ", to_string(b));
    if (a.has_padding(shape) || b.has_padding(shape)) {
      if (Layout::same_order(shape, a, b)) CHECK(agree);
      CHECK(Layout::same_order(shape, a, a));
      continue;
    }
    CHECK(Layout::same_order(shape, a, b) == agree);
    ++(agree ? yes : no);
  }
  CHECK(yes > 100);
  CHECK(no > 100);
}

TEST_CASE("known layouts") {
  const Shape shape{2, 16, 3, 5};
  CHECK(Layout::row_major(4).offset(shape, {1, 2, 1, 4}) == ((1 * 16 + 2) * 3 + 1) * 5 + 4);
  CHECK(Layout::channels_last().offset(shape, {1, 2, 1, 4}) == ((1 * 3 + 1) * 5 + 4) * 16 + 2);
  CHECK(Layout::channel_blocked(8).offset(shape, {1, 10, 1, 4}) == (((1 * 2 + 1) * 3 + 1) * 5 + 4) * 8 + 2);
  const Layout weights{{0, 1, 2, 3}, {{1, 16}, {0, 16}}};  // OIhw16i16o
  CHECK(weights.offset({32, 32, 3, 3}, {17, 5, 2, 1}) == (((1 * 2 + 0) * 3 + 2) * 3 + 1) * 256 + 5 * 16 + 1);
  CHECK(Layout::channel_blocked(8).storage_size({2, 3, 5, 7}) == 2 * 8 * 5 * 7);
  CHECK(Layout::same_order({4, 16, 1, 1}, Layout::row_major(4), Layout::channels_last()));
  CHECK_FALSE(Layout::same_order({4, 16, 1, 2}, Layout::row_major(4), Layout::channels_last()));
  CHECK(Layout::channel_blocked(255).block_size(1) == 255);
  CHECK(to_string(Layout::channel_blocked(16)) == "0,1,2,3+1x16");
  CHECK(Layout().is_row_major());
}

TEST_CASE("layouts that make no sense are refused") {
  CHECK_THROWS_AS(Layout::channel_blocked(0), ValueError);
  CHECK_THROWS_AS(Layout::channel_blocked(256), ValueError);
  CHECK_THROWS_AS(Layout::channel_blocked(-8), ValueError);
  CHECK_THROWS_AS(Layout({0, 0}), ValueError);
  CHECK_THROWS_AS(Layout({1, 2}), ValueError);
  CHECK_THROWS_AS(Layout({0, -1}), ValueError);
  CHECK_THROWS_AS(Layout({0, 1, 2, 3, 4, 5, 6, 7, 8}), ValueError);
  CHECK_THROWS_AS(Layout({0, 1}, {{2, 8}}), ValueError);
  CHECK_THROWS_AS(Layout({0, 1}, {{1, 0}}), ValueError);
  CHECK_THROWS_AS(Layout({0, 1}, {{1, 2}, {1, 2}, {1, 2}}), ValueError);
  CHECK_THROWS_AS(Layout::row_major(9), ValueError);
}

TEST_CASE("padding past 64 bits is an error, not a wrap") {
  const auto most = std::numeric_limits<std::int64_t>::max();
  CHECK_THROWS_AS(Layout::channel_blocked(8).storage_size({1, most, 1, 1}), ShapeError);
  CHECK_THROWS_AS(Layout::channel_blocked(8).storage_size({0, most, 1, 1}), ShapeError);
  CHECK(Layout::channel_blocked(8).storage_size({1, most / 16, 1, 1}) > 0);
}
