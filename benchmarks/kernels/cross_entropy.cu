// Softmax and cross-entropy with labels, the loss and its gradient, at 8192 x 1000 logits and the like.
#include "bench.cuh"
#include "kfer/kernels/cross_entropy/1_naive.cuh"
#include "kfer/kernels/cross_entropy/shipped.cuh"
#include "kfer/kernels/elementwise/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long rows, long long cols) {
  using A = k::accum_t<T>;
  const long long n = rows * cols;
  const auto logits = bench::random_values<T>(n, 1, -4, 4);
  const auto labels = bench::random_values<std::int64_t>(rows, 2, 0, static_cast<double>(cols));
  const bench::Array<T> x(logits), gradient(n), loss(1);
  const bench::Array<std::int64_t> classes(labels);
  const bench::Array<A> log_sums(rows), shares(rows);
  const bench::Array<double> wide_loss(1);
  const bench::Array<k::LossWorkspace> workspace(1);
  const bench::Array<long long> status(1);

  std::vector<double> log_sum(rows);
  double exact = 0;
  for (long long r = 0; r < rows; ++r) {
    double sum = 0;
    for (long long c = 0; c < cols; ++c) sum += std::exp(bench::number(logits[r * cols + c]));
    log_sum[r] = std::log(sum);
    exact += (log_sum[r] - bench::number(logits[r * cols + labels[r]])) / static_cast<double>(rows);
  }
  // Multiplied by the rows, the gradient is of the order of 1; it is compared to that precision.
  const auto slope = [&](std::size_t i) {
    const long long r = static_cast<long long>(i) / cols, c = static_cast<long long>(i) % cols;
    return (std::exp(bench::number(logits[i]) - log_sum[r]) - (c == labels[r])) / static_cast<double>(rows);
  };
  const double tight = bench::tolerance<T>() / static_cast<double>(rows);
  const k::LabelTargets<T> targets{classes.data()};
  const k::ClassWeights<T> weights(nullptr, 0, cols);
  const k::Divisor divisor{static_cast<double>(rows)};
  const bench::Work work{.bytes = 2.0 * static_cast<double>(n) * sizeof(T)};
  const std::string name = bench::text("loss and gradient, %lld x %lld, %s", rows, cols, bench::type_name<T>);

  {  // leaves its loss in double
    auto c = suite.make_case(name, work);
    c.expect(gradient, slope, tight);
    c.expect(wide_loss, std::vector<double>{exact}, 1e-5);
    c.variant("1_naive", [&] {
      k::fill(wide_loss.data(), 0.0, 1, bench::stream());
      k::cross_entropy_naive(x.data(), targets, weights, static_cast<double>(rows), log_sums.data(),
                             shares.data(), gradient.data(), wide_loss.data(), rows, cols, bench::stream());
    });
  }
  auto c = suite.make_case(name, work);
  c.expect(gradient, slope, tight);
  c.expect(loss, std::vector<double>{exact}, bench::tolerance<T>());
  c.variant("2_online", [&] {
    const unsigned parts = k::cross_entropy_online(x.data(), targets, weights, divisor, gradient.data(),
                                                   workspace.data()->parts, rows, cols, bench::stream());
    k::finish_loss(workspace.data()->parts, parts, divisor, loss.data(), status.data(), bench::stream());
  });
  if (cols <= k::longest_tile_row<T>)
    c.variant("3_warp", [&] {
      const unsigned parts = k::cross_entropy_warp(x.data(), targets, weights, divisor, gradient.data(),
                                                   workspace.data()->parts, rows, cols, bench::stream());
      k::finish_loss(workspace.data()->parts, parts, divisor, loss.data(), status.data(), bench::stream());
    });
  c.variant("shipped", [&] {
    k::cross_entropy(x.data(), targets, static_cast<const T*>(nullptr), 0, k::LossMean::rows, gradient.data(),
                     loss.data(), status.data(), rows, cols, workspace.data(), bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "cross_entropy", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 5, 7);
        sizes<T>(suite, 9, 1000);
        sizes<T>(suite, 2, 5003);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 24);
        sizes<T>(suite, 8192, 1000);
        sizes<T>(suite, 2048, 32000);
      });
}
