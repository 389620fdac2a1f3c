// Nearest-neighbour upsampling by two of NHWC activations, with a sum behind it or not, and its gradient.
#include "bench.cuh"
#include "kfer/kernels/upsample/1_naive.cuh"
#include "kfer/kernels/upsample/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long images, long long side, long long channels) {
  const long long scale = 2, wide = side * scale, n = images * side * side * channels,
                  large = n * scale * scale;
  const auto in = bench::random_values<T>(n, 1), upstream = bench::random_values<T>(large, 2);
  const bench::Array<T> x(in), dy(upstream), y(large), dx(n);
  const std::string size =
      bench::text("[%lld, %lld, %lld, %lld], %s", images, channels, side, side, bench::type_name<T>);
  constexpr int N = k::vec_width<T>;
  const long long groups = channels / N;
  const bool vectors = channels % N == 0;
  const auto source = [&](std::size_t i) {
    const long long at = static_cast<long long>(i), c = at % channels, w = at / channels % wide,
                    h = at / channels / wide % wide, image = at / channels / wide / wide;
    return bench::number(in[((image * side + h / scale) * side + w / scale) * channels + c]);
  };
  for (const bool with_sum : {false, true}) {
    const T* const add = with_sum ? dy.data() : nullptr;
    auto c = suite.make_case((with_sum ? "upsample and sum, " : "upsample, ") + size,
                             {.bytes = static_cast<double>(n + large * (with_sum ? 2 : 1)) * sizeof(T)});
    c.expect(
        y, [&](std::size_t i) { return source(i) + (with_sum ? bench::number(upstream[i]) : 0.0); },
        bench::tolerance<T>());
    c.variant("1_naive", [&] {
      kfer::launch(k::upsample_naive<T>, dim3(static_cast<unsigned>(k::div_up(large, 256))), dim3(256), 0,
                   bench::stream(), x.data(), add, y.data(), images, side, side, channels, scale);
    });
    if (vectors)
      c.variant("2_channel_vectors", [&] {
        const auto items = static_cast<unsigned>(large / N);
        kfer::launch(k::upsample_channels<T, N, unsigned>, dim3(k::grid_blocks(items, 256)), dim3(256), 0,
                     bench::stream(), x.data(), add, y.data(), k::Nhwc<unsigned>(wide, wide, groups),
                     k::Divider<unsigned>(scale), side, side, groups, items);
      });
    c.variant("shipped", [&] {
      k::upsample_forward(x.data(), add, y.data(), images, side, side, channels, scale, bench::stream());
    });
  }
  auto c =
      suite.make_case("upsample backward, " + size, {.bytes = static_cast<double>(n + large) * sizeof(T)});
  c.expect(
      dx,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i), channel = at % channels, w = at / channels % side,
                        h = at / channels / side % side, image = at / channels / side / side;
        double sum = 0;
        for (long long u = 0; u < scale; ++u)
          for (long long v = 0; v < scale; ++v)
            sum += bench::number(
                upstream[((image * wide + h * scale + u) * wide + w * scale + v) * channels + channel]);
        return sum;
      },
      bench::tolerance<T>());
  c.variant("1_naive", [&] {
    kfer::launch(k::upsample_naive_backward<T>, dim3(static_cast<unsigned>(k::div_up(n, 256))), dim3(256), 0,
                 bench::stream(), dy.data(), dx.data(), images, side, side, channels, scale);
  });
  if (vectors)
    c.variant("2_channel_vectors", [&] {
      const auto items = static_cast<unsigned>(n / N);
      kfer::launch(k::upsample_channels_backward<2, T, N, unsigned>, dim3(k::grid_blocks(items, 256)),
                   dim3(256), 0, bench::stream(), dy.data(), dx.data(), k::Nhwc<unsigned>(side, side, groups),
                   2, side, side, groups, items);
    });
  c.variant("shipped", [&] {
    k::upsample_backward(dy.data(), dx.data(), images, side, side, channels, scale, bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "upsample", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 2, 5, 7);
        sizes<T>(suite, 2, 4, 24);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 16, 128);
        sizes<T>(suite, 128, 28, 128);
      });
}
