// Changes of memory order: NCHW to NHWC and back, and images of three channels padded to eight, at the sizes
// of an input batch and of a feature map.
#include "bench.cuh"
#include "kfer/kernels/relayout/2_tiled.cuh"
#include "kfer/kernels/relayout/shipped.cuh"

namespace k = kfer::kernels;

namespace {

/// [N, C, H, W] in the order of `dims`.
k::MemoryOrder order(const k::Extents& shape, const int (&dims)[4]) {
  k::MemoryOrder o;
  for (const int d : dims) {
    o.dim[o.axes] = d;
    o.step[o.axes] = 1;
    o.extent[o.axes++] = shape.v[d];
  }
  return o;
}

template <class T>
void naive(bench::Case& c, const bench::Array<T>& x, const k::MemoryOrder& from, const bench::Array<T>& y,
           const k::MemoryOrder& to, const k::Extents& shape) {
  const auto size = static_cast<unsigned>(to.size());
  c.variant("1_naive", [&] {
    kfer::launch(k::relayout_naive<unsigned, T, T>, dim3(k::grid_blocks(size, 256)), dim3(256), 0,
                 bench::stream(), x.data(), from, y.data(), to, shape, size);
  });
}

/// [batch, rows, cols] to [batch, cols, rows], which both directions are.
template <class T>
void turn(bench::Suite& suite, bool to_nhwc, long long n, long long c, long long h, long long w) {
  const long long pixels = h * w, size = n * c * pixels, rows = to_nhwc ? c : pixels,
                  cols = to_nhwc ? pixels : c;
  const auto values = bench::random_values<T>(size, 1);
  const bench::Array<T> x(values), y(size);
  const k::Extents shape{{n, c, h, w, 1, 1, 1, 1}};
  const auto nchw = order(shape, {0, 1, 2, 3}), nhwc = order(shape, {0, 2, 3, 1});
  const auto &from = to_nhwc ? nchw : nhwc, &to = to_nhwc ? nhwc : nchw;
  auto bench_case =
      suite.make_case(bench::text("%s, [%lld, %lld, %lld, %lld], %s",
                                  to_nhwc ? "NCHW to NHWC" : "NHWC to NCHW", n, c, h, w, bench::type_name<T>),
                      {.bytes = 2.0 * static_cast<double>(size) * sizeof(T)});
  bench_case.expect(
      y,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i), image = at / (rows * cols), r = at % rows,
                        column = at / rows % cols;
        return bench::number(values[(image * rows + r) * cols + column]);
      },
      0);
  naive(bench_case, x, from, y, to, shape);
  bench_case.variant("2_tiled", [&] {
    kfer::launch(k::transpose_tiled<T>,
                 dim3(static_cast<unsigned>(n * k::div_up(rows, 32) * k::div_up(cols, 32))), dim3(32, 8), 0,
                 bench::stream(), x.data(), y.data(), rows, cols);
  });
  k::Axes axes;  // as the orders give them, but joined: [n, cols, rows] of y
  axes.count = 3;
  const long long extent[] = {n, cols, rows}, step_x[] = {rows * cols, 1, cols},
                  step_y[] = {rows * cols, rows, 1};
  for (int a = 0; a < 3; ++a) {
    axes.extent[a] = extent[a];
    axes.from[a] = step_x[a];
    axes.to[a] = step_y[a];
  }
  bench_case.variant("3_vectorised",
                     [&] { k::detail::transpose(x.data(), y.data(), axes, 1, bench::stream()); });
  bench_case.variant("shipped", [&] { k::relayout(x.data(), from, y.data(), to, shape, bench::stream()); });
}

template <class T>
void pad(bench::Suite& suite, long long n, long long h, long long w) {
  const long long c = 3, size = n * c * h * w;
  const auto values = bench::random_values<T>(size, 1);
  const bench::Array<T> x(values), y(n * h * w * 8);
  const k::Extents shape{{n, c, h, w, 1, 1, 1, 1}};
  const auto from = order(shape, {0, 1, 2, 3});
  k::MemoryOrder to;  // [N, C / 8, H, W, 8]
  to.axes = 5;
  const int dims[] = {0, 1, 2, 3, 1};
  const long long extents[] = {n, 1, h, w, 8}, steps[] = {1, 8, 1, 1, 1};
  for (int a = 0; a < 5; ++a) {
    to.dim[a] = dims[a];
    to.extent[a] = extents[a];
    to.step[a] = steps[a];
  }
  auto bench_case =
      suite.make_case(bench::text("3 channels to 8, [%lld, 3, %lld, %lld], %s", n, h, w, bench::type_name<T>),
                      {.bytes = static_cast<double>(size + n * h * w * 8) * sizeof(T)});
  bench_case.expect(
      y,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i), channel = at % 8, pixel = at / 8 % (h * w),
                        image = at / 8 / (h * w);
        return channel < c ? bench::number(values[(image * c + channel) * h * w + pixel]) : 0.0;
      },
      0);
  naive(bench_case, x, from, y, to, shape);
  bench_case.variant("shipped", [&] { k::relayout(x.data(), from, y.data(), to, shape, bench::stream()); });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "relayout", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        turn<T>(suite, true, 2, 3, 5, 7);
        turn<T>(suite, true, 2, 24, 8, 9);
        turn<T>(suite, false, 2, 24, 8, 9);
        pad<T>(suite, 2, 5, 7);
      },
      []<class T>(bench::Suite& suite, T) {
        turn<T>(suite, true, 128, 3, 224, 224);
        turn<T>(suite, true, 128, 64, 112, 112);
        turn<T>(suite, false, 128, 64, 112, 112);
        turn<T>(suite, true, 64, 256, 16, 16);
        pad<T>(suite, 128, 224, 224);
      });
}
