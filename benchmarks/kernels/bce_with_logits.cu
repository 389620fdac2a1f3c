// Binary cross-entropy of logits, the loss and its gradient: several labels for each image.
#include "bench.cuh"
#include "kfer/kernels/bce_with_logits/1_naive.cuh"
#include "kfer/kernels/bce_with_logits/shipped.cuh"
#include "kfer/kernels/elementwise/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long rows, long long cols) {
  const long long n = rows * cols;
  const auto logits = bench::random_values<T>(n, 1, -4, 4), wanted = bench::random_values<T>(n, 2, 0, 1);
  const bench::Array<T> x(logits), target(wanted), gradient(n), values(n), loss(1);
  const bench::Array<double> wide_loss(1);
  const bench::Array<k::LossWorkspace> workspace(1);
  const bench::Array<long long> status(1);

  double exact = 0;
  for (long long i = 0; i < n; ++i) {
    const double v = bench::number(logits[i]);
    exact += std::max(v, 0.0) - v * bench::number(wanted[i]) + std::log1p(std::exp(-std::abs(v)));
  }
  exact /= static_cast<double>(n);
  const auto slope = [&](std::size_t i) {
    return (1 / (1 + std::exp(-bench::number(logits[i]))) - bench::number(wanted[i])) /
           static_cast<double>(n);
  };
  const double tight = bench::tolerance<T>() / static_cast<double>(n);
  const bench::Work work{.bytes = 3.0 * static_cast<double>(n) * sizeof(T)};
  const std::string name = bench::text("loss and gradient, %lld x %lld, %s", rows, cols, bench::type_name<T>);
  const T* const none = nullptr;

  {  // leaves its loss in double, and the sum of rounded values
    auto c = suite.make_case(name, work);
    c.expect(gradient, slope, tight);
    c.expect(wide_loss, std::vector<double>{exact}, bench::tolerance<T>());
    c.variant("1_naive", [&] {
      k::fill(wide_loss.data(), 0.0, 1, bench::stream());
      k::bce_with_logits_naive(x.data(), target.data(), none, gradient.data(), n, cols, values.data(),
                               wide_loss.data(), bench::stream());
    });
  }
  auto c = suite.make_case(name, work);
  c.expect(gradient, slope, tight);
  c.expect(loss, std::vector<double>{exact}, bench::tolerance<T>());
  c.variant("2_fused", [&] {
    k::bce_with_logits_fused(x.data(), target.data(), none, gradient.data(), n, cols, loss.data(),
                             status.data(), workspace.data(), bench::stream());
  });
  c.variant("shipped", [&] {
    k::bce_with_logits(x.data(), target.data(), none, gradient.data(), n, cols, loss.data(), status.data(),
                       workspace.data(), bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "bce_with_logits", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 3, 7);
        sizes<T>(suite, 64, 24);
      },
      []<class T>(bench::Suite& suite, T) { sizes<T>(suite, 8192, 1000); });
}
