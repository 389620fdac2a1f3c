#include "buffer.hpp"
#include "kernels/relayout/2_tiled.cuh"
#include "kernels/relayout/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;

k::Extents extents(const std::vector<long long>& shape) {
  k::Extents out;
  for (int d = 0; d < k::MemoryOrder::max_dims; ++d)
    out.v[d] = d < static_cast<int>(shape.size()) ? shape[static_cast<std::size_t>(d)] : 1;
  return out;
}

/// Dimensions from the slowest to the fastest, then inner blocks as (dim, size), as layouts are described.
struct Order {
  std::vector<int> dims;
  std::vector<std::pair<int, long long>> blocks = {};

  k::MemoryOrder of(const std::vector<long long>& shape) const {
    k::MemoryOrder order;
    const auto push = [&](int dim, long long step, long long extent) {
      order.dim[order.axes] = dim;
      order.step[order.axes] = step;
      order.extent[order.axes++] = extent;
    };
    const auto inside = [&](std::size_t from, int dim) {
      long long size = 1;
      for (std::size_t b = from; b < blocks.size(); ++b)
        size *= blocks[b].first == dim ? blocks[b].second : 1;
      return size;
    };
    for (const int d : dims)
      push(d, inside(0, d), k::div_up(shape[static_cast<std::size_t>(d)], inside(0, d)));
    for (std::size_t b = 0; b < blocks.size(); ++b)
      push(blocks[b].first, inside(b + 1, blocks[b].first), blocks[b].second);
    return order;
  }
};

/// The place of an element, by the definition of MemoryOrder.
std::size_t place(const k::MemoryOrder& order, const std::vector<long long>& index) {
  long long at = 0;
  for (int a = 0; a < order.axes; ++a)
    at = at * order.extent[a] +
         index[static_cast<std::size_t>(order.dim[a])] / order.step[a] % order.extent[a];
  return static_cast<std::size_t>(at);
}

/// The elements 1, 2, 3, ... (mod 251, exact in every type) of a shape in an order, and zeros as padding.
Doubles laid_out(const std::vector<long long>& shape, const k::MemoryOrder& order) {
  Doubles out(static_cast<std::size_t>(order.size()));
  long long n = 1;
  for (const long long e : shape) n *= e;
  std::vector<long long> index(shape.size());
  for (long long i = 0; i < n; ++i) {
    long long rest = i;
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d]) index[d] = rest % shape[d];
    out[place(order, index)] = static_cast<double>(i % 251 + 1);
  }
  return out;
}

const std::vector<Order> orders{{{0, 1, 2, 3}},
                                {{0, 2, 3, 1}},
                                {{3, 2, 1, 0}},
                                {{1, 0, 3, 2}},
                                {{0, 1, 2, 3}, {{1, 8}}},
                                {{0, 1, 2, 3}, {{1, 16}}},
                                {{0, 1, 2, 3}, {{1, 3}}},
                                {{0, 1, 2, 3}, {{1, 8}, {0, 8}}},
                                {{1, 0, 2, 3}, {{0, 4}, {0, 2}}}};

template <class In, class Out>
void check(const std::vector<long long>& shape, const Order& a, const Order& b, int skew) {
  const k::MemoryOrder from = a.of(shape), to = b.of(shape);
  const Doubles expected = laid_out(shape, to);
  const Buffer<In> x(laid_out(shape, from), skew);
  Buffer<Out> y(to.size(), skew), naive(to.size()), pieces(to.size());
  k::relayout(x.data(), from, y.data(), to, extents(shape), {});
  CHECK(y.values() == expected);
  if (to.size() == 0 || to.size() > 3000) return;
  launch(k::relayout_naive<unsigned long long, In, Out>, k::dim3(2), k::dim3(256), 0, k::Stream{}, x.data(),
         from, naive.data(), to, extents(shape), static_cast<unsigned long long>(to.size()));
  CHECK(naive.values() == expected);
  const k::Axes axes = k::axes_of(from, to, extents(shape));
  if (axes.count == 0) return;
  k::detail::relayout(500, x.data(), pieces.data(), axes, {});  // as tensors past 2^30 elements are
  CHECK(pieces.values() == expected);
}

}  // namespace

TEST_CASE_TEMPLATE("transposes by tiles", T, float, k::bf16, double) {
  in_thread_orders([] {
    for (const auto& [batch, rows, cols] : std::vector<std::array<long long, 3>>{
             {1, 1, 1}, {1, 32, 32}, {2, 33, 31}, {3, 5, 70}, {1, 67, 129}}) {
      const Doubles x = numbers(batch * rows * cols, 1);
      Doubles expected(x.size());
      for (long long b = 0; b < batch; ++b)
        for (long long r = 0; r < rows; ++r)
          for (long long c = 0; c < cols; ++c)
            expected[static_cast<std::size_t>((b * cols + c) * rows + r)] =
                x[static_cast<std::size_t>((b * rows + r) * cols + c)];
      const Buffer<T> from(x);
      Buffer<T> y(batch * rows * cols), z(batch * rows * cols);
      launch(k::transpose_tiled<T>,
             k::dim3(static_cast<unsigned>(batch * k::div_up(rows, 32) * k::div_up(cols, 32))),
             k::dim3(32, 8), 0, k::Stream{}, from.data(), y.data(), rows, cols);
      CHECK(y.values() == expected);
      const std::vector<long long> shape{batch, rows, cols};
      k::relayout(from.data(), Order{{0, 1, 2}}.of(shape), z.data(), Order{{0, 2, 1}}.of(shape),
                  extents(shape), {});
      CHECK(z.values() == expected);
    }
  });
}

TEST_CASE_TEMPLATE("every order to every other, by each kernel that can", T, float, k::bf16, double,
                   unsigned char) {
  for (const std::vector<long long>& shape : std::vector<std::vector<long long>>{{2, 16, 3, 5},
                                                                                 {1, 48, 4, 8},
                                                                                 {3, 3, 7, 11},
                                                                                 {8, 17, 1, 1},
                                                                                 {1, 1, 1, 1},
                                                                                 {8, 16, 2, 9},
                                                                                 {2, 0, 3, 3}})
    for (const Order& a : orders)
      for (const Order& b : orders) check<T, T>(shape, a, b, 0);
  for (const int skew : {0, 1}) {
    check<T, T>({2, 72, 9, 15}, orders[0], orders[1], skew);
    check<T, T>({2, 72, 9, 15}, orders[1], orders[0], skew);
    check<T, T>({2, 72, 8, 16}, orders[0], orders[1], skew);
    check<T, T>({130, 1, 136, 1}, {{0, 1, 2, 3}}, {{2, 1, 0, 3}}, skew);
    check<T, T>({2, 16, 4, 4}, orders[4], orders[1], skew);
    check<T, T>({5, 3, 9, 4}, orders[0], orders[4], skew);  // channels padded to 8
    check<T, T>({5, 3, 9, 4}, orders[1], orders[4], skew);
    check<T, T>({5, 3, 9, 4}, orders[4], orders[0], skew);
  }
}

TEST_CASE("a change of order and a cast in one pass") {
  const auto pair = [](auto from, auto to) {
    using In = decltype(from);
    using Out = decltype(to);
    for (const std::vector<long long>& shape :
         std::vector<std::vector<long long>>{{2, 16, 3, 5}, {3, 3, 7, 11}, {2, 72, 8, 16}, {2, 72, 9, 15}})
      for (const std::size_t a : {0u, 1u, 4u})
        for (const std::size_t b : {0u, 1u, 4u}) check<In, Out>(shape, orders[a], orders[b], 0);
  };
  pair(float{}, k::bf16{});
  pair(k::bf16{}, float{});
  pair(double{}, k::bf16{});
  pair(float{}, double{});
  pair(static_cast<unsigned char>(0), k::bf16{});
  pair(static_cast<unsigned char>(0), float{});
}

TEST_CASE("axes: NCHW to NHWC is a batch of transposes, and equal orders are one axis") {
  const std::vector<long long> shape{4, 24, 5, 6};
  const auto axes = [&](std::size_t a, std::size_t b) {
    return k::axes_of(orders[a].of(shape), orders[b].of(shape), extents(shape));
  };
  const k::Axes turn = axes(0, 1);
  REQUIRE(turn.count == 3);
  CHECK(turn.extent[1] == 30);
  CHECK(turn.from[1] == 1);
  CHECK(turn.to[1] == 24);
  CHECK(turn.extent[2] == 24);
  CHECK(turn.from[2] == 30);
  CHECK(axes(1, 1).count == 1);
  CHECK(axes(4, 1).count == 4);  // images, pixels, blocks, 8 channels
  CHECK(axes(0, 5).count == 0);  // 24 channels in blocks of 16 are padded
}

TEST_CASE("rows from one pitch to another") {
  for (const auto& [rows, bytes, x_pitch, y_pitch] : std::vector<std::array<long long, 4>>{{1, 1, 1, 1},
                                                                                           {3, 16, 32, 48},
                                                                                           {5, 8, 24, 8},
                                                                                           {7, 12, 20, 16},
                                                                                           {2, 6, 10, 8},
                                                                                           {9, 5, 7, 11},
                                                                                           {40, 64, 64, 80}})
    for (const int skew : {0, 1, 4}) {
      const long long from = (rows - 1) * x_pitch + bytes, to = (rows - 1) * y_pitch + bytes;
      Doubles values(static_cast<std::size_t>(from)), expected(static_cast<std::size_t>(to), 255);
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % 251);
      for (long long r = 0; r < rows; ++r)
        for (long long i = 0; i < bytes; ++i)
          expected[static_cast<std::size_t>(r * y_pitch + i)] =
              values[static_cast<std::size_t>(r * x_pitch + i)];
      const Buffer<unsigned char> x(values, skew);
      Buffer<unsigned char> y(to, skew);
      k::pitched_copy(x.data(), x_pitch, y.data(), y_pitch, rows, bytes, {});
      CHECK(y.values() == expected);
      Buffer<unsigned char> pieces(to, skew);
      k::detail::pitched_copy(16, x.data(), x_pitch, pieces.data(), y_pitch, rows, bytes, {});
      CHECK(pieces.values() == expected);
    }
  k::pitched_copy(nullptr, 1, nullptr, 1, 0, 1, {});
}
