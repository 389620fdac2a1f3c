#include "buffer.hpp"
#include "kernels/elementwise/shipped.cuh"

using namespace kfer;
using namespace kfer::test;

namespace {

using Doubles = std::vector<double>;

/// Functors of the form that the launchers take.
struct Cube {
  template <class A>
  A value(A x) const {
    return x * x * x;
  }
  template <class A>
  A derivative(A x, A) const {
    return 3 * x * x;
  }
};
struct Ratio {
  template <class A>
  A value(A a, A b) const {
    return a / (2 + b);
  }
  template <class A>
  A derivative_a(A, A b) const {
    return 1 / (2 + b);
  }
  template <class A>
  A derivative_b(A a, A b) const {
    return -a / ((2 + b) * (2 + b));
  }
};

/// Of elements as they are stored: for the bare kernels.
template <class T>
struct Fused {
  T operator()(T a, T b, T c) const { return k::narrow<T>(k::widen(a) * k::widen(b) + k::widen(c)); }
};

const long long sizes[] = {1, 7, 8, 9, 31, 255, 256, 1009, 4099, 20011};

}  // namespace

TEST_CASE_TEMPLATE("every variant of the map agrees with a loop", T, float, k::bf16, double) {
  in_thread_orders([] {
    for (const long long n : sizes) {
      CAPTURE(n);
      const Doubles p = numbers(n, 1), q = numbers(n, 2), r = numbers(n, 3);
      Doubles expected;
      for (std::size_t i = 0; i < p.size(); ++i) expected.push_back(p[i] * q[i] + r[i]);
      const Buffer<T> a(p), b(q), c(r);
      constexpr int N = k::map_width<T>;
      static_assert(N * sizeof(T) == 16);
      const auto check = [&](auto kernel, long long per_block, unsigned most) {
        Buffer<T> y(n);
        const auto blocks = static_cast<unsigned>(std::max(1ll, k::div_up(n, per_block)));
        launch(kernel, k::dim3(std::min(most, blocks)), k::dim3(256), 0, k::Stream{}, Fused<T>{}, n, y.data(),
               a.data(), b.data(), c.data());
        CHECK(difference(y.values(), expected) < tolerance<T>());
      };
      check(k::map_naive<Fused<T>, T, T, T, T>, 256, ~0u);
      check(k::map_vectorised<N, Fused<T>, T, T, T, T>, 256 * N, ~0u);
      check(k::map_unrolled<N, 2, Fused<T>, T, T, T, T>, 512 * N, ~0u);
      check(k::map_unrolled<N, 4, Fused<T>, T, T, T, T>, 1024 * N, 2);  // strides over tiles
    }
  });
}

TEST_CASE_TEMPLATE("functions of one tensor and their gradients, at any alignment and in place", T, float,
                   k::bf16, double) {
  for (const long long n : sizes)
    for (const int skew : {0, 1}) {
      CAPTURE(n);
      const Doubles x = numbers(n, 1), dy = numbers(n, 2);
      Doubles cube, slope;
      for (std::size_t i = 0; i < x.size(); ++i) {
        cube.push_back(x[i] * x[i] * x[i]);
        slope.push_back(dy[i] * 3 * x[i] * x[i]);
      }
      const Buffer<T> a(x, skew);
      Buffer<T> y(n, skew), g(dy), dx(n);
      k::unary_forward(Cube{}, a.data(), y.data(), n, {});
      CHECK(difference(y.values(), cube) < tolerance<T>());
      k::unary_backward(Cube{}, static_cast<const T*>(g.data()), a.data(), y.data(), dx.data(), n, {});
      CHECK(difference(dx.values(), slope) < tolerance<T>());
      k::unary_backward(Cube{}, static_cast<const T*>(g.data()), a.data(), y.data(), g.data(), n, {});
      CHECK(g.values() == dx.values());
    }
  k::unary_forward(Cube{}, static_cast<const T*>(nullptr), static_cast<T*>(nullptr), 0, {});
}

TEST_CASE_TEMPLATE("operands that repeat along any dimensions", T, float, k::bf16, double) {
  const auto check = [](const std::vector<long long>& extent, unsigned in_a, unsigned in_b, int skew) {
    const int dims = static_cast<int>(extent.size());
    const auto has = [&](unsigned mask, int d) { return (mask >> d & 1) != 0; };
    std::vector<long long> step_a(extent.size()), step_b(extent.size());
    long long na = 1, nb = 1, n = 1;
    for (int d = dims - 1; d >= 0; --d) {
      const auto i = static_cast<std::size_t>(d);
      step_a[i] = has(in_a, d) ? na : 0;
      step_b[i] = has(in_b, d) ? nb : 0;
      na *= has(in_a, d) ? extent[i] : 1;
      nb *= has(in_b, d) ? extent[i] : 1;
      n *= extent[i];
    }
    k::Broadcast shape;
    for (std::size_t i = 0; i < extent.size(); ++i) shape.push(extent[i], step_a[i], step_b[i]);
    CHECK(shape.size() == n);
    const Doubles p = numbers(na, 1), q = numbers(nb, 2), dy = numbers(n, 3);
    Doubles y, da, db;
    for (long long at = 0; at < n; ++at) {
      long long rest = at, ia = 0, ib = 0;
      for (std::size_t i = extent.size(); i-- > 0; rest /= extent[i]) {
        ia += rest % extent[i] * step_a[i];
        ib += rest % extent[i] * step_b[i];
      }
      const double s = p[static_cast<std::size_t>(ia)], t = q[static_cast<std::size_t>(ib)],
                   g = dy[static_cast<std::size_t>(at)];
      y.push_back(s / (2 + t));
      da.push_back(g / (2 + t));
      db.push_back(-g * s / ((2 + t) * (2 + t)));
    }
    const Buffer<T> a(p, skew), b(q), g(dy);
    Buffer<T> out(n), ga(n), gb(n, skew), in_place(dy), repeated(n);
    k::binary_forward(Ratio{}, shape, a.data(), b.data(), out.data(), {});
    k::binary_backward_a(Ratio{}, shape, g.data(), a.data(), b.data(), ga.data(), {});
    k::binary_backward_b(Ratio{}, shape, g.data(), a.data(), b.data(), gb.data(), {});
    k::binary_backward_b(Ratio{}, shape, static_cast<const T*>(in_place.data()), a.data(), b.data(),
                         in_place.data(), {});
    CHECK(difference(out.values(), y) < tolerance<T>());
    CHECK(difference(ga.values(), da) < tolerance<T>());
    CHECK(difference(gb.values(), db) < tolerance<T>());
    CHECK(in_place.values() == gb.values());
    Buffer<T> in_pieces(n);  // as tensors past 2^30 elements are
    k::detail::broadcast(100, k::detail::BinaryValue<Ratio, T>{}, shape, a.data(), b.data(), in_pieces.data(),
                         {});
    CHECK(in_pieces.values() == out.values());
  };
  for (const int skew : {0, 1}) {
    check({5, 7}, 3, 3, skew);  // one shape
    check({1009}, 1, 0, skew);  // a number
    check({1009}, 0, 1, skew);
    check({37, 16}, 3, 2, skew);  // a bias over channels, NHWC
    check({37, 17}, 3, 2, skew);
    check({16, 37}, 3, 1, skew);     // one a row
    check({3, 16, 35}, 7, 2, skew);  // a bias over channels, NCHW
    check({3, 16, 40}, 2, 7, skew);
    check({4, 3, 8}, 5, 2, skew);  // neither operand has the result's shape
    check({2, 3, 4, 5, 8}, 21, 31, skew);
    check({2, 3, 2, 3, 2, 3, 2, 3}, 0x55, 0xAA, skew);
    check({1, 1}, 3, 0, skew);
    check({300, 400}, 3, 2, skew);  // more than one pass of the grid
  }
}

TEST_CASE_TEMPLATE("accumulate, cast and fill", T, float, k::bf16, double) {
  for (const long long n : sizes)
    for (const int skew : {0, 1}) {
      const Doubles x = numbers(n, 1), more = numbers(n, 2);
      Doubles sum;
      for (std::size_t i = 0; i < x.size(); ++i) sum.push_back(x[i] + more[i]);
      Buffer<T> s(x, skew);
      const Buffer<T> m(more);
      k::accumulate(s.data(), m.data(), n, {});
      CHECK(difference(s.values(), sum) < tolerance<T>());
      const Buffer<T> from(x, skew);
      Buffer<float> f(n);
      Buffer<double> d(n);
      Buffer<k::bf16> h(n, skew);
      k::cast(from.data(), f.data(), n, {});
      k::cast(from.data(), d.data(), n, {});
      k::cast(from.data(), h.data(), n, {});
      CHECK(f.values() == x);  // bf16 numbers: exact in all types
      CHECK(d.values() == x);
      CHECK(h.values() == x);
      Buffer<T> c(n, skew);
      k::fill(c.data(), k::narrow<T>(k::accum_t<T>(2.5)), n, {});
      CHECK(c.values() == Doubles(x.size(), 2.5));
    }
  Buffer<unsigned char> bytes(1003);
  k::fill(bytes.data(), static_cast<unsigned char>(9), 1003, {});
  CHECK(bytes.values() == Doubles(1003, 9));
  Buffer<T> of_bytes(1003);
  k::cast(static_cast<const unsigned char*>(bytes.data()), of_bytes.data(), 1003, {});
  CHECK(of_bytes.values() == Doubles(1003, 9));
}

TEST_CASE_TEMPLATE("division by multiplication is division", Number, int, unsigned) {
  constexpr long long most = 0x7FFFFFFF;
  std::mt19937 engine(1);
  std::vector<long long> divisors{
      0, 1, 2, 3, 5, 7, 8, 9, 56, 64, 255, 641, 65535, 65536, 65537, 1 << 30, (1 << 30) + 1, most - 1, most};
  for (int i = 0; i < 300; ++i) divisors.push_back(engine() >> (1 + engine() % 31));
  for (const long long given : divisors) {
    const k::FastDivider<Number> fast(given);
    const k::PlainDivider<Number> plain(given);
    const long long d = std::max(given, 1ll);  // a divisor of 0 counts as 1
    std::vector<long long> numbers = divisors;
    for (const long long q : {0ll, 1ll, 2ll, 3ll, 1000ll, most / d, most / 2 / d})
      for (const long long n : {q * d - 1, q * d, q * d + 1, q * d + d - 1}) numbers.push_back(n);
    for (const long long n : numbers) {
      if (n < 0 || n > most) continue;
      Number rest = 0;
      REQUIRE(fast.divide(static_cast<Number>(n), rest) == static_cast<Number>(n / d));
      REQUIRE(rest == static_cast<Number>(n % d));
      REQUIRE(plain.divide(static_cast<Number>(n), rest) == static_cast<Number>(n / d));
      REQUIRE(rest == static_cast<Number>(n % d));
    }
  }
}
