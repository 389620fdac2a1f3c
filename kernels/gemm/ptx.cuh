// PTX instructions of sm_90, one function each: barriers in shared memory, the copy engine, wgmma. Under the
// host executor they are acted out (ptx_host.cuh).
#pragma once

#include "../common/ptx.cuh"

#if !defined(__CUDACC__)
#include "ptx_host.cuh"
#else

#include <cuda.h>

KFER_KERNELS_BEGIN

using TensorMap = CUtensorMap;

namespace detail {

/// cuTensorMapEncodeTiled, found through the runtime, so that programs need not be linked with the driver.
inline decltype(&cuTensorMapEncodeTiled) tensor_map_encoder() {
  static const auto encoder = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found{};
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        found != cudaDriverEntryPointSuccess)
      throw std::runtime_error(
          "gemm: the driver has no cuTensorMapEncodeTiled; it must be for CUDA 12 or newer");
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
  }();
  return encoder;
}

}  // namespace detail

/// A matrix of bf16, `rows` rows of `columns`, as boxes of box_rows x 64 with the swizzle of 128 bytes.
inline TensorMap tensor_map(const bf16* p, long long rows, long long columns, long long ld, int box_rows) {
  TensorMap map;
  const cuuint64_t extent[2] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t stride[1] = {static_cast<cuuint64_t>(ld) * sizeof(bf16)};
  const cuuint32_t box[2] = {64, static_cast<cuuint32_t>(box_rows)}, step[2] = {1, 1};
  const CUresult result = detail::tensor_map_encoder()(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<bf16*>(p), extent, stride, box, step,
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) throw std::runtime_error("gemm: cuTensorMapEncodeTiled refused a matrix");
  return map;
}

namespace ptx {

// ---- barriers in shared memory and the copy engine (sm_90) ----

__device__ inline void mbarrier_init(unsigned barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
/// Makes initialised barriers visible to the copy engine.
__device__ inline void mbarrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ inline void mbarrier_arrive(unsigned barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Arrives, and lets the phase end only when `bytes` more have been copied.
__device__ inline void mbarrier_arrive_expect(unsigned barrier, unsigned bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
/// Waits until the phase of this parity has ended.
__device__ inline void mbarrier_wait(unsigned barrier, unsigned parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra ready;\n"
      "bra again;\n"
      "ready:\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// Box of a 2-D tensor map, from element (x, y), x along its rows, to shared memory; counts on the barrier.
__device__ inline void tma_load(unsigned to, const TensorMap& map, int x, int y, unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], "
      "[%4];" ::"r"(to),
      "l"(&map), "r"(x), "r"(y), "r"(barrier)
      : "memory");
}
__device__ inline void tma_prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

/// A barrier of `threads` threads, number `id` of 16; 0 is __syncthreads'.
__device__ inline void named_barrier(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- wgmma (sm_90a) ----

template <int registers>
__device__ inline void more_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
}
template <int registers>
__device__ inline void fewer_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
}
__device__ inline void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
template <int pending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(pending) : "memory");
}

/// Tells the compiler, which does not know that wgmma is asynchronous, to leave these registers alone across
/// this point.
template <int n>
__device__ inline void wgmma_sums(float (&d)[n]) {
#pragma unroll
  for (int i = 0; i < n; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// An instruction's operands are text to the compiler; no template can count them.
#define KFER_EIGHT_SUMS(i)                                                                    \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define KFER_64_SUMS(i)                                                                         \
  KFER_EIGHT_SUMS(i), KFER_EIGHT_SUMS(i + 8), KFER_EIGHT_SUMS(i + 16), KFER_EIGHT_SUMS(i + 24), \
      KFER_EIGHT_SUMS(i + 32), KFER_EIGHT_SUMS(i + 40), KFER_EIGHT_SUMS(i + 48), KFER_EIGHT_SUMS(i + 56)
#define KFER_FIRST_64_NAMES                                                          \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"

/// d += A B, 64 x N x 16 in bf16, matrices by descriptor. Asynchronous. Transposed means that k is not the
/// contiguous direction.
template <int N>
struct Wgmma;

template <>
struct Wgmma<128> {
  template <bool TransposeA, bool TransposeB>
  __device__ static void run(float (&d)[64], unsigned long long a, unsigned long long b) {
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" KFER_FIRST_64_NAMES
                 "}, "
                 "%64, %65, 1, 1, 1, %66, %67;\n"
                 : KFER_64_SUMS(0)
                 : "l"(a), "l"(b), "n"(int(TransposeA)), "n"(int(TransposeB)));
  }
};

template <>
struct Wgmma<256> {
  template <bool TransposeA, bool TransposeB>
  __device__ static void run(float (&d)[128], unsigned long long a, unsigned long long b) {
    asm volatile(
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {" KFER_FIRST_64_NAMES
        ", "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
        "%128, %129, 1, 1, 1, %130, %131;\n"
        : KFER_64_SUMS(0), KFER_64_SUMS(64)
        : "l"(a), "l"(b), "n"(int(TransposeA)), "n"(int(TransposeB)));
  }
};

#undef KFER_EIGHT_SUMS
#undef KFER_64_SUMS
#undef KFER_FIRST_64_NAMES

}  // namespace ptx

KFER_KERNELS_END

#endif
