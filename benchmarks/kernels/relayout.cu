// Changes of memory order: NCHW to NHWC and back, at the sizes of an input batch and of a feature map.
#include "bench.cuh"
#include "kfer/kernels/relayout/shipped.cuh"

namespace k = kfer::kernels;

namespace {

/// [N, C, H, W] in the order of `dims`.
k::MemoryOrder order(const long long (&shape)[4], const int (&dims)[4]) {
  k::MemoryOrder o;
  for (const int d : dims) {
    o.dim[o.axes] = d;
    o.step[o.axes] = 1;
    o.extent[o.axes++] = shape[d];
  }
  return o;
}

template <class T>
void nchw_to_nhwc(bench::Suite& suite, const char* type, long long n, long long c, long long h, long long w) {
  const long long shape[4] = {n, c, h, w}, size = n * c * h * w;
  const auto values = bench::random_values<T>(size, 1);
  std::vector<double> exact(size);
  for (long long i = 0; i < n; ++i)
    for (long long j = 0; j < c; ++j)
      for (long long p = 0; p < h * w; ++p)
        exact[(i * h * w + p) * c + j] = bench::number(values[(i * c + j) * h * w + p]);
  const bench::Array<T> x(values), y(size);
  const auto from = order(shape, {0, 1, 2, 3}), to = order(shape, {0, 2, 3, 1});
  const k::Extents extents{{n, c, h, w, 1, 1, 1, 1}};
  char name[96];
  std::snprintf(name, sizeof name, "NCHW to NHWC, [%lld, %lld, %lld, %lld], %s", n, c, h, w, type);
  auto bench_case = suite.make_case(name, {.bytes = 2.0 * static_cast<double>(size) * sizeof(T)});
  bench_case.expect(y, exact, 0);
  bench_case.variant("1_naive", [&] {
    kfer::launch(k::relayout_naive<T>, dim3(k::grid_blocks(size, 256)), dim3(256), 0, bench::stream(),
                 x.data(), from, y.data(), to, extents, size);
  });
  bench_case.variant("shipped", [&] { k::relayout(x.data(), from, y.data(), to, extents, bench::stream()); });
}

}  // namespace

int main(int argc, char** argv) {
  bench::Suite suite("relayout", argc, argv);
  const long long batch = suite.small() ? 2 : 128, side = suite.small() ? 14 : 112;
  nchw_to_nhwc<float>(suite, "float", batch, 3, 2 * side, 2 * side);
  nchw_to_nhwc<float>(suite, "float", batch, 64, side, side);
  nchw_to_nhwc<bench::bf16>(suite, "bf16", batch, 64, side, side);
  return suite.finish();
}
