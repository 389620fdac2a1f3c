// Dropout with a bias and a ReLU on the way, and its gradient, at the sizes of hidden layers.
#include "bench.cuh"
#include "kfer/kernels/dropout/1_naive.cuh"
#include "kfer/kernels/dropout/2_regenerated.cuh"
#include "kfer/kernels/dropout/shipped.cuh"

namespace k = kfer::kernels;

namespace {

/// Philox4x32-10 as its authors give it (Salmon et al., 2011), apart from the kernels' own.
bool keeps(std::uint64_t seed, std::uint64_t stream, std::uint32_t threshold, std::uint64_t element) {
  const std::uint64_t counter = element / 8;
  std::uint32_t c[4] = {static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                        static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    const std::uint32_t next[4] = {
        static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ key[0], static_cast<std::uint32_t>(p1),
        static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    std::copy(next, next + 4, c);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  const std::uint32_t word = c[element % 8 / 2];
  return (element % 2 ? word >> 16 : word & 0xFFFF) >= threshold;
}

template <class T>
void sizes(bench::Suite& suite, long long rows, long long channels) {
  const long long n = rows * channels;
  const double bytes = static_cast<double>(n) * sizeof(T);
  const k::Dropout mask{42, 7, nullptr, 1u << 15, 2.f};  // one half
  const auto kept = [&](std::size_t i) { return keeps(mask.seed, mask.stream, mask.threshold, i); };
  const auto in = bench::random_values<T>(n, 1), shift = bench::random_values<T>(channels, 2),
             upstream = bench::random_values<T>(n, 3);
  const bench::Array<T> x(in), bias(shift), dy(upstream), y(n);
  const bench::Array<unsigned char> keep(n);
  const auto sum = [&](std::size_t i) { return bench::number(in[i]) + bench::number(shift[i % channels]); };
  const std::string size = bench::text("%lld x %lld, %s", rows, channels, bench::type_name<T>);
  const auto relu = k::Activation::relu;

  auto forward = suite.make_case("bias, ReLU and dropout, " + size, {.bytes = 2 * bytes});
  forward.expect(
      y, [&](std::size_t i) { return kept(i) ? 2 * std::max(0.0, sum(i)) : 0.0; }, bench::tolerance<T>());
  forward.variant("1_naive", [&] {
    k::dropout_mask_naive(keep.data(), n, mask, bench::stream());
    k::dropout_naive(x.data(), bias.data(), keep.data(), y.data(), n, channels, relu, mask.scale,
                     bench::stream());
  });
  forward.variant("2_regenerated", [&] {
    k::dropout_regenerated(x.data(), bias.data(), y.data(), n, channels, relu, mask, bench::stream());
  });
  forward.variant("3_vectorised", [&] {
    k::dropout_vectorised(x.data(), bias.data(), y.data(), n, channels, relu, &mask, bench::stream());
  });
  forward.variant("shipped", [&] {
    k::bias_activation_dropout(x.data(), bias.data(), y.data(), n, channels, relu, &mask, bench::stream());
  });

  k::dropout_mask_naive(keep.data(), n, mask, bench::stream());
  auto backward = suite.make_case("bias, ReLU and dropout backward, " + size, {.bytes = 3 * bytes});
  backward.expect(
      y,
      [&](std::size_t i) {  // the sum in float, as kernels add: its sign decides
        const bool passed = k::widen(in[i]) + k::widen(shift[i % channels]) > 0;
        return kept(i) && passed ? 2 * bench::number(upstream[i]) : 0.0;
      },
      bench::tolerance<T>());
  backward.variant("1_naive", [&] {
    k::dropout_backward_naive(x.data(), bias.data(), keep.data(), dy.data(), y.data(), n, channels, relu,
                              mask.scale, bench::stream());
  });
  backward.variant("2_regenerated", [&] {
    k::dropout_backward_regenerated(x.data(), bias.data(), dy.data(), y.data(), n, channels, relu, mask,
                                    bench::stream());
  });
  backward.variant("3_vectorised", [&] {
    k::dropout_backward_vectorised(x.data(), bias.data(), dy.data(), y.data(), n, channels, relu, &mask,
                                   bench::stream());
  });
  backward.variant("shipped", [&] {
    k::bias_activation_dropout_backward(x.data(), bias.data(), dy.data(), y.data(), n, channels, relu, &mask,
                                        bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "dropout", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 5, 7);
        sizes<T>(suite, 40, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 4096);
        sizes<T>(suite, 8192, 4096);
      });
}
