// Batch normalisation with a ReLU, and its gradient, of NHWC activations at the sizes of ResNet50's maps.
#include "bench.cuh"
#include "kfer/kernels/batch_norm/1_naive.cuh"
#include "kfer/kernels/batch_norm/2_column_tiles.cuh"
#include "kfer/kernels/batch_norm/shipped.cuh"

#if defined(__CUDACC__)
#include "kfer/device/cudnn/context.hpp"
#endif

namespace k = kfer::kernels;

namespace {

constexpr float eps = 1e-5f;

template <class T>
void sizes(bench::Suite& suite, long long images, long long side, long long channels) {
  const long long pixels = side * side, rows = images * pixels, n = rows * channels;
  const auto in = bench::random_values<T>(n, 1), upstream = bench::random_values<T>(n, 2),
             result = bench::random_values<T>(n, 3);  // only its sign matters to the gradient
  const auto factor = bench::random_values<float>(channels, 4, 0.5, 1.5),
             offset = bench::random_values<float>(channels, 5);
  const bench::Array<T> x(in), dy(upstream), passed(result), y(n);
  const bench::Array<float> gamma(factor), beta(offset), dgamma(channels), dbeta(channels);
  bench::Array<float> mean(channels), inverse(channels);
  const bench::Array<unsigned char> scratch(
      static_cast<std::size_t>(k::batch_norm_scratch_bytes(rows, channels)));

  std::vector<double> means(channels), inverses(channels), sums(channels), products(channels);
  for (long long i = 0; i < n; ++i) means[i % channels] += bench::number(in[i]) / static_cast<double>(rows);
  for (long long i = 0; i < n; ++i) {
    const double d = bench::number(in[i]) - means[i % channels];
    inverses[i % channels] += d * d / static_cast<double>(rows);
  }
  for (double& v : inverses) v = 1 / std::sqrt(v + static_cast<double>(eps));
  const auto normalised = [&](std::size_t i) {
    return (bench::number(in[i]) - means[i % channels]) * inverses[i % channels];
  };
  const auto slope = [&](std::size_t i) {
    return bench::number(result[i]) > 0 ? bench::number(upstream[i]) : 0.0;
  };
  for (long long i = 0; i < n; ++i) {
    sums[i % channels] += slope(i);
    products[i % channels] += slope(i) * normalised(i);
  }

  const k::ChannelStrides strides{images, pixels, pixels * channels, 1, channels};
  const auto each_channel = dim3(static_cast<unsigned>(channels)),
             tiles = dim3(static_cast<unsigned>(k::div_up(channels, 32)));
  const std::string size =
      bench::text("[%lld, %lld, %lld, %lld], %s", images, channels, side, side, bench::type_name<T>);
  const double bytes = static_cast<double>(n) * sizeof(T);
  T* const none = nullptr;

  auto forward = suite.make_case("batch norm and ReLU, " + size, {.bytes = 2 * bytes});
  forward.expect(
      y,
      [&](std::size_t i) {
        const long long c = static_cast<long long>(i) % channels;
        return std::max(0.0, normalised(i) * bench::number(factor[c]) + bench::number(offset[c]));
      },
      bench::tolerance<T>(1e-4));
  forward.expect(mean, means, 1e-5);
  forward.expect(inverse, inverses, 1e-4);
  forward.variant("1_naive", [&] {
    kfer::launch(k::batch_norm_naive<T>, each_channel, dim3(256), 0, bench::stream(), x.data(), none,
                 y.data(), strides, gamma.data(), beta.data(), eps, true, mean.data(), inverse.data());
  });
  forward.variant("2_column_tiles", [&] {
    kfer::launch(k::batch_norm_column_tiles<T>, tiles, dim3(32, 8), 0, bench::stream(), x.data(), none,
                 y.data(), rows, channels, gamma.data(), beta.data(), eps, true, mean.data(), inverse.data());
  });
  forward.variant("shipped", [&] {
    float* const no_running = nullptr;
    k::batch_norm_statistics(x.data(), rows, channels, eps, 0.1, mean.data(), inverse.data(), no_running,
                             no_running, scratch.data(), bench::stream());
    k::batch_norm_normalise(
        x.data(), static_cast<const T*>(none), y.data(), rows, channels,
        k::BatchNormChannels<float>{mean.data(), inverse.data(), gamma.data(), beta.data()}, true,
        bench::stream());
  });
#if defined(__CUDACC__)
  {
    const bench::Array<float> running(std::vector<float>(channels, 1.f)), next_mean(channels),
        next_var(channels);
    const float epsilon = eps, momentum = 0.1f;
    const auto make = [&] {
      using namespace kfer::cudnn;
      Graph g;
      const Graph::Extents extents{images, channels, side, side};
      const auto type = data_type<std::conditional_t<sizeof(T) == 4, float, kfer::bfloat16>>();
      const auto of_channel = [&](std::int64_t uid) {
        return g.per_channel(uid, channels, CUDNN_DATA_FLOAT);
      };
      const auto before = g.intermediate(extents, type);
      g.batch_norm_train({.x = g.tensor(1, extents, type),
                          .scale = of_channel(2),
                          .bias = of_channel(3),
                          .epsilon = g.scalar(4, CUDNN_DATA_FLOAT),
                          .momentum = g.scalar(5, CUDNN_DATA_FLOAT),
                          .running_mean = of_channel(6),
                          .running_variance = of_channel(7),
                          .next_running_mean = of_channel(8),
                          .next_running_variance = of_channel(9),
                          .mean = of_channel(10),
                          .inverse_deviation = of_channel(11),
                          .y = before});
      g.pointwise(CUDNN_POINTWISE_RELU_FWD, before, g.tensor(12, extents, type));
      return g;
    };
    const std::vector<kfer::cudnn::Operand> operands{
        {1, x.data()},        {2, gamma.data()},   {3, beta.data()},     {4, &epsilon},
        {5, &momentum},       {6, running.data()}, {7, running.data()},  {8, next_mean.data()},
        {9, next_var.data()}, {10, mean.data()},   {11, inverse.data()}, {12, y.data()}};
    forward.library("cuDNN", [&] {
      if (!kfer::cudnn::Context::instance().run("batch norm " + size, make, operands, {}))
        throw std::runtime_error("no engine");
    });
  }
#endif

  // Forward's statistics, as backward finds them.
  mean.assign(std::vector<float>(means.begin(), means.end()));
  inverse.assign(std::vector<float>(inverses.begin(), inverses.end()));
  auto backward = suite.make_case("batch norm and ReLU backward, " + size, {.bytes = 4 * bytes});
  backward.expect(
      y,
      [&](std::size_t i) {
        const long long c = static_cast<long long>(i) % channels;
        return bench::number(factor[c]) * inverses[c] *
               (slope(i) - (sums[c] + normalised(i) * products[c]) / static_cast<double>(rows));
      },
      bench::tolerance<T>(1e-4));
  backward.expect(dgamma, products, 1e-3);
  backward.expect(dbeta, sums, 1e-3);
  backward.variant("1_naive", [&] {
    kfer::launch(k::batch_norm_naive_backward<T>, each_channel, dim3(256), 0, bench::stream(), x.data(),
                 passed.data(), dy.data(), y.data(), strides, gamma.data(), mean.data(), inverse.data(),
                 dgamma.data(), dbeta.data());
  });
  backward.variant("2_column_tiles", [&] {
    kfer::launch(k::batch_norm_column_tiles_backward<T>, tiles, dim3(32, 8), 0, bench::stream(), x.data(),
                 passed.data(), dy.data(), y.data(), rows, channels, gamma.data(), mean.data(),
                 inverse.data(), dgamma.data(), dbeta.data());
  });
  backward.variant("shipped", [&] {
    const k::BatchNormChannels<float> table{mean.data(), inverse.data(), gamma.data(), nullptr};
    k::batch_norm_gradient_sums(x.data(), passed.data(), dy.data(), none, rows, channels, table,
                                dgamma.data(), dbeta.data(), scratch.data(), bench::stream());
    k::batch_norm_gradient(x.data(), passed.data(), dy.data(), y.data(), none, rows, channels, table,
                           dgamma.data(), dbeta.data(), bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__CUDACC__)
  bench::use_stream([] { return kfer::Cuda::stream(); });
#endif
  return bench::run_suite(
      "batch_norm", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 3, 5, 7);
        sizes<T>(suite, 2, 9, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 16, 256);
        sizes<T>(suite, 128, 56, 64);
        sizes<T>(suite, 128, 7, 2048);
      });
}
