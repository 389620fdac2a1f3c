// Products of matrices: large square ones, the three of a linear layer, and 1 x 1 convolutions' long narrow
// ones. In float by multiply-adds, in float as TF32 and in bf16, the last two on tensor cores.
#include "bench.cuh"
#include "cublaslt.cuh"
#include "kfer/kernels/gemm/1_naive.cuh"
#include "kfer/kernels/gemm/2_coalesced.cuh"
#include "kfer/kernels/gemm/3_shared_tile.cuh"
#include "kfer/kernels/gemm/4_register_tile.cuh"
#include "kfer/kernels/gemm/5_vectorised.cuh"
#include "kfer/kernels/gemm/6_double_buffer.cuh"
#include "kfer/kernels/gemm/shipped.cuh"
#include "kfer/kernels/gemm/shipped_tensor_core.cuh"

namespace k = kfer::kernels;

namespace {

struct Size {
  long long m, n, k;
  bool transpose_a = false, transpose_b = false;
};

/// tf32: float on tensor cores. All of a case give what is asked for to one precision.
template <class T>
void product(bench::Suite& suite, const Size& size, bool tf32) {
  const long long m = size.m, n = size.n, depth = size.k;
  const bool ta = size.transpose_a, tb = size.transpose_b;
  const double spread = std::sqrt(3.0 / static_cast<double>(depth));  // results have a deviation below 1
  const auto left = bench::random_values<T>(m * depth, 1),
             right = bench::random_values<T>(depth * n, 2, -spread, spread);
  const bench::Array<T> a(left), b(right), c(m * n);
  const k::Gemm<T> g{.m = m,
                     .n = n,
                     .k = depth,
                     .a = a.data(),
                     .lda = ta ? m : depth,
                     .b = b.data(),
                     .ldb = tb ? depth : n,
                     .c = c.data(),
                     .ldc = n,
                     .transpose_a = ta,
                     .transpose_b = tb};
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(depth);
  auto bench_case = suite.make_case(
      bench::text("%lld x %lld x %lld%s%s, %s", m, n, depth, ta ? ", A transposed" : "",
                  tb ? ", B transposed" : "", tf32 ? "TF32" : bench::type_name<T>),
      {.bytes = static_cast<double>(m * depth + depth * n + m * n) * sizeof(T), .flops = flops});
  bench_case.expect(
      c,
      [&](std::size_t at) {
        const long long i = static_cast<long long>(at) / n, j = static_cast<long long>(at) % n;
        double sum = 0;
        for (long long l = 0; l < depth; ++l)
          sum += bench::number(left[ta ? l * m + i : i * depth + l]) *
                 bench::number(right[tb ? j * depth + l : l * n + j]);
        return sum;
      },
      tf32 ? 3e-3 : bench::tolerance<T>(2e-5), 4096);

  if (!tf32 && flops < 2e11) {  // a product of 8192 takes the first steps seconds
    bench_case.variant("1_naive", [&] { k::gemm_naive(g, bench::stream()); });
    bench_case.variant("2_coalesced", [&] { k::gemm_coalesced(g, bench::stream()); });
    bench_case.variant("3_shared_tile", [&] { k::gemm_shared_tile(g, bench::stream()); });
    bench_case.variant("4_register_tile", [&] { k::gemm_register_tile(g, bench::stream()); });
    bench_case.variant("5_vectorised", [&] { k::gemm_vectorised(g, bench::stream()); });
    bench_case.variant("6_double_buffer", [&] { k::gemm_double_buffer(g, bench::stream()); });
    bench_case.variant("shipped", [&] { k::gemm(g, bench::stream()); });
  }
  if (tf32 || sizeof(T) == 2) {
    if (k::gemm_mma_fits(g)) bench_case.variant("7_tensor_core", [&] { k::gemm_mma(g, bench::stream()); });
    if constexpr (sizeof(T) == 2)
      if (k::gemm_wgmma_fits(g))
        bench_case.variant("8_wgmma_tma", [&] { k::gemm_wgmma(g, bench::stream()); });
    bench_case.variant("tensor_core", [&] { k::gemm_tensor_core(g, bench::stream()); });
  }
#if defined(__CUDACC__)
  bench_case.library("cuBLASLt", [&] { bench::cublaslt_product(g, tf32); });
#endif
}

void all_types(bench::Suite& suite, const Size& size) {
  product<float>(suite, size, false);
  product<float>(suite, size, true);
  product<bench::bf16>(suite, size, false);
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__CUDACC__)
  bench::use_stream([] { return kfer::Cuda::stream(); });
#endif
  bench::Suite suite("gemm", argc, argv);
#if defined(__CUDACC__)
  bench::measure_flop_ceiling(suite);
#endif
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      all_types(suite, {33, 17, 29, ta, tb});
      all_types(suite, {72, 136, 64, ta, tb});
    }
  if (!suite.begin_timing()) return suite.finish();
  for (const bool tb : {false, true}) all_types(suite, {4096, 4096, 4096, false, tb});
  product<bench::bf16>(suite, {8192, 8192, 8192}, false);
  all_types(suite, {64, 1000, 2048, false, true});         // a classifier: y = x W^T
  all_types(suite, {64 * 16 * 16, 256, 64, false, true});  // 1 x 1 convolutions
  all_types(suite, {128 * 56 * 56, 64, 256, false, true});
  return suite.finish();
}
