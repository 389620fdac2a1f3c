#include "buffer.hpp"
#include "kernels/lstm/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;

struct Step {
  Doubles h, c, gates;
};
/// The cell in double, from its definition.
Step step(const Doubles& p, const Doubles& bias, const Doubles& c_prev, std::size_t batch,
          std::size_t hidden) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  Step s{Doubles(batch * hidden), Doubles(batch * hidden), Doubles(batch * hidden * 4)};
  for (std::size_t b = 0; b < batch; ++b)
    for (std::size_t j = 0; j < hidden; ++j) {
      double g[4];
      for (std::size_t q = 0; q < 4; ++q) {
        const double pre = p[(b * 4 + q) * hidden + j] + (bias.empty() ? 0 : bias[q * hidden + j]);
        s.gates[(b * 4 + q) * hidden + j] = g[q] = q == 2 ? std::tanh(pre) : sigmoid(pre);
      }
      const std::size_t at = b * hidden + j;
      s.c[at] = g[1] * (c_prev.empty() ? 0 : c_prev[at]) + g[0] * g[2];
      s.h[at] = g[3] * std::tanh(s.c[at]);
    }
  return s;
}

template <class X>
const X* or_null(const Buffer<X>& b, bool there) {
  return there ? b.data() : nullptr;
}

/// The types of h and gates, and of c.
template <class H, class C>
struct Types {
  using T = H;
  using S = C;
};

struct Size {
  long long batch, hidden;
};
const Size sizes[] = {{3, 16}, {5, 17}, {1, 8}, {2, 264}, {7, 1}, {33, 24}, {0, 8}, {4, 0}};

}  // namespace

TEST_CASE_TEMPLATE("the LSTM cell agrees with its definition", Pair, Types<float, float>,
                   Types<k::bf16, float>, Types<k::bf16, k::bf16>, Types<double, double>) {
  using T = typename Pair::T;
  using S = typename Pair::S;
  for (const Size& size : sizes)
    for (const bool with_bias : {true, false})
      for (const bool first : {true, false})
        for (const int skew : {0, 1}) {
          INFO(size.batch, " x ", size.hidden, ", bias ", with_bias, ", first ", first, ", skew ", skew);
          const long long units = size.batch * size.hidden;
          const Doubles p = numbers(4 * units, 1, -4, 4),
                        bias = with_bias ? numbers(4 * size.hidden, 2) : Doubles(),
                        c_prev = first ? Doubles() : numbers(units, 3, -2, 2);
          const Step expected = step(p, bias, c_prev, static_cast<std::size_t>(size.batch),
                                     static_cast<std::size_t>(size.hidden));
          const Buffer<T> pre(p, skew), b(bias);
          const Buffer<S> old(c_prev);
          Buffer<T> h(units), gates(4 * units), h_alone(units), in_place(p, skew);
          Buffer<S> c(units), c_alone(units);
          k::lstm_cell_forward<T, S>(pre.data(), or_null(b, with_bias), or_null(old, !first), h.data(),
                                     c.data(), gates.data(), size.batch, size.hidden, nullptr);
          CHECK(difference(h.values(), expected.h) < tolerance<T>());
          CHECK(difference(c.values(), expected.c) < tolerance<S>());
          CHECK(difference(gates.values(), expected.gates) < tolerance<T>());
          k::lstm_cell_forward<T, S>(pre.data(), or_null(b, with_bias), or_null(old, !first), h_alone.data(),
                                     c_alone.data(), nullptr, size.batch, size.hidden, nullptr);
          CHECK(h_alone.values() == h.values());
          k::lstm_cell_forward<T, S>(in_place.data(), or_null(b, with_bias), or_null(old, !first),
                                     h_alone.data(), c_alone.data(), in_place.data(), size.batch, size.hidden,
                                     nullptr);
          CHECK(in_place.values() == gates.values());
          if (units == 0) continue;
          Buffer<T> h_naive(units), gates_naive(4 * units);
          Buffer<S> c_naive(units);
          launch(k::lstm_naive<T, S>, static_cast<unsigned>(k::div_up(units, 256)), 256, 0, nullptr,
                 pre.data(), or_null(b, with_bias), or_null(old, !first), h_naive.data(), c_naive.data(),
                 gates_naive.data(), size.batch, size.hidden);
          CHECK(difference(h_naive.values(), expected.h) < tolerance<T>());
          CHECK(difference(c_naive.values(), expected.c) < tolerance<S>());
          CHECK(difference(gates_naive.values(), expected.gates) < tolerance<T>());
        }
}

TEST_CASE_TEMPLATE("the LSTM cell's gradient is that of its definition, by finite differences", Pair,
                   Types<float, float>, Types<k::bf16, float>, Types<double, double>) {
  using T = typename Pair::T;
  using S = typename Pair::S;
  for (const Size& size : {Size{3, 8}, Size{2, 17}, Size{5, 3}})
    for (const bool first : {true, false})
      for (const bool last : {true, false}) {
        INFO(size.batch, " x ", size.hidden, ", first ", first, ", last ", last);
        const auto batch = static_cast<std::size_t>(size.batch),
                   hidden = static_cast<std::size_t>(size.hidden);
        const long long units = size.batch * size.hidden;
        const Doubles p = numbers(4 * units, 1, -2, 2), c_prev = first ? Doubles() : numbers(units, 3, -2, 2),
                      dh = numbers(units, 4), dc = last ? Doubles() : numbers(units, 5);
        const auto objective = [&](const Doubles& pre, const Doubles& old) {
          const Step s = step(pre, {}, old, batch, hidden);
          double sum = 0;
          for (std::size_t i = 0; i < s.h.size(); ++i) sum += s.h[i] * dh[i] + (last ? 0 : s.c[i] * dc[i]);
          return sum;
        };
        const auto differentiate = [&](bool of_p) {
          Doubles pre = p, old = c_prev;
          Doubles& moved = of_p ? pre : old;
          Doubles out(moved.size());
          for (std::size_t i = 0; i < moved.size(); ++i) {
            const double x = moved[i], e = 1e-5;
            moved[i] = x + e;
            const double up = objective(pre, old);
            moved[i] = x - e;
            out[i] = (up - objective(pre, old)) / (2 * e);
            moved[i] = x;
          }
          return out;
        };
        const Doubles dp = differentiate(true), dc_prev = differentiate(false);
        const Step s = step(p, {}, c_prev, batch, hidden);
        const double limit =
            tolerance<T>() + 1e-8 + (std::is_same_v<T, k::bf16> ? 0x1p-8 : 0);  // rounded gates
        for (const int skew : {0, 1}) {
          const Buffer<T> gates(s.gates, skew), grad_h(dh, skew);
          const Buffer<S> c(s.c), old(c_prev), grad_c(dc);
          Buffer<T> out(4 * units), in_place(s.gates, skew);
          Buffer<S> out_c(units);
          k::lstm_cell_backward<T, S>(gates.data(), c.data(), or_null(old, !first), grad_h.data(),
                                      or_null(grad_c, !last), out.data(), out_c.data(), size.batch,
                                      size.hidden, nullptr);
          CHECK(difference(out.values(), dp) < limit);
          if (!first) CHECK(difference(out_c.values(), dc_prev) < limit);
          k::lstm_cell_backward<T, S>(in_place.data(), c.data(), or_null(old, !first), grad_h.data(),
                                      or_null(grad_c, !last), in_place.data(), nullptr, size.batch,
                                      size.hidden, nullptr);
          CHECK(in_place.values() == out.values());
          Buffer<T> naive(4 * units);
          Buffer<S> naive_c(units);
          launch(k::lstm_naive_backward<T, S>, static_cast<unsigned>(k::div_up(units, 256)), 256, 0, nullptr,
                 gates.data(), c.data(), or_null(old, !first), grad_h.data(), or_null(grad_c, !last),
                 naive.data(), naive_c.data(), size.batch, size.hidden);
          CHECK(difference(naive.values(), dp) < limit);
          if (!first) CHECK(difference(naive_c.values(), dc_prev) < limit);
        }
      }
}

TEST_CASE("the LSTM cell saturates without a NaN") {
  const Buffer<float> p(Doubles{1e4, -1e4, 1e4, -1e4}), c_prev(Doubles{3});
  Buffer<float> h(1), c(1), gates(4);
  k::lstm_cell_forward<float, float>(p.data(), nullptr, c_prev.data(), h.data(), c.data(), gates.data(), 1, 1,
                                     nullptr);
  CHECK(gates.values() == Doubles{1, 0, 1, 0});
  CHECK(c.values() == Doubles{1});
  CHECK(h.values() == Doubles{0});
}
