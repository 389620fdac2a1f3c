// Matrix products of row-major floats on the Cpu: oneDNN's sgemm, and two kernels for the shapes of a
// classifier's last layer, where one side is huge and the others are not. Those move little more than they
// must, but at the usual power-of-two sizes their rows lie on top of each other in the cache, which costs a
// general sgemm half its speed.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kfer/core/error.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/core/simd.hpp"
#include "kfer/device/cpu.hpp"

namespace kfer::cpu {
namespace detail {

inline constexpr int W = simd_width;

/// sums[i][j] += rows a_i and b_j multiplied lane by lane over `vectors` vectors. Asks for the row at `next`,
/// of the same length, on the way: distant rows are beyond what the processor foresees.
template <int M, int N>
void dot_tile(std::int64_t vectors, const float* a, std::int64_t lda, const float* b, std::int64_t ldb,
              float* sums, std::int64_t ld_sums, const float* next) {
  simd_f32<W> s[M][N];
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) s[i][j] = simd_load<W>(sums + i * ld_sums + j * W);
  for (std::int64_t k = 0; k < vectors; ++k) {
    __builtin_prefetch(next + k * W);
    simd_f32<W> q[N];
    for (int j = 0; j < N; ++j) q[j] = simd_load<W>(b + j * ldb + k * W);
    for (int i = 0; i < M; ++i) {
      const simd_f32<W> p = simd_load<W>(a + i * lda + k * W);
      for (int j = 0; j < N; ++j) s[i][j] += p * q[j];
    }
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) simd_store<W>(sums + i * ld_sums + j * W, s[i][j]);
}

/// M rows of a with all n rows of b; `more` rows follow those M.
template <int M>
void dot_row_of_tiles(std::int64_t n, std::int64_t vectors, const float* a, std::int64_t lda, const float* b,
                      std::int64_t ldb, float* sums, std::int64_t more) {
  constexpr int N = W == 16 ? 6 : 4;
  std::int64_t j = 0, ahead = 0;
  const auto next = [&] { return a + (ahead < more ? M + ahead++ : 0) * lda; };
  for (; j + N <= n; j += N) dot_tile<M, N>(vectors, a, lda, b + j * ldb, ldb, sums + j * W, n * W, next());
  for (; j < n; ++j) dot_tile<M, 1>(vectors, a, lda, b + j * ldb, ldb, sums + j * W, n * W, next());
}

/// c[m, n] = a[m, k] b[n, k]^T for a long k: each thread sums its share of k, a cache's worth of b at a time.
inline void dot_products(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                         const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  constexpr std::int64_t piece = 512;
  constexpr int M = W == 16 ? 4 : 2;
  const std::int64_t whole = k / W * W, size = m * n * W;
  const Buffer<Cpu> room(static_cast<std::size_t>(size * num_threads()) * sizeof(float));
  float* sums = static_cast<float*>(room.data());
  std::fill_n(sums, size * num_threads(), 0.0f);
  parallel_ranges(whole, piece, [&](int thread, std::int64_t begin, std::int64_t end) {
    const Buffer<Cpu> packed(static_cast<std::size_t>(n * piece) * sizeof(float));
    float *panel = static_cast<float*>(packed.data()), *mine = sums + thread * size;
    for (std::int64_t k0 = begin; k0 < end; k0 += piece) {
      const std::int64_t length = std::min(piece, end - k0);
      for (std::int64_t j = 0; j < n; ++j)
        std::memcpy(panel + j * piece, b + j * ldb + k0, static_cast<std::size_t>(length) * sizeof(float));
      std::int64_t i = 0;
      for (; i + M <= m; i += M)
        dot_row_of_tiles<M>(n, length / W, a + i * lda + k0, lda, panel, piece, mine + i * n * W,
                            std::min<std::int64_t>(M, m - i - M));
      for (; i < m; ++i)
        dot_row_of_tiles<1>(n, length / W, a + i * lda + k0, lda, panel, piece, mine + i * n * W,
                            std::min<std::int64_t>(1, m - i - 1));
    }
  });
  const std::int64_t threads = num_threads();
  parallel_ranges(m * n, 64, [&](int, std::int64_t begin, std::int64_t end) {
    for (std::int64_t e = begin; e < end; ++e) {
      simd_f32<W> total{};
      for (std::int64_t t = 0; t < threads; ++t) total += simd_load<W>(sums + t * size + e * W);
      float sum = 0;
      for (int l = 0; l < W; ++l) sum += total[l];
      const std::int64_t i = e / n, j = e % n;
      for (std::int64_t l = whole; l < k; ++l) sum += a[i * lda + l] * b[j * ldb + l];
      c[i * ldc + j] = sum;
    }
  });
}

/// c[i, 0 .. N W) for M rows of c: the sum over k of a(k, i) b[k, ...]; element (k, i) of a is at k * ak + i
/// * ai.
template <int M, int N>
void panel_tile(std::int64_t k, const float* a, std::int64_t ak, std::int64_t ai, const float* b,
                std::int64_t ldb, float* c, std::int64_t ldc) {
  simd_f32<W> s[M][N] = {};
  for (std::int64_t l = 0; l < k; ++l) {
    simd_f32<W> q[N];
    for (int j = 0; j < N; ++j) q[j] = simd_load<W>(b + l * ldb + j * W);
    for (int i = 0; i < M; ++i) {
      const float p = a[l * ak + i * ai];
      for (int j = 0; j < N; ++j) s[i][j] += p * q[j];
    }
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < N; ++j) simd_store<W>(c + i * ldc + j * W, s[i][j]);
}

/// c[m, n] = a b[k, n] for a long n and short m and k, a cache's worth of columns at a time; (k, i) of a is
/// at k * ak + i * ai. n is a multiple of `panel_columns`.
inline constexpr std::int64_t panel_columns = 16 * W;
inline void panels(std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t ak,
                   std::int64_t ai, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  constexpr int M = W == 16 ? 6 : 3, N = 4;
  parallel_ranges(n, panel_columns, [&](int, std::int64_t begin, std::int64_t end) {
    const Buffer<Cpu> packed(static_cast<std::size_t>(k * panel_columns) * sizeof(float));
    float* panel = static_cast<float*>(packed.data());
    for (std::int64_t j0 = begin; j0 < end; j0 += panel_columns) {
      for (std::int64_t l = 0; l < k; ++l)
        std::memcpy(panel + l * panel_columns, b + l * ldb + j0, panel_columns * sizeof(float));
      const auto rows = [&](auto height, std::int64_t i) {
        for (std::int64_t j = 0; j < panel_columns; j += N * W)
          panel_tile<decltype(height)::value, N>(k, a + i * ai, ak, ai, panel + j, panel_columns,
                                                 c + i * ldc + j0 + j, ldc);
      };
      std::int64_t i = 0;
      for (; i + M <= m; i += M) rows(std::integral_constant<int, M>(), i);
      for (; i < m; ++i) rows(std::integral_constant<int, 1>(), i);
    }
  });
}

}  // namespace detail

/// C = op(A) op(B) with op(A) [m, k], op(B) [k, n] and C [m, n]; a `t` flag says that a matrix is stored
/// transposed. Leading dimensions are the row lengths in memory. The same bits in every run with the same
/// number of threads.
inline void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                 std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (std::int64_t i = 0; i < m; ++i) std::fill_n(c + i * ldc, n, 0.0f);
    return;
  }
  if (!ta && tb && k >= 1024 && m <= 256 && n <= 64)
    return detail::dot_products(m, n, k, a, lda, b, ldb, c, ldc);
  if (!tb && n >= 4096 && m < k && k <= 128) {  // with m >= k the result is what moves, and sgemm is as good
    const std::int64_t whole = n / detail::panel_columns * detail::panel_columns;
    detail::panels(m, whole, k, a, ta ? lda : 1, ta ? 1 : lda, b, ldb, c, ldc);
    if (whole == n) return;
    n -= whole, b += whole, c += whole;
  }
  const auto status = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, 0.0f, c, ldc);
  require<Error>(status == dnnl_success, "gemm: oneDNN refused a product of ", m, " x ", k, " and ", k, " x ",
                 n);
}

}  // namespace kfer::cpu
