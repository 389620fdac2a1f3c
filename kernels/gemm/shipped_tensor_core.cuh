// The GEMM on tensor cores for any size and alignment: cuBLASLt's rival in tests and benchmarks. No operation
// includes it. A header of its own, because it costs a compiler more than all the rest and because wgmma
// needs a build for sm_90a.
#pragma once

#include "7_tensor_core.cuh"
#include "8_wgmma_tma.cuh"
#include "shipped.cuh"

KFER_KERNELS_BEGIN

/// C = epilogue(alpha op(A) op(B) + beta C) in bf16, summed in float: by wgmma where sizes and alignment fit,
/// else by mma.sync, else without tensor cores.
inline void gemm_tensor_core(const Gemm<bf16>& g, Stream stream) {
  if (gemm_wgmma_fits(g))
    gemm_wgmma(g, stream);
  else if (gemm_mma_fits(g))
    gemm_mma(g, stream);
  else
    gemm(g, stream);
}

/// The same in float with products in TF32 (10 bits of mantissa, sums in float) where alignment fits.
inline void gemm_tensor_core(const Gemm<float>& g, Stream stream) {
  if (gemm_mma_fits(g))
    gemm_mma(g, stream);
  else
    gemm(g, stream);
}

KFER_KERNELS_END
