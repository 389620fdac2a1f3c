// Sums: of everything, of long rows, and of the columns of NHWC activations (the gradient of a bias).
#include "bench.cuh"
#include "kfer/kernels/elementwise/shipped.cuh"
#include "kfer/kernels/reduce/1_atomic.cuh"
#include "kfer/kernels/reduce/2_shared_tree.cuh"
#include "kfer/kernels/reduce/3_warp_shuffle.cuh"
#include "kfer/kernels/reduce/shipped.cuh"
#if defined(__CUDACC__)
#include <cub/device/device_reduce.cuh>
#endif

namespace k = kfer::kernels;

namespace {

/// Of n numbers with a mean of a quarter: a float that adds them one by one, in any order, keeps three
/// digits.
template <class T>
void everything(bench::Suite& suite, long long n, double tolerance) {
  const auto values = bench::random_values<T>(n, 1, -0.5, 1);
  double exact = 0;
  for (const T v : values) exact += bench::number(v);
  const bench::Array<T> x(values);
  const bench::Array<float> y(1), partial(1024);
  auto c = suite.make_case(bench::text("sum of %lld, %s", n, bench::type_name<T>),
                           {.bytes = static_cast<double>(n) * sizeof(T)});
  c.expect(y, std::vector<double>{exact}, tolerance);
  const unsigned blocks = std::min(k::grid_blocks(n, 256), 1024u);
  c.variant("1_atomic", [&] {
    k::fill(y.data(), 0.f, 1, bench::stream());
    kfer::launch(k::sum_atomic<T>, dim3(k::grid_blocks(n, 256)), dim3(256), 0, bench::stream(), x.data(),
                 y.data(), n);
  });
  c.variant("2_shared_tree", [&] {
    kfer::launch(k::sum_shared_tree<T, float>, dim3(blocks), dim3(256), 0, bench::stream(), x.data(),
                 partial.data(), n);
    kfer::launch(k::sum_shared_tree<float, float>, dim3(1), dim3(256), 0, bench::stream(), partial.data(),
                 y.data(), static_cast<long long>(blocks));
  });
  c.variant("3_warp_shuffle", [&] {
    kfer::launch(k::sum_warp_shuffle<T, float>, dim3(blocks), dim3(256), 0, bench::stream(), x.data(),
                 partial.data(), n);
    kfer::launch(k::sum_warp_shuffle<float, float>, dim3(1), dim3(256), 0, bench::stream(), partial.data(),
                 y.data(), static_cast<long long>(blocks));
  });
  k::Reduction shape;
  shape.push(n, true);
  const bench::Array<unsigned char> workspace(k::reduce_workspace<T>(shape));
  c.variant("shipped",
            [&] { k::reduce<k::Sum>(x.data(), y.data(), shape, 1.f, workspace.data(), bench::stream()); });
#if defined(__CUDACC__)
  if constexpr (std::is_same_v<T, float>) {
    std::size_t bytes = 0;
    bench::check(cub::DeviceReduce::Sum(nullptr, bytes, x.data(), y.data(), n, bench::stream()), "CUB");
    const bench::Array<unsigned char> room(bytes);
    c.library("CUB", [&] {
      bench::check(cub::DeviceReduce::Sum(room.data(), bytes, x.data(), y.data(), n, bench::stream()), "CUB");
    });
  }
#endif
}

template <class T>
void rows_and_columns(bench::Suite& suite, long long rows, long long cols) {
  const long long n = rows * cols;
  const auto values = bench::random_values<T>(n, 2);
  const bench::Array<T> x(values);
  const bench::Array<float> of_rows(rows), of_columns(cols);
  for (const bool by_row : {true, false}) {
    const bench::Array<float>& y = by_row ? of_rows : of_columns;
    std::vector<double> exact(y.size());
    for (long long r = 0, i = 0; r < rows; ++r)
      for (long long c = 0; c < cols; ++c, ++i) exact[by_row ? r : c] += bench::number(values[i]);
    k::Reduction shape;
    shape.push(rows, !by_row);
    shape.push(cols, by_row);
    const bench::Array<unsigned char> workspace(k::reduce_workspace<T>(shape));
    auto c = suite.make_case(bench::text("sums of %s, %lld x %lld, %s", by_row ? "rows" : "columns", rows,
                                         cols, bench::type_name<T>),
                             {.bytes = static_cast<double>(n) * sizeof(T)});
    c.expect(y, std::move(exact), 1e-4);
    c.variant("shipped",
              [&] { k::reduce<k::Sum>(x.data(), y.data(), shape, 1.f, workspace.data(), bench::stream()); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "reduce", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        everything<T>(suite, 7, 1e-6);
        everything<T>(suite, 20011, 1e-5);
        rows_and_columns<T>(suite, 13, 7);
        rows_and_columns<T>(suite, 300, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        everything<T>(suite, 1 << 25, 1e-3);
        rows_and_columns<T>(suite, 8192, 1000);
        rows_and_columns<T>(suite, 64 * 16 * 16, 256);
        rows_and_columns<T>(suite, 128 * 56 * 56, 64);
      });
}
