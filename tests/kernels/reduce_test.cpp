#include "buffer.hpp"
#include "kernels/reduce/1_atomic.cuh"
#include "kernels/reduce/2_shared_tree.cuh"
#include "kernels/reduce/3_warp_shuffle.cuh"
#include "kernels/reduce/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;

/// The reduction of x over the dimensions of `extent` that `mask` names, by a loop over all elements.
template <class Join>
Doubles by_definition(const Doubles& x, const std::vector<long long>& extent, unsigned mask, double start,
                      const Join& join) {
  std::size_t results = 1;
  for (std::size_t d = 0; d < extent.size(); ++d)
    if (!(mask >> d & 1)) results *= static_cast<std::size_t>(extent[d]);
  Doubles y(results, start);
  for (std::size_t at = 0; at < x.size(); ++at) {
    std::size_t rest = at, to = 0, step = 1;
    for (std::size_t d = extent.size(); d-- > 0; rest /= static_cast<std::size_t>(extent[d])) {
      if (mask >> d & 1) continue;
      to += rest % static_cast<std::size_t>(extent[d]) * step;
      step *= static_cast<std::size_t>(extent[d]);
    }
    y[to] = join(y[to], x[at]);
  }
  return y;
}

k::Reduction reduction(const std::vector<long long>& extent, unsigned mask) {
  k::Reduction shape;
  for (std::size_t d = 0; d < extent.size(); ++d) shape.push(extent[d], (mask >> d & 1) != 0);
  return shape;
}

template <class T>
void check(const std::vector<long long>& extent, unsigned mask, int skew = 0) {
  CAPTURE(extent.size());
  CAPTURE(extent[0]);
  CAPTURE(mask);
  long long n = 1;
  for (const long long e : extent) n *= e;
  // Positive numbers, so that the relative error of a sum is that of its additions.
  const Doubles x = numbers(n, 1, 0, 1);
  const Doubles sums = by_definition(x, extent, mask, 0, [](double a, double b) { return a + b; });
  const Doubles largest =
      by_definition(x, extent, mask, -INFINITY, [](double a, double b) { return std::max(a, b); });
  const k::Reduction shape = reduction(extent, mask);
  const Buffer<T> from(x, skew);
  const auto m = static_cast<long long>(sums.size());
  Buffer<T> y(m, skew);
  Buffer<k::accum_t<T>> wide(m), top(m);
  Buffer<unsigned char> workspace(static_cast<long long>(k::reduce_workspace<T>(shape)));
  k::reduce<k::Sum>(from.data(), y.data(), shape, k::accum_t<T>(0.5), workspace.data(), {});
  k::reduce<k::Sum>(from.data(), wide.data(), shape, k::accum_t<T>(1), workspace.data(), {});
  k::reduce<k::Max>(from.data(), top.data(), shape, k::accum_t<T>(1), workspace.data(), {});
  Doubles halves;
  for (const double s : sums) halves.push_back(s / 2);
  CHECK(difference(y.values(), halves) < tolerance<T>());
  CHECK(difference(wide.values(), sums) < tolerance<k::accum_t<T>>());
  CHECK(top.values() == largest);
}

}  // namespace

TEST_CASE_TEMPLATE("every variant of the sum of all elements", T, float, k::bf16, double) {
  using A = k::accum_t<T>;
  in_thread_orders([] {
    for (const long long n : {1, 31, 32, 33, 1009, 5003}) {
      const Doubles x = numbers(n, 1, 0, 1);
      double expected = 0;
      for (const double v : x) expected += v;
      const Buffer<T> from(x);
      Buffer<A> sum(Doubles(1, 0.0));
      launch(k::sum_atomic<T>, k::dim3(3), k::dim3(256), 0, k::Stream{}, from.data(), sum.data(), n);
      CHECK(difference(sum.values(), {expected}) < tolerance<A>(400));  // one running sum
      const auto two_stages = [&](auto first, auto second) {
        Buffer<A> partial(3);
        Buffer<A> y(1);
        launch(first, k::dim3(3), k::dim3(256), 0, k::Stream{}, from.data(), partial.data(), n);
        launch(second, k::dim3(1), k::dim3(256), 0, k::Stream{}, partial.data(), y.data(), 3ll);
        CHECK(difference(y.values(), {expected}) < tolerance<A>());
      };
      two_stages(k::sum_shared_tree<T, A>, k::sum_shared_tree<A, A>);
      two_stages(k::sum_warp_shuffle<T, A>, k::sum_warp_shuffle<A, A>);
    }
  });
}

TEST_CASE_TEMPLATE("reductions over any dimensions, of any size and alignment", T, float, k::bf16, double) {
  for (const int skew : {0, 1}) {
    for (const long long n : {1, 2, 31, 129, 2047, 2048, 16384, 16385, 50021}) check<T>({n}, 1, skew);
    for (const unsigned mask : {0u, 1u, 2u, 3u}) {
      check<T>({5, 7}, mask, skew);
      check<T>({37, 16}, mask, skew);
      check<T>({3, 4096}, mask, skew);
      check<T>({2, 20000}, mask, skew);
      check<T>({4099, 8}, mask, skew);
    }
    check<T>({1500, 3}, 1, skew);
    check<T>({70, 600}, 1, skew);
    check<T>({2, 2048, 24}, 2, skew);
    check<T>({1100, 5}, 2, skew);
    for (unsigned mask = 0; mask < 16; ++mask) check<T>({3, 8, 5, 7}, mask, skew);
    for (const unsigned mask : {0x55u, 0xAAu, 0xFFu}) check<T>({2, 3, 2, 3, 2, 3, 2, 4}, mask, skew);
  }
  for (const unsigned mask : {0u, 1u, 2u, 3u}) {  // no elements
    check<T>({0, 3}, mask);
    check<T>({3, 0}, mask);
  }
  check<T>({3, 0, 2}, 2);
  check<T>({0, 3, 5}, 5);
}

TEST_CASE_TEMPLATE("reductions do not depend on the order of threads, to the last bit", T, float, k::bf16,
                   double) {
  const std::vector<std::pair<std::vector<long long>, unsigned>> cases{
      {{40000}, 1}, {{2100, 24}, 1}, {{300, 49}, 2}, {{3, 5000}, 2}};
  for (const auto& [extent, mask] : cases) {
    const k::Reduction shape = reduction(extent, mask);
    const Buffer<T> x(numbers(extent[0] * (extent.size() > 1 ? extent[1] : 1), 1));
    std::vector<Doubles> results;
    in_thread_orders([&] {
      Buffer<k::accum_t<T>> y(1 + extent[0] + (extent.size() > 1 ? extent[1] : 1));
      Buffer<unsigned char> workspace(static_cast<long long>(k::reduce_workspace<T>(shape)));
      k::reduce<k::Sum>(x.data(), y.data(), shape, k::accum_t<T>(1), workspace.data(), {});
      results.push_back(y.values());
    });
    for (const Doubles& result : results) {
      REQUIRE(result.size() == results[0].size());
      CHECK(std::memcmp(result.data(), results[0].data(), result.size() * sizeof(double)) == 0);
    }
  }
}

TEST_CASE_TEMPLATE("channel sums are the gradient of a bias", T, float, k::bf16, double) {
  for (const auto& [rows, channels] : std::vector<std::pair<long long, long long>>{
           {1, 1}, {7, 3}, {64, 8}, {5000, 8}, {1023, 64}, {1025, 65}, {2, 2048}, {0, 5}, {5, 0}}) {
    const Doubles x = numbers(rows * channels, 1, 0, 1);
    const Doubles expected =
        by_definition(x, {rows, channels}, 1, 0, [](double a, double b) { return a + b; });
    const Buffer<T> from(x);
    Buffer<T> y(channels);
    Buffer<k::accum_t<T>> wide(channels);
    Buffer<unsigned char> workspace(static_cast<long long>(k::channel_sums_workspace<T>(rows, channels)));
    k::channel_sums(from.data(), y.data(), rows, channels, workspace.data(), {});
    k::channel_sums(from.data(), wide.data(), rows, channels, workspace.data(), {});
    CHECK(difference(y.values(), expected) < tolerance<T>());
    CHECK(difference(wide.values(), expected) < tolerance<k::accum_t<T>>());
  }
}

TEST_CASE("a NaN anywhere is the result of its row, for sums and maxima") {
  for (const long long cols : {5, 64, 3000, 20000})
    for (const long long at : {0ll, cols / 2, cols - 1}) {
      Doubles x = numbers(2 * cols, 1);
      x[static_cast<std::size_t>(at)] = NAN;
      const Buffer<float> from(x);
      Buffer<float> y(2), z(2);
      const k::Reduction shape = reduction({2, cols}, 2);
      Buffer<unsigned char> workspace(static_cast<long long>(k::reduce_workspace<float>(shape)));
      k::reduce<k::Max>(from.data(), y.data(), shape, 1.0f, workspace.data(), {});
      k::reduce<k::Sum>(from.data(), z.data(), shape, 1.0f, workspace.data(), {});
      CHECK(std::isnan(y.values()[0]));
      CHECK(std::isnan(z.values()[0]));
      CHECK(!std::isnan(y.values()[1]));
      CHECK(!std::isnan(z.values()[1]));
    }
}
