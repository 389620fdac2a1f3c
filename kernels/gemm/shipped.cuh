// The GEMM that ships.
#pragma once

#include "6_double_buffer.cuh"

KFER_KERNELS_BEGIN

/// C = epilogue(alpha op(A) op(B) + beta C) for any sizes, leading dimensions, alignment and transpositions,
/// in float, double or bf16 (summed in float). Deterministic. Tiles of 128 x 128, or of 64 x 64 where those
/// would leave multiprocessors without work.
template <class T>
void gemm(const Gemm<T>& g, Stream stream) {
  if constexpr (sizeof(T) == 8) {
    gemm_double_buffer<T, 64>(g, stream);
  } else {
    if (div_up(g.m, 128) * div_up(g.n, 128) < multiprocessors())
      gemm_double_buffer<T, 64>(g, stream);
    else
      gemm_double_buffer<T, 128>(g, stream);
  }
}

KFER_KERNELS_END
