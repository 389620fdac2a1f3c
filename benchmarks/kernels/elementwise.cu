// Elementwise kernels: ReLU of one tensor, the sum of two, and a bias added to every pixel, at the sizes of
// feature maps.
#include "bench.cuh"
#include "kfer/kernels/elementwise/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
struct Relu {
  __host__ __device__ T operator()(T x) const { return k::widen(x) > 0 ? x : k::narrow<T>(0.f); }
};
template <class T>
struct Add {
  __host__ __device__ T operator()(T a, T b) const { return k::narrow<T>(k::widen(a) + k::widen(b)); }
};

/// The steps of the ladder on any function and operands.
template <class T, class F, class... X>
void steps(bench::Case& c, F f, const bench::Array<T>& y, const X&... x) {
  const long long n = static_cast<long long>(y.size());
  constexpr int N = k::map_width<T, typename std::remove_pointer_t<decltype(x.data())>...>,
                U = sizeof...(X) > 1 ? 2 : 4;
  const bool vectors = n >= N;
  c.variant("1_naive", [&] {
    kfer::launch(k::map_naive<F, T, std::remove_pointer_t<decltype(x.data())>...>,
                 dim3(static_cast<unsigned>(k::div_up(n, 256))), dim3(256), 0, bench::stream(), f, n,
                 y.data(), x.data()...);
  });
  if (vectors) {
    c.variant("2_vectorised", [&] {
      kfer::launch(k::map_vectorised<N, F, T, std::remove_pointer_t<decltype(x.data())>...>,
                   dim3(static_cast<unsigned>(k::div_up(n / N, 256))), dim3(256), 0, bench::stream(), f, n,
                   y.data(), x.data()...);
    });
    c.variant("3_unrolled", [&] {
      kfer::launch(k::map_unrolled<N, U, F, T, std::remove_pointer_t<decltype(x.data())>...>,
                   dim3(k::grid_blocks(n / N, 256 * U)), dim3(256), 0, bench::stream(), f, n, y.data(),
                   x.data()...);
    });
  }
  c.variant("shipped", [&] { k::map(f, n, y.data(), bench::stream(), static_cast<const T*>(x.data())...); });
}

template <class T>
void sizes(bench::Suite& suite, long long images, long long side, long long channels) {
  const long long n = images * side * side * channels;
  const double bytes = static_cast<double>(n) * sizeof(T);
  const std::string size =
      bench::text("[%lld, %lld, %lld, %lld], %s", images, channels, side, side, bench::type_name<T>);
  const auto a = bench::random_values<T>(n, 1), b = bench::random_values<T>(n, 2),
             bias = bench::random_values<T>(channels, 3);
  const bench::Array<T> x(a), more(b), shift(bias), y(n);

  auto relu = suite.make_case("ReLU, " + size, {.bytes = 2 * bytes});
  relu.expect(
      y, [&](std::size_t i) { return std::max(0.0, bench::number(a[i])); }, 0);
  steps(relu, Relu<T>{}, y, x);

  auto sum = suite.make_case("sum of two, " + size, {.bytes = 3 * bytes});
  sum.expect(
      y, [&](std::size_t i) { return bench::number(a[i]) + bench::number(b[i]); }, bench::tolerance<T>(1e-6));
  steps(sum, Add<T>{}, y, x, more);

  auto biased = suite.make_case("bias, " + size, {.bytes = 2 * bytes});
  biased.expect(
      y, [&](std::size_t i) { return bench::number(a[i]) + bench::number(bias[i % bias.size()]); },
      bench::tolerance<T>(1e-6));
  k::Broadcast shape;
  shape.push(images * side * side, channels, 0);
  shape.push(channels, 1, 1);
  biased.variant("shipped",
                 [&] { k::broadcast(Add<T>{}, shape, x.data(), shift.data(), y.data(), bench::stream()); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "elementwise", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 3, 5, 7);
        sizes<T>(suite, 2, 8, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 16, 256);
        sizes<T>(suite, 128, 56, 256);
      });
}
