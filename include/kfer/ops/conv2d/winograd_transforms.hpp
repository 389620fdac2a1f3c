// The Toom-Cook transforms behind Winograd convolution: the matrices, generated at compile time from their
// interpolation points, and the one-dimensional transforms, unrolled from the matrices.
//
// F(M, R) computes M outputs of a correlation with R taps from T = M + R - 1 inputs with T multiplications:
//     y = A^T [ (G g) * (B^T d) ]
// The points are 0, +1, -1, +2, -2, +1/2, -1/2, infinity, as many as T needs. They come in pairs +p, -p,
// whose rows differ only in the sign of the odd powers, so each pair costs its even half, its odd half, a sum
// and a difference.
#pragma once

#include <array>
#include <type_traits>
#include <utility>

namespace kfer::winograd {

/// Calls f(integral_constant<int, 0>) ... f(integral_constant<int, N - 1>).
template <int N, class F>
[[gnu::always_inline]] inline void unrolled(const F& f) {
  [&]<int... I>(std::integer_sequence<int, I...>) {
    (f(std::integral_constant<int, I>{}), ...);
  }
  (std::make_integer_sequence<int, N>{});
}

template <int Rows, int Columns>
using Matrix = std::array<std::array<double, Columns>, Rows>;

/// A^T, B^T and G of F(M, R). Row and column T - 1 belong to the point at infinity.
/// Source: A. Lavin, S. Gray, "Fast algorithms for convolutional neural networks", 2015; S. Winograd,
/// "Arithmetic complexity of computations", 1980.
template <int M, int R>
struct Matrices {
  static constexpr int T = M + R - 1;
  Matrix<M, T> output{};
  Matrix<T, T> input{};
  Matrix<T, R> kernel{};

  constexpr Matrices() {
    constexpr double points[] = {0, 1, -1, 2, -2, 0.5, -0.5};
    static_assert(T % 2 == 0 && T >= 4 && T - 1 <= 7, "F(M, R) needs an even M + R - 1 of 4, 6 or 8");
    for (int k = 0; k < T; ++k) {
      // B^T holds the product of (x - q) over the finite points q other than point k (over all, for
      // infinity).
      input[k][0] = 1;
      double at_point = 1;
      for (int q = 0, degree = 0; q < T - 1; ++q) {
        if (q == k) continue;
        ++degree;
        for (int i = degree; i >= 0; --i)
          input[k][i] = (i > 0 ? input[k][i - 1] : 0) - points[q] * (i < degree ? input[k][i] : 0);
        if (k < T - 1) at_point *= points[k] - points[q];
      }
      double power = 1;
      for (int i = 0; i < (M > R ? M : R); ++i) {
        const bool infinite = k == T - 1;
        if (i < M) output[i][k] = infinite ? i == M - 1 : power;
        if (i < R) kernel[k][i] = infinite ? i == R - 1 : power / at_point;
        if (!infinite) power *= points[k];
      }
    }
  }
};

namespace detail {

/// The sum over j = First, First + Step, ... of row `Row` of M times x[j], without the terms that are zero.
template <const auto& M, int Row, int First, int Step, class V>
[[gnu::always_inline]] inline V dot(const V* x) {
  constexpr int columns = static_cast<int>(M[0].size());
  V sum{};
  bool empty = true;  // folded away: every index below is a constant
  unrolled<(columns - First + Step - 1) / Step>([&](auto i) {
    constexpr int j = First + i * Step;
    constexpr float c = static_cast<float>(M[Row][j]);
    if constexpr (c == 1)
      sum = empty ? x[j] : sum + x[j];
    else if constexpr (c == -1)
      sum = empty ? -x[j] : sum - x[j];
    else if constexpr (c != 0)
      sum = empty ? c * x[j] : sum + c * x[j];
    if constexpr (c != 0) empty = false;
  });
  return sum;
}

/// out = M x for a matrix whose rows 1, 2 | 3, 4 | ... are pairs: equal but for the sign of the odd columns.
template <const auto& M, class V>
[[gnu::always_inline]] inline void multiply_paired_rows(const V* x, V* out) {
  constexpr int rows = static_cast<int>(M.size());
  out[0] = dot<M, 0, 0, 1>(x);
  unrolled<(rows - 2) / 2>([&](auto pair) {
    constexpr int k = 1 + 2 * pair;
    const V even = dot<M, k, 0, 2>(x), odd = dot<M, k, 1, 2>(x);
    out[k] = even + odd;
    out[k + 1] = even - odd;
  });
  out[rows - 1] = dot<M, rows - 1, 0, 1>(x);
}

/// Without columns 2, 4, ... but for the last: what is left of A^T once pairs are summed (or subtracted).
template <int Rows, int Columns>
constexpr Matrix<Rows, Columns / 2 + 1> without_pairs(const Matrix<Rows, Columns>& m) {
  Matrix<Rows, Columns / 2 + 1> out{};
  for (int i = 0; i < Rows; ++i) {
    out[i][0] = m[i][0];
    for (int j = 1; j < Columns / 2; ++j) out[i][j] = m[i][2 * j - 1];
    out[i][Columns / 2] = m[i][Columns - 1];
  }
  return out;
}

}  // namespace detail

/// The 1-D transforms of F(M, R), for V a float or a vector of floats (each lane by itself).
template <int M, int R>
struct Transforms {
  static constexpr int outputs = M, taps = R, tile = M + R - 1;
  static constexpr auto output_matrix = Matrices<M, R>{}.output;
  static constexpr auto input_matrix = Matrices<M, R>{}.input;
  static constexpr auto kernel_matrix = Matrices<M, R>{}.kernel;

  /// out[tile] = B^T in[tile]
  template <class V>
  [[gnu::always_inline]] static void input(const V* in, V* out) {
    detail::multiply_paired_rows<input_matrix>(in, out);
  }

  /// out[tile] = G in[taps]
  template <class V>
  [[gnu::always_inline]] static void kernel(const V* in, V* out) {
    detail::multiply_paired_rows<kernel_matrix>(in, out);
  }

  /// out[outputs] = A^T in[tile]
  template <class V>
  [[gnu::always_inline]] static void output(const V* in, V* out) {
    constexpr int pairs = (tile - 2) / 2;
    V even[pairs + 2], odd[pairs + 2];  // what the even and the odd powers of the points meet
    even[0] = odd[0] = in[0];
    even[pairs + 1] = odd[pairs + 1] = in[tile - 1];
    unrolled<pairs>([&](auto pair) {
      even[1 + pair] = in[1 + 2 * pair] + in[2 + 2 * pair];
      odd[1 + pair] = in[1 + 2 * pair] - in[2 + 2 * pair];
    });
    unrolled<M>([&](auto i) { out[i] = detail::dot<halved_, i, 0, 1>(i % 2 == 0 ? even : odd); });
  }

 private:
  static constexpr auto halved_ = detail::without_pairs<M, tile>(output_matrix);
};

/// Applies a 1-D transform along both axes: In x In values, read by `load(line, values)` line by line, become
/// Out x Out values, handed to `store(line, values)` line by line across the lines that were read.
template <int In, int Out, class V, class Transform, class Load, class Store>
[[gnu::always_inline]] inline void transform_2d(const Transform& transform, const Load& load,
                                                const Store& store) {
  V half[In][Out];
  for (int i = 0; i < In; ++i) {
    V line[In];
    load(i, line);
    transform(line, half[i]);
  }
  for (int j = 0; j < Out; ++j) {
    V line[In], out[Out];
    unrolled<In>([&](auto i) { line[i] = half[i][j]; });
    transform(line, out);
    store(j, out);
  }
}

}  // namespace kfer::winograd
