// Products of matrices by cuBLASLt, with what follows them fused in.
//
// float is computed in TF32 unless Cuda::math().strict_fp32, bfloat16 with sums in float32. The order of
// summation depends on the plan alone, so a run of the same shapes gives the same bits.
#pragma once

#include "kfer/core/dtype.hpp"
#include "kfer/device/cublaslt/plan.hpp"
#include "kfer/device/cuda.hpp"

namespace kfer::cublaslt {

/// C [m, n] = epilogue(alpha op(A) op(B) + beta C), all matrices row-major and not empty.
template <class T>
struct Matmul {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;  ///< [m, k], or [k, m] if transposed
  std::int64_t lda = 0;
  const T* b = nullptr;  ///< [k, n], or [n, k] if transposed
  std::int64_t ldb = 0;
  T* c = nullptr;
  std::int64_t ldc = 0;
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 0;
  Epilogue epilogue = Epilogue::none;
  const T* bias = nullptr;  ///< [n], read by the epilogues with a bias
  T* sums = nullptr;        ///< written by those that sum: [n], or [m] for sums_of_a
  void* relu_mask =
      nullptr;  ///< bits, relu_mask_bytes(m, n) of them; written by relu_aux_bias, read by drelu
};

/// Bits from a row of a ReLU's mask to the next: what the library asks for.
constexpr std::int64_t relu_mask_stride(std::int64_t n) {
  return (n + 127) / 128 * 128;
}
constexpr std::int64_t relu_mask_bytes(std::int64_t m, std::int64_t n) {
  return m * relu_mask_stride(n) / 8;
}

namespace detail {
template <class T>
inline constexpr cudaDataType_t data_type = std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_16BF;

/// The largest power of two, at most 256, that divides the address.
inline std::uint32_t alignment(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | 256;
  return static_cast<std::uint32_t>(address & (~address + 1));
}
}  // namespace detail

/// Enqueues the product on Cuda's stream. False, and nothing done, if the library has no algorithm for it.
/// Throws DeviceError naming the call that failed.
template <class T>
requires(std::is_same_v<T, float> || std::is_same_v<T, bfloat16>)
    [[nodiscard]] bool try_matmul(const Matmul<T>& p) {
  const void* const vector = p.bias ? static_cast<const void*>(p.bias) : p.sums;
  const bool tf32 = std::is_same_v<T, float> && !Cuda::math().strict_fp32;
  const PlanKey key{.type = detail::data_type<T>,
                    .compute = tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                    .m = p.m,
                    .n = p.n,
                    .k = p.k,
                    .lda = p.lda,
                    .ldb = p.ldb,
                    .ldc = p.ldc,
                    .aux_ld = has_aux(p.epilogue) ? relu_mask_stride(p.n) : 0,
                    .transpose_a = p.transpose_a,
                    .transpose_b = p.transpose_b,
                    .epilogue = p.epilogue,
                    .align_a = detail::alignment(p.a),
                    .align_b = detail::alignment(p.b),
                    .align_c = detail::alignment(p.c),
                    .align_vector = detail::alignment(vector)};
  return PlanCache::instance().with(key, vector, p.relu_mask, [&](cublasLtHandle_t handle, Plan* plan) {
    if (!plan) return false;
    if (has_vector(p.epilogue)) plan->descriptor.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    if (has_aux(p.epilogue)) plan->descriptor.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.relu_mask);
    const Buffer<Cuda> workspace(plan->workspace);  // reused in the stream's order once it is given back
    check(cublasLtMatmul(handle, plan->descriptor.get(), &p.alpha, p.b, plan->a.get(), p.a, plan->b.get(),
                         &p.beta, p.c, plan->c.get(), p.c, plan->c.get(), &plan->algorithm, workspace.data(),
                         plan->workspace, Cuda::stream()),
          "cublasLtMatmul");
    Cuda::enqueued("cublasLtMatmul");
    return true;
  });
}

/// The same; throws DeviceError, with the sizes, also if there is no algorithm.
template <class T>
void matmul(const Matmul<T>& p) {
  require<DeviceError>(try_matmul(p), "cublaslt: no algorithm for a product of ", p.m, " x ", p.k, " and ",
                       p.k, " x ", p.n, " in ", dtype_name<T>(), " with epilogue ",
                       static_cast<int>(p.epilogue));
}

}  // namespace kfer::cublaslt
