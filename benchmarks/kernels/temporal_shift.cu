// The temporal shift of clips: an eighth of the channels comes from the next frame, an eighth from the last.
#include "bench.cuh"
#include "kfer/kernels/temporal_shift/1_naive.cuh"
#include "kfer/kernels/temporal_shift/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long clips, long long segments, long long side, long long channels) {
  const long long frames = clips * segments, pixels = side * side, frame = pixels * channels,
                  n = frames * frame, fold = channels / 8;
  const auto in = bench::random_values<T>(n, 1);
  const bench::Array<T> x(in), y(n);
  constexpr int N = k::vec_width<T>;
  auto c = suite.make_case(bench::text("%lld clips of [%lld, %lld, %lld, %lld], %s", clips, segments,
                                       channels, side, side, bench::type_name<T>),
                           {.bytes = 2.0 * static_cast<double>(n) * sizeof(T)});
  c.expect(
      y,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i), channel = at % channels, t = at / frame % segments;
        const long long from = channel < fold ? t + 1 : channel < 2 * fold ? t - 1 : t;
        return from < 0 || from >= segments ? 0.0 : bench::number(in[at + (from - t) * frame]);
      },
      0);
  c.variant("1_naive", [&] {
    kfer::launch(k::temporal_shift_naive<T>, dim3(static_cast<unsigned>(k::div_up(n, 256))), dim3(256), 0,
                 bench::stream(), x.data(), y.data(), frames, pixels, channels, segments, fold, 1);
  });
  if (channels % N == 0)
    c.variant("2_channel_vectors", [&] {
      const auto items = static_cast<unsigned>(n / N);
      kfer::launch(k::temporal_shift_channels<T, N, unsigned>, dim3(k::grid_blocks(items, 256)), dim3(256), 0,
                   bench::stream(), x.data(), y.data(), k::Nhwc<unsigned>(1, pixels, channels / N),
                   k::Divider<unsigned>(segments), frame, fold, 1, items);
    });
  c.variant("shipped", [&] {
    k::temporal_shift(x.data(), y.data(), frames, pixels, channels, segments, fold, 1, bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "temporal_shift", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 2, 3, 3, 17);
        sizes<T>(suite, 2, 4, 3, 24);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 8, 8, 16, 256);
        sizes<T>(suite, 16, 8, 56, 256);
      });
}
