// The elementwise part of an LSTM's cell, and its gradient: one step of a batch.
#include "bench.cuh"
#include "kfer/kernels/lstm/1_naive.cuh"
#include "kfer/kernels/lstm/shipped.cuh"

namespace k = kfer::kernels;

namespace {

template <class T>
void sizes(bench::Suite& suite, long long batch, long long hidden) {
  using S = float;
  const long long n = batch * hidden;
  const auto pre = bench::random_values<T>(4 * n, 1, -2, 2), offset = bench::random_values<T>(4 * hidden, 2);
  const auto old = bench::random_values<S>(n, 3);
  const bench::Array<T> p(pre), bias(offset), h(n), gates(4 * n);
  const bench::Array<S> c_prev(old), c(n);
  const std::string size = bench::text("%lld x %lld, %s", batch, hidden, bench::type_name<T>);
  constexpr int N = k::vec_width<T>;
  const bool vectors = hidden % N == 0;
  const auto items = static_cast<unsigned>(n / N);
  const k::Divider<unsigned> groups(hidden >= N ? hidden / N : 1);
  const dim3 grid(k::grid_blocks(items, 256)), each(static_cast<unsigned>(k::div_up(n, 256)));

  /// Gate 0 to 3 of unit i, activated.
  const auto gate = [&](std::size_t i, int which) {
    const long long unit = static_cast<long long>(i) % hidden, row = static_cast<long long>(i) / hidden;
    const double v =
        bench::number(pre[(row * 4 + which) * hidden + unit]) + bench::number(offset[which * hidden + unit]);
    return which == 2 ? std::tanh(v) : 1 / (1 + std::exp(-v));
  };
  const auto state = [&](std::size_t i) {
    return gate(i, 1) * bench::number(old[i]) + gate(i, 0) * gate(i, 2);
  };
  auto forward =
      suite.make_case("cell, " + size, {.bytes = static_cast<double>(n) * (9 * sizeof(T) + 2 * sizeof(S))});
  forward.expect(
      h, [&](std::size_t i) { return gate(i, 3) * std::tanh(state(i)); }, bench::tolerance<T>());
  forward.expect(c, state, 1e-5);
  forward.expect(
      gates,
      [&](std::size_t i) {
        const long long at = static_cast<long long>(i);
        return gate(at / (4 * hidden) * hidden + at % hidden, static_cast<int>(at / hidden % 4));
      },
      bench::tolerance<T>());
  forward.variant("1_naive", [&] {
    kfer::launch(k::lstm_naive<T, S>, each, dim3(256), 0, bench::stream(), p.data(), bias.data(),
                 c_prev.data(), h.data(), c.data(), gates.data(), batch, hidden);
  });
  if (vectors)
    forward.variant("2_unit_vectors", [&] {
      kfer::launch(k::lstm_units<T, S, N, unsigned>, grid, dim3(256), 0, bench::stream(), p.data(),
                   bias.data(), c_prev.data(), h.data(), c.data(), gates.data(), groups, hidden, items);
    });
  forward.variant("shipped", [&] {
    k::lstm_cell_forward(p.data(), bias.data(), c_prev.data(), h.data(), c.data(), gates.data(), batch,
                         hidden, bench::stream());
  });

  const auto activated = bench::random_values<T>(4 * n, 4, 0, 1), grad_h = bench::random_values<T>(n, 5);
  const auto now = bench::random_values<S>(n, 6), grad_c = bench::random_values<S>(n, 7);
  const bench::Array<T> given(activated), dh(grad_h), dp(4 * n);
  const bench::Array<S> cell(now), dc(grad_c), dc_prev(n);
  const auto at = [&](std::size_t i, int which) {
    const long long unit = static_cast<long long>(i) % hidden, row = static_cast<long long>(i) / hidden;
    return bench::number(activated[(row * 4 + which) * hidden + unit]);
  };
  const auto through = [&](std::size_t i) {
    const double t = std::tanh(bench::number(now[i]));
    return bench::number(grad_c[i]) + bench::number(grad_h[i]) * at(i, 3) * (1 - t * t);
  };
  auto backward = suite.make_case("cell backward, " + size,
                                  {.bytes = static_cast<double>(n) * (9 * sizeof(T) + 4 * sizeof(S))});
  backward.expect(
      dp,
      [&](std::size_t index) {
        const long long where = static_cast<long long>(index);
        const std::size_t i = where / (4 * hidden) * hidden + where % hidden;
        const double in = at(i, 0), forget = at(i, 1), g = at(i, 2), out = at(i, 3);
        switch (where / hidden % 4) {
          case 0:
            return through(i) * g * in * (1 - in);
          case 1:
            return through(i) * bench::number(old[i]) * forget * (1 - forget);
          case 2:
            return through(i) * in * (1 - g * g);
          default:
            return bench::number(grad_h[i]) * std::tanh(bench::number(now[i])) * out * (1 - out);
        }
      },
      bench::tolerance<T>());
  backward.expect(
      dc_prev, [&](std::size_t i) { return through(i) * at(i, 1); }, 1e-5);
  backward.variant("1_naive", [&] {
    kfer::launch(k::lstm_naive_backward<T, S>, each, dim3(256), 0, bench::stream(), given.data(), cell.data(),
                 c_prev.data(), dh.data(), dc.data(), dp.data(), dc_prev.data(), batch, hidden);
  });
  if (vectors)
    backward.variant("2_unit_vectors", [&] {
      kfer::launch(k::lstm_units_backward<T, S, N, unsigned>, grid, dim3(256), 0, bench::stream(),
                   given.data(), cell.data(), c_prev.data(), dh.data(), dc.data(), dp.data(), dc_prev.data(),
                   groups, hidden, items);
    });
  backward.variant("shipped", [&] {
    k::lstm_cell_backward(given.data(), cell.data(), c_prev.data(), dh.data(), dc.data(), dp.data(),
                          dc_prev.data(), batch, hidden, bench::stream());
  });
}

}  // namespace

int main(int argc, char** argv) {
  return bench::run_suite(
      "lstm", argc, argv,
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 3, 7);
        sizes<T>(suite, 5, 64);
      },
      []<class T>(bench::Suite& suite, T) {
        sizes<T>(suite, 64, 512);
        sizes<T>(suite, 4096, 1024);
      });
}
