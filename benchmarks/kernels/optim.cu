// A step of Adam and of SGD with momentum over many tensors: 25 M weights in 161 tensors of uneven sizes, as
// ResNet50 has them; gradients in float or bf16, the weights and their moments in float.
#include "bench.cuh"
#include "kfer/kernels/optim/1_launch_a_tensor.cuh"
#include "kfer/kernels/optim/2_multi_tensor.cuh"
#include "kfer/kernels/optim/shipped.cuh"

namespace k = kfer::kernels;

namespace {

/// Cuts n elements into tensors: some large, most small, at offsets that keep 16 bytes aligned but for the
/// last.
std::vector<std::pair<long long, long long>> tensors(long long n, int count) {
  std::vector<std::pair<long long, long long>> out;
  long long at = 0;
  for (int i = 0; i + 1 < count && at < n; ++i) {
    const long long size = std::min(n - at, i % 3 == 0 ? (2 * n / count) / 8 * 8 : i % 3 == 1 ? 64ll : 256ll);
    out.push_back({at, size});
    at += size;
  }
  if (at < n) out.push_back({at, n - at});
  return out;
}

template <class G>
void sizes(bench::Suite& suite, long long n, int count) {
  const auto w0 = bench::random_values<float>(n, 1), m0 = bench::random_values<float>(n, 2),
             v0 = bench::random_values<float>(n, 3, 0, 1);
  const auto g0 = bench::random_values<G>(n, 4);
  const bench::Array<float> w(w0), m(m0), v(v0), keep_w(w0), keep_m(m0), keep_v(v0);
  const bench::Array<G> grad(g0);
  const auto pieces = tensors(n, count);
  const auto restore = [&] {  // on the device: the step changes all three in place
    const auto copy = [&](const bench::Array<float>& to, const bench::Array<float>& from) {
#if defined(__CUDACC__)
      bench::check(cudaMemcpyAsync(to.data(), from.data(), n * sizeof(float), cudaMemcpyDeviceToDevice,
                                   bench::stream()),
                   "copy");
#else
      std::copy(from.data(), from.data() + n, to.data());
#endif
    };
    copy(w, keep_w);
    copy(m, keep_m);
    copy(v, keep_v);
  };
  const std::string size =
      bench::text("%lld weights in %zu tensors, gradients in %s", n, pieces.size(), bench::type_name<G>);

  {
    using Rule = k::AdamRule<float, G>;
    const double beta1 = 0.9, beta2 = 0.999, lr = 1e-3, eps = 1e-7, decay = 0.01;
    const double correct1 = 1 / (1 - beta1), correct2 = 1 / (1 - beta2);  // of the first step
    const k::AdamCoefficients step{1,   0,     1 - lr * decay, lr * correct1, std::sqrt(correct2),
                                   eps, beta1, beta2,          false};
    std::vector<typename Rule::Entry> entries;
    for (const auto& [at, length] : pieces)
      entries.push_back(
          {w.data() + at, grad.data() + at, m.data() + at, v.data() + at, nullptr, nullptr, length});
    auto c = suite.make_case("AdamW, " + size, {.bytes = static_cast<double>(n) * (6 * 4 + sizeof(G))});
    const auto new_m = [&](std::size_t i) {
      return beta1 * bench::number(m0[i]) + (1 - beta1) * bench::number(g0[i]);
    };
    const auto new_v = [&](std::size_t i) {
      return beta2 * bench::number(v0[i]) + (1 - beta2) * bench::number(g0[i]) * bench::number(g0[i]);
    };
    c.expect(m, new_m, 1e-6);
    c.expect(v, new_v, 1e-6);
    c.expect(
        w,
        [&](std::size_t i) {
          return bench::number(w0[i]) * (1 - lr * decay) -
                 lr * (new_m(i) * correct1) / (std::sqrt(new_v(i) * correct2) + eps);
        },
        1e-6);
    c.before_each(restore);
    const auto entry = entries.data();
    const auto total = static_cast<long long>(entries.size());
    c.variant("1_launch_a_tensor",
              [&] { k::step_launch_a_tensor<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("2_multi_tensor",
              [&] { k::step_multi_tensor<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("3_vectorised",
              [&] { k::step_vectorised<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("shipped",
              [&] { k::optimizer_step<Rule>(entry, total, step, nullptr, nullptr, bench::stream()); });
  }
  {
    using Rule = k::SgdRule<float, G>;
    const double lr = 0.1, momentum = 0.9, l2 = 1e-4;
    const k::SgdCoefficients step{1, l2, momentum, 1, lr, false};
    std::vector<typename Rule::Entry> entries;
    for (const auto& [at, length] : pieces)
      entries.push_back({w.data() + at, grad.data() + at, m.data() + at, nullptr, length});
    auto c = suite.make_case("SGD with momentum, " + size,
                             {.bytes = static_cast<double>(n) * (4 * 4 + sizeof(G))});
    const auto velocity = [&](std::size_t i) {
      return momentum * bench::number(m0[i]) + bench::number(g0[i]) + l2 * bench::number(w0[i]);
    };
    c.expect(m, velocity, 1e-6);
    c.expect(
        w, [&](std::size_t i) { return bench::number(w0[i]) - lr * velocity(i); }, 1e-6);
    c.before_each(restore);
    const auto entry = entries.data();
    const auto total = static_cast<long long>(entries.size());
    c.variant("1_launch_a_tensor",
              [&] { k::step_launch_a_tensor<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("2_multi_tensor",
              [&] { k::step_multi_tensor<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("3_vectorised",
              [&] { k::step_vectorised<Rule>(entry, total, step, nullptr, bench::stream()); });
    c.variant("shipped",
              [&] { k::optimizer_step<Rule>(entry, total, step, nullptr, nullptr, bench::stream()); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "optim", argc, argv,
      []<class G>(bench::Suite& suite, G) {
        sizes<G>(suite, 13, 1);
        sizes<G>(suite, 20011, 9);
      },
      []<class G>(bench::Suite& suite, G) { sizes<G>(suite, 25600000, 161); });
}
