// A product that cuBLASLt knows how to compute: descriptors and the algorithm its heuristic chose, kept by
// what the choice depends on. Row-major outside, column-major inside; the translation is here alone.
#pragma once

#include <compare>
#include <map>
#include <mutex>
#include <optional>

#include "kfer/device/cublaslt/handles.hpp"
#include "kfer/device/cuda/context.hpp"

namespace kfer::cublaslt {

/// What happens to the product before it is written. `vector` and `aux` are those of Matmul. No operation
/// uses those with `aux` yet.
enum class Epilogue {
  none,
  relu,
  bias,                 ///< + vector[column]
  relu_bias,            ///< max(0, . + vector[column])
  relu_aux_bias,        ///< the same, and aux gets a bit an element: whether it passed the ReLU
  drelu,                ///< zero where aux's bit is zero
  drelu_bias_gradient,  ///< the same, and vector[column] gets the sums of the result's columns
  sums_of_a             ///< vector[row] gets the sum over k of op(A)[row, k]
};

constexpr cublasLtEpilogue_t to_cublaslt(Epilogue e) {
  switch (e) {
    case Epilogue::relu:
      return CUBLASLT_EPILOGUE_RELU;
    case Epilogue::bias:
      return CUBLASLT_EPILOGUE_BIAS;
    case Epilogue::relu_bias:
      return CUBLASLT_EPILOGUE_RELU_BIAS;
    case Epilogue::relu_aux_bias:
      return CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
    case Epilogue::drelu:
      return CUBLASLT_EPILOGUE_DRELU;
    case Epilogue::drelu_bias_gradient:
      return CUBLASLT_EPILOGUE_DRELU_BGRAD;
    case Epilogue::sums_of_a:
      return CUBLASLT_EPILOGUE_BGRADB;  // A is the second matrix inside
    case Epilogue::none:
      break;
  }
  return CUBLASLT_EPILOGUE_DEFAULT;
}
constexpr bool has_vector(Epilogue e) {
  return e != Epilogue::none && e != Epilogue::relu && e != Epilogue::drelu;
}
constexpr bool has_aux(Epilogue e) {
  return e == Epilogue::relu_aux_bias || e == Epilogue::drelu || e == Epilogue::drelu_bias_gradient;
}

/// All that the choice of an algorithm depends on. Alignments are in bytes, at most 256.
struct PlanKey {
  cudaDataType_t type;
  cublasComputeType_t compute;
  std::int64_t m, n, k, lda, ldb, ldc, aux_ld;
  bool transpose_a, transpose_b;
  Epilogue epilogue;
  std::uint32_t align_a, align_b, align_c, align_vector;
  auto operator<=>(const PlanKey&) const = default;
};

struct Plan {
  MatmulDescriptor descriptor;
  MatrixLayout a, b, c;  ///< in cuBLASLt's order: `a` is the row-major product's second matrix
  cublasLtMatmulAlgo_t algorithm;
  std::size_t workspace;
};

/// The most scratch memory that a plan may ask for: what NVIDIA advises for Hopper.
inline constexpr std::size_t max_workspace = std::size_t{32} << 20;

/// The best plan by the library's heuristic; none if the library cannot compute this. `vector` and `aux` are
/// only looked at for their alignment.
inline std::optional<Plan> make_plan(cublasLtHandle_t handle, const PlanKey& key, const void* vector,
                                     const void* aux) {
  // A row-major matrix is its transpose in column-major order, and C^T = op(B)^T op(A)^T: so B comes first,
  // and neither needs another transposition.
  Plan plan{{key.compute, CUDA_R_32F},
            {key.type, key.transpose_b ? key.k : key.n, key.transpose_b ? key.n : key.k, key.ldb},
            {key.type, key.transpose_a ? key.m : key.k, key.transpose_a ? key.k : key.m, key.lda},
            {key.type, key.n, key.m, key.ldc},
            {},
            0};
  auto& d = plan.descriptor;
  d.set(CUBLASLT_MATMUL_DESC_TRANSA, key.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  d.set(CUBLASLT_MATMUL_DESC_TRANSB, key.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  d.set(CUBLASLT_MATMUL_DESC_EPILOGUE, to_cublaslt(key.epilogue));
  if (has_vector(key.epilogue)) {
    d.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
    d.set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, key.type);
  }
  if (has_aux(key.epilogue)) {
    d.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
    d.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, key.aux_ld);
  }
  MatmulPreference preference;
  preference.set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, max_workspace);
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.align_b);
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.align_a);
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.align_c);
  preference.set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.align_c);
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, d.get(), plan.a.get(), plan.b.get(), plan.c.get(), plan.c.get(),
                                     preference.get(), 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0)) return {};
  check(status, "cublasLtMatmulAlgoGetHeuristic");
  if (best.state != CUBLAS_STATUS_SUCCESS) return {};
  plan.algorithm = best.algo;
  plan.workspace = best.workspaceSize;
  return plan;
}

/// The plans of a process. A plan's descriptor carries the pointers of the call in progress, so a call holds
/// the lock until it is enqueued.
class PlanCache {
 public:
  static PlanCache& instance() {
    static PlanCache& cache = *[] {  // never destroyed: the driver may be gone by then
      const cuda::OutsideCapture outside;
      return new PlanCache;
    }();
    return cache;
  }

  /// Calls `use(handle, plan or null)`.
  template <class Use>
  decltype(auto) with(const PlanKey& key, const void* vector, const void* aux, const Use& use) {
    const std::lock_guard lock(mutex_);
    auto at = plans_.find(key);
    if (at == plans_.end()) {
      const cuda::OutsideCapture outside;  // looking for an algorithm is no part of a graph
      at = plans_.emplace(key, make_plan(handle_.get(), key, vector, aux)).first;
    }
    return use(handle_.get(), at->second ? &*at->second : nullptr);
  }

 private:
  std::mutex mutex_;
  Handle handle_;
  std::map<PlanKey, std::optional<Plan>> plans_;
};

}  // namespace kfer::cublaslt
