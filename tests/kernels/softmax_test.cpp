// Every variant of softmax against its definition in double.
#include "kernels/softmax/1_naive.cuh"
#include "kernels/softmax/2_block.cuh"
#include "kernels/softmax/3_online.cuh"
#include "kernels/softmax/4_warp.cuh"
#include "kernels/softmax/shipped.cuh"

#include "buffer.hpp"

namespace {

namespace k = kfer::kernels;
using kfer::test::Buffer;
using kfer::test::difference;
using kfer::test::numbers;
using kfer::test::tolerance;

std::vector<double> softmax_of(const std::vector<double>& x, long long cols, bool logarithm) {
  std::vector<double> y(x.size());
  const auto n = static_cast<std::size_t>(cols);
  for (std::size_t r = 0; r < x.size(); r += n) {
    double largest = x[r], sum = 0;
    for (std::size_t i = r; i < r + n; ++i) largest = std::max(largest, x[i]);
    for (std::size_t i = r; i < r + n; ++i) sum += std::exp(x[i] - largest);
    for (std::size_t i = r; i < r + n; ++i)
      y[i] = logarithm ? x[i] - largest - std::log(sum) : std::exp(x[i] - largest) / sum;
  }
  return y;
}
std::vector<double> gradient_of(const std::vector<double>& y, const std::vector<double>& dy, long long cols,
                                bool logarithm) {
  std::vector<double> dx(y.size());
  const auto n = static_cast<std::size_t>(cols);
  for (std::size_t r = 0; r < y.size(); r += n) {
    double sum = 0;
    for (std::size_t i = r; i < r + n; ++i) sum += logarithm ? dy[i] : dy[i] * y[i];
    for (std::size_t i = r; i < r + n; ++i)
      dx[i] = logarithm ? dy[i] - std::exp(y[i]) * sum : y[i] * (dy[i] - sum);
  }
  return dx;
}

template <class T>
struct Variant {
  const char* name;
  void (*forward)(const T*, T*, long long, long long, bool, k::Stream);
  void (*backward)(const T*, const T*, T*, long long, long long, bool, k::Stream);
  bool short_rows;  ///< up to a tile's length
  bool block;       ///< a block a row: not for many rows, for the test's own speed
};
template <class T>
std::vector<Variant<T>> variants() {
  return {{"naive", k::softmax_naive<T>, k::softmax_backward_naive<T>, false, false},
          {"block", k::softmax_block<T>, k::softmax_backward_block<T>, false, true},
          {"online", k::softmax_online<T>, k::softmax_backward_online<T>, false, true},
          {"warp", k::softmax_warp<T>, k::softmax_backward_warp<T>, true, false},
          {"shipped", k::softmax_forward<T>, k::softmax_backward<T>, false, false}};
}

}  // namespace

TEST_CASE_TEMPLATE("softmax and its gradient, every variant", T, float, k::bf16, double) {
  struct Case {
    long long rows, cols;
    int skew;
  };
  for (const auto [rows, cols, skew] : {Case{1, 1, 0},
                                        {67, 2, 0},
                                        {5, 7, 0},
                                        {70, 8, 0},
                                        {33, 13, 1},
                                        {9, 24, 0},
                                        {3, 33, 0},
                                        {5, 64, 0},
                                        {2, 100, 1},
                                        {3, 128, 0},
                                        {2, 255, 0},
                                        {1, 512, 0},
                                        {2, 509, 0},
                                        {1, 1000, 0},
                                        {1, 1024, 1},
                                        {2, 1032, 0},
                                        {1, 4099, 0},
                                        {0, 5, 0}})
    for (const bool logarithm : {false, true})
      for (const auto& variant : variants<T>()) {
        if ((variant.short_rows && cols > k::longest_tile_row<T>) || (variant.block && rows > 9)) continue;
        INFO(variant.name, ", ", rows, " x ", cols, ", logarithm ", logarithm);
        const auto x = numbers(rows * cols, 1, -8, 8), dy = numbers(rows * cols, 2);
        const auto y = softmax_of(x, cols, logarithm);
        const Buffer<T> in(x, skew), result(y, skew), grad(dy, skew);
        Buffer<T> out(rows * cols, skew), dx(rows * cols, skew);
        variant.forward(in.data(), out.data(), rows, cols, logarithm, {});
        CHECK(difference(out.values(), y) < tolerance<T>());
        variant.backward(result.data(), grad.data(), dx.data(), rows, cols, logarithm, {});
        CHECK(difference(dx.values(), gradient_of(result.values(), dy, cols, logarithm)) < tolerance<T>(200));
      }
}

TEST_CASE("softmax: large numbers do not overflow, minus infinity is a zero, what is not a number spreads") {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  for (const auto& variant : variants<float>())
    for (const long long cols : {6, 40}) {
      INFO(variant.name);
      std::vector<double> x(static_cast<std::size_t>(5 * cols), 0.0);
      double* const row = x.data();
      row[0] = row[1] = 1e30;                                         // two winners
      for (long long c = 0; c < cols - 1; ++c) row[cols + c] = -inf;  // one finite number, at the end
      row[2 * cols + 3] = nan;
      for (long long c = 0; c < cols; ++c) row[3 * cols + c] = -inf;
      row[4 * cols + 2] = inf;
      const Buffer<float> in(x);
      Buffer<float> out(5 * cols);
      variant.forward(in.data(), out.data(), 5, cols, false, {});
      const auto y = out.values();
      for (long long c = 0; c < cols; ++c) {
        const auto at = [&](long long r) { return y[static_cast<std::size_t>(r * cols + c)]; };
        CHECK(at(0) == (c < 2 ? 0.5 : 0));
        CHECK(at(1) == (c == cols - 1 ? 1 : 0));
        CHECK(std::isnan(at(2)));
        CHECK(std::isnan(at(3)));
        CHECK(std::isnan(at(4)));
      }
    }
}

TEST_CASE("softmax does not depend on the order of threads") {
  for (const long long cols : {7, 300, 1100}) {
    const auto x = numbers(3 * cols, 3, -4, 4);
    const Buffer<float> in(x);
    for (const auto& variant : variants<float>()) {
      if (variant.short_rows && cols > k::longest_tile_row<float>) continue;
      INFO(variant.name, ", ", cols);
      std::vector<double> first;
      kfer::test::in_thread_orders([&] {
        Buffer<float> out(3 * cols);
        variant.forward(in.data(), out.data(), 3, cols, false, {});
        if (first.empty()) first = out.values();
        CHECK(out.values() == first);
      });
      CHECK(difference(first, softmax_of(x, cols, false)) < tolerance<float>());
    }
  }
}
