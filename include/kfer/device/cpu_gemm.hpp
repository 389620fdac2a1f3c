// Matrix products of row-major floats on the Cpu.
#pragma once

#include <oneapi/dnnl/dnnl.h>

#include <algorithm>
#include <cstdint>

#include "kfer/core/error.hpp"

namespace kfer::cpu {

/// C = op(A) op(B) + beta C with op(A) [m, k], op(B) [k, n] and C [m, n]; a `t` flag says that a matrix is stored
/// transposed. Leading dimensions are the row lengths in memory. beta is 0 or 1.
inline void gemm(bool ta, bool tb, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, std::int64_t lda,
                 const float* b, std::int64_t ldb, float beta, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (beta == 0)
      for (std::int64_t i = 0; i < m; ++i) std::fill_n(c + i * ldc, n, 0.0f);
    return;
  }
  const auto status = dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1.0f, a, lda, b, ldb, beta, c, ldc);
  require<Error>(status == dnnl_success, "gemm: oneDNN refused a product of ", m, " x ", k, " and ", k, " x ", n);
}

}  // namespace kfer::cpu
