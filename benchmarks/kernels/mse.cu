// Mean squared error, the loss and its gradient, at the sizes of reconstructed images.
#include "bench.cuh"
#include "kfer/kernels/mse/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long n) {
  const auto values = bench::random_values<T>(n, 1), wanted = bench::random_values<T>(n, 2);
  const bench::Array<T> x(values), target(wanted), gradient(n), loss(1);
  const bench::Array<k::LossWorkspace> workspace(1);
  const bench::Array<long long> status(1);
  const auto error = [&](std::size_t i) { return bench::number(values[i]) - bench::number(wanted[i]); };
  double exact = 0;
  for (long long i = 0; i < n; ++i) exact += error(i) * error(i) / static_cast<double>(n);
  auto c = suite.make_case(bench::text("loss and gradient, %lld, %s", n, bench::type_name<T>),
                           {.bytes = 3.0 * static_cast<double>(n) * sizeof(T)});
  c.expect(
      gradient, [&](std::size_t i) { return 2 * error(i) / static_cast<double>(n); },
      4 * bench::tolerance<T>() / static_cast<double>(n));
  c.expect(loss, std::vector<double>{exact}, bench::tolerance<T>());
  c.variant("shipped", [&] {
    k::mse(x.data(), target.data(), gradient.data(), n, loss.data(), status.data(), workspace.data(),
           bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "mse", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 13);
        sizes<T>(suite, 4099);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64ll * 3 * 64 * 64);
        sizes<T>(suite, 128ll * 3 * 224 * 224);
      });
}
