// What only a GPU can run of matrix products: mma.sync, wgmma with the copy engine, cuBLASLt and its fused
// epilogues; and the portable ladder as nvcc compiles it. Against sums in double on the host.
#include "cuda/gpu_main.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kfer/device/cublaslt.hpp"
#include "kfer/kernels/gemm/1_naive.cuh"
#include "kfer/kernels/gemm/2_coalesced.cuh"
#include "kfer/kernels/gemm/3_shared_tile.cuh"
#include "kfer/kernels/gemm/4_register_tile.cuh"
#include "kfer/kernels/gemm/5_vectorised.cuh"
#include "kfer/kernels/gemm/shipped_tensor_core.cuh"
#include "kfer/ops/linear/linear_cuda.hpp"
#include "kfer/ops/matmul/matmul_cuda.hpp"
#include "kfer/tensor/tensor.hpp"

using namespace kfer;
using kernels::bf16;
using kernels::Gemm;

namespace {

template <class T>
double value(T x) {
  return static_cast<double>(kernels::widen(x));
}

/// n numbers on host and device, uniform in [-1, 1) and exact in T.
template <class T>
struct Numbers {
  std::vector<T> host;
  Buffer<Cuda> device;

  Numbers(std::int64_t n, unsigned seed)
      : host(static_cast<std::size_t>(n)), device(host.size() * sizeof(T)) {
    std::mt19937 random(seed);
    std::uniform_real_distribution<float> number(-1, 1);
    for (T& x : host) x = kernels::narrow<T>(static_cast<kernels::accum_t<T>>(number(random)));
    Cuda::copy_from_host(device.data(), host.data(), host.size() * sizeof(T));
  }
  T* data() const { return static_cast<T*>(device.data()); }
};

/// n elements on the device, all NaN until written.
template <class T>
struct Result {
  Buffer<Cuda> device;
  std::size_t n;

  explicit Result(std::int64_t size)
      : device(static_cast<std::size_t>(size) * sizeof(T)), n(static_cast<std::size_t>(size)) {
    const std::vector<unsigned char> poison(n * sizeof(T), 0xFF);
    Cuda::copy_from_host(device.data(), poison.data(), poison.size());
  }
  T* data() const { return static_cast<T*>(device.data()); }
  std::vector<T> host() const {
    std::vector<T> out(n);
    Cuda::copy_to_host(out.data(), device.data(), n * sizeof(T));
    return out;
  }
};

struct Case {
  std::int64_t m, n, k;
  bool ta = false, tb = false, bias = false, relu = false;
  std::int64_t pad = 0;
};

/// Relative to the sum of the products' sizes: rounding of products (TF32: 2^-11 each operand) and of sums.
template <class T>
double product_rounding(bool tf32) {
  return sizeof(T) == 8 ? 1e-14 : tf32 ? 1.2e-3 : 2e-6;
}
template <class T>
constexpr double storage_rounding = sizeof(T) == 2   ? 1.0 / 250
                                    : sizeof(T) == 4 ? 1e-6
                                                     : 1e-15;

/// The largest error of `run(Gemm<T>)` in units of what rounding allows; infinite for NaN, or if something
/// between the rows of C was written.
template <class T, class Run>
double error_of(const Case& c, bool tf32, const Run& run) {
  const std::int64_t lda = (c.ta ? c.m : c.k) + c.pad, ldb = (c.tb ? c.k : c.n) + c.pad, ldc = c.n + c.pad;
  const Numbers<T> a(lda * (c.ta ? c.k : c.m), 1), b(ldb * (c.tb ? c.n : c.k), 2), bias(c.n, 3);
  const Result<T> result(ldc * c.m);
  run(Gemm<T>{.m = c.m,
              .n = c.n,
              .k = c.k,
              .a = a.data(),
              .lda = lda,
              .b = b.data(),
              .ldb = ldb,
              .c = result.data(),
              .ldc = ldc,
              .transpose_a = c.ta,
              .transpose_b = c.tb,
              .bias = c.bias ? bias.data() : nullptr,
              .relu = c.relu});
  const std::vector<T> y = result.host();
  // Rows of op(A) and columns of op(B) in double, each contiguous.
  std::vector<double> p(static_cast<std::size_t>(c.m * c.k)), q(static_cast<std::size_t>(c.n * c.k));
  for (std::int64_t i = 0; i < c.m; ++i)
    for (std::int64_t l = 0; l < c.k; ++l)
      p[static_cast<std::size_t>(i * c.k + l)] =
          value(a.host[static_cast<std::size_t>(c.ta ? l * lda + i : i * lda + l)]);
  for (std::int64_t j = 0; j < c.n; ++j)
    for (std::int64_t l = 0; l < c.k; ++l)
      q[static_cast<std::size_t>(j * c.k + l)] =
          value(b.host[static_cast<std::size_t>(c.tb ? j * ldb + l : l * ldb + j)]);
  double worst = 0;
  for (std::int64_t i = 0; i < c.m; ++i) {
    for (std::int64_t j = 0; j < c.n; ++j) {
      double sum = 0, size = 0;
      for (std::int64_t l = 0; l < c.k; ++l) {
        const double x = p[static_cast<std::size_t>(i * c.k + l)] * q[static_cast<std::size_t>(j * c.k + l)];
        sum += x;
        size += std::abs(x);
      }
      if (c.bias) sum += value(bias.host[static_cast<std::size_t>(j)]);
      if (c.relu) sum = std::max(sum, 0.0);
      const double allowed =
          product_rounding<T>(tf32) * (1 + size) + storage_rounding<T> * (std::abs(sum) + 1e-3);
      const double error = std::abs(value(y[static_cast<std::size_t>(i * ldc + j)]) - sum) / allowed;
      if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
    }
    for (std::int64_t j = c.n; j < ldc; ++j)
      if (!std::isnan(value(y[static_cast<std::size_t>(i * ldc + j)])))
        worst = std::numeric_limits<double>::infinity();
  }
  return worst;
}

/// Aligned and not, whole tiles and ragged ones, fewer steps than stages and more, one tile and more tiles
/// than multiprocessors.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      out.push_back({128, 256, 64, ta, tb});
      out.push_back({256, 512, 1024, ta, tb, true, true});
      out.push_back({136, 264, 72, ta, tb, true, false, 8});
      out.push_back({8, 16, 8, ta, tb, false, true});
      out.push_back({101, 67, 43, ta, tb, true, true});
      out.push_back({1, 1, 1, ta, tb});
      out.push_back({5, 24, 0, ta, tb, true});
      out.push_back({2048, 2304, 96, ta, tb, true, true});
    }
  return out;
}

template <class T, class Run>
void check(const char* name, bool tf32, const Run& run) {
  for (const Case& c : cases()) {
    INFO(name, " ", c.m, " x ", c.n, " x ", c.k, ", transposed ", c.ta, c.tb, ", bias ", c.bias, ", relu ",
         c.relu, ", pad ", c.pad);
    CHECK(error_of<T>(c, tf32, run) <= 1);
  }
}

/// The library as the kernels' tests see a GEMM.
template <class T>
void by_cublaslt(const Gemm<kfer::detail::kernel_t<T>>& g) {
  if (g.k == 0) return kernels::gemm(g, Cuda::stream());
  using cublaslt::Epilogue;
  const auto typed = [](const auto* p) { return reinterpret_cast<const T*>(p); };
  const cublaslt::Matmul<T> product{.m = g.m,
                                    .n = g.n,
                                    .k = g.k,
                                    .a = typed(g.a),
                                    .lda = g.lda,
                                    .b = typed(g.b),
                                    .ldb = g.ldb,
                                    .c = reinterpret_cast<T*>(g.c),
                                    .ldc = g.ldc,
                                    .transpose_a = g.transpose_a,
                                    .transpose_b = g.transpose_b,
                                    .epilogue = g.bias   ? (g.relu ? Epilogue::relu_bias : Epilogue::bias)
                                                : g.relu ? Epilogue::relu
                                                         : Epilogue::none,
                                    .bias = typed(g.bias)};
  const bool taken = cublaslt::try_matmul(product);
  if (!taken) kernels::gemm(g, Cuda::stream());  // as linear does
  CHECK((taken || g.lda % 8 || g.ldb % 8 || g.ldc % 8));
}

}  // namespace

TEST_CASE_TEMPLATE("the portable ladder on the device", T, float, bf16, double) {
  const auto s = Cuda::stream();
  check<T>("naive", false, [&](const Gemm<T>& g) { kernels::gemm_naive(g, s); });
  check<T>("coalesced", false, [&](const Gemm<T>& g) { kernels::gemm_coalesced(g, s); });
  check<T>("shared_tile", false, [&](const Gemm<T>& g) { kernels::gemm_shared_tile(g, s); });
  check<T>("register_tile", false, [&](const Gemm<T>& g) { kernels::gemm_register_tile(g, s); });
  check<T>("vectorised", false, [&](const Gemm<T>& g) { kernels::gemm_vectorised(g, s); });
  check<T>("double_buffer", false, [&](const Gemm<T>& g) { kernels::gemm_double_buffer(g, s); });
  check<T>("shipped", false, [&](const Gemm<T>& g) { kernels::gemm(g, s); });
}

TEST_CASE_TEMPLATE("mma.sync, where alignment allows", T, float, bf16) {
  int taken = 0;
  check<T>("mma", sizeof(T) == 4, [&](const Gemm<T>& g) {
    taken += kernels::gemm_mma_fits(g);
    kernels::gemm_mma_fits(g) ? kernels::gemm_mma(g, Cuda::stream()) : kernels::gemm(g, Cuda::stream());
  });
  CHECK(taken >= 20);
  check<T>("shipped", sizeof(T) == 4, [](const Gemm<T>& g) { kernels::gemm_tensor_core(g, Cuda::stream()); });
}

TEST_CASE("wgmma, where sizes and alignment allow, in both tile widths") {
  int taken = 0;
  const auto either = [&]<int N>() {
    check<bf16>(N == 256 ? "wgmma, 256 wide" : "wgmma, 128 wide", false, [&](const Gemm<bf16>& g) {
      if (!kernels::gemm_wgmma_fits(g)) return kernels::gemm(g, Cuda::stream());
      ++taken;
      if (g.transpose_a)
        g.transpose_b ? kernels::gemm_wgmma_tiles<N, false, true>(g, Cuda::stream())
                      : kernels::gemm_wgmma_tiles<N, false, false>(g, Cuda::stream());
      else
        g.transpose_b ? kernels::gemm_wgmma_tiles<N, true, true>(g, Cuda::stream())
                      : kernels::gemm_wgmma_tiles<N, true, false>(g, Cuda::stream());
    });
  };
  either.operator()<128>();
  either.operator()<256>();
  int major = 0;
  cuda::check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, Cuda::ordinal()),
              "cudaDeviceGetAttribute");
  CHECK((taken > 0) == (major == 9));
}

TEST_CASE("cuBLASLt with bias and ReLU") {
  check<float>("cuBLASLt, TF32", true, by_cublaslt<float>);
  Cuda::math().strict_fp32 = true;
  check<float>("cuBLASLt, strict", false, by_cublaslt<float>);
  Cuda::math().strict_fp32 = false;
  check<bf16>("cuBLASLt", false, by_cublaslt<bfloat16>);
}

TEST_CASE("cuBLASLt's ReLU mask, and the way back through it with the bias's gradient") {
  // y = relu(x w^T + b), z = y v^T: dy = (dz v) where y > 0, db = the sums of its columns.
  const std::int64_t batch = 96, in = 64, mid = 136, out = 40;
  const Numbers<bf16> x(batch * in, 1), w(mid * in, 2), b(mid, 3), v(out * mid, 4), dz(batch * out, 5);
  const Result<bf16> y(batch * mid), dy(batch * mid), db(mid);
  const Buffer<Cuda> mask(static_cast<std::size_t>(cublaslt::relu_mask_bytes(batch, mid)));
  const auto typed = [](bf16* p) { return reinterpret_cast<bfloat16*>(p); };
  cublaslt::matmul(cublaslt::Matmul<bfloat16>{.m = batch,
                                              .n = mid,
                                              .k = in,
                                              .a = typed(x.data()),
                                              .lda = in,
                                              .b = typed(w.data()),
                                              .ldb = in,
                                              .c = typed(y.data()),
                                              .ldc = mid,
                                              .transpose_b = true,
                                              .epilogue = cublaslt::Epilogue::relu_aux_bias,
                                              .bias = typed(b.data()),
                                              .relu_mask = mask.data()});
  cublaslt::matmul(cublaslt::Matmul<bfloat16>{.m = batch,
                                              .n = mid,
                                              .k = out,
                                              .a = typed(dz.data()),
                                              .lda = out,
                                              .b = typed(v.data()),
                                              .ldb = mid,
                                              .c = typed(dy.data()),
                                              .ldc = mid,
                                              .epilogue = cublaslt::Epilogue::drelu_bias_gradient,
                                              .sums = typed(db.data()),
                                              .relu_mask = mask.data()});
  const auto got_y = y.host(), got_dy = dy.host(), got_db = db.host();
  double worst = 0;
  const auto compare = [&](double got, double want, double size) {
    const double error = std::abs(got - want) / (1e-3 + 0.01 * size);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  };
  for (std::int64_t j = 0; j < mid; ++j) {
    double bias_gradient = 0, size = 0;
    for (std::int64_t i = 0; i < batch; ++i) {
      double sum = value(b.host[static_cast<std::size_t>(j)]);
      for (std::int64_t l = 0; l < in; ++l)
        sum += value(x.host[static_cast<std::size_t>(i * in + l)]) *
               value(w.host[static_cast<std::size_t>(j * in + l)]);
      const auto at = static_cast<std::size_t>(i * mid + j);
      compare(value(got_y[at]), std::max(sum, 0.0), std::abs(sum));
      if (std::abs(sum) < 1e-4) continue;  // which side of zero is rounding's choice
      double gradient = 0;
      for (std::int64_t o = 0; o < out && sum > 0; ++o)
        gradient += value(dz.host[static_cast<std::size_t>(i * out + o)]) *
                    value(v.host[static_cast<std::size_t>(o * mid + j)]);
      compare(value(got_dy[at]), gradient, std::abs(gradient));
      bias_gradient += gradient;
      size += std::abs(gradient);
    }
    compare(value(got_db[static_cast<std::size_t>(j)]), bias_gradient, size);
  }
  CHECK(worst <= 1);
}

TEST_CASE("cuBLASLt says what it cannot do") {
  // A leading dimension shorter than a row.
  const Result<float> c(16);
  const cublaslt::Matmul<float> wrong{
      .m = 4, .n = 4, .k = 4, .a = c.data(), .lda = 1, .b = c.data(), .ldb = 4, .c = c.data(), .ldc = 4};
  CHECK_THROWS_AS(cublaslt::matmul(wrong), DeviceError);
}
