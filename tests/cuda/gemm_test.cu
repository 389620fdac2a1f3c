// Matrix products on a GPU: the ladder as nvcc compiles it, with the device's own mma.sync, wgmma and copy
// engine, and cuBLASLt with its fused epilogues. Against sums in double on the host.
#include "cuda/gpu_main.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
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

/// The bits of a NaN, which no arithmetic gives.
template <class T>
std::vector<T> poison(std::int64_t n) {
  std::vector<T> out(static_cast<std::size_t>(n));
  std::memset(static_cast<void*>(out.data()), 0xFF, out.size() * sizeof(T));
  return out;
}

/// n elements on the device, all NaN until written, or what is given.
template <class T>
struct Result {
  Buffer<Cuda> device;
  std::size_t n;

  explicit Result(std::int64_t size) : Result(poison<T>(size)) {}
  explicit Result(const std::vector<T>& start) : device(start.size() * sizeof(T)), n(start.size()) {
    Cuda::copy_from_host(device.data(), start.data(), n * sizeof(T));
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
  float alpha = 1, beta = 0;
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

/// The matrices of a case, and op(A) op(B) in double: computed once for all that is compared with it.
template <class T>
class Problem {
 public:
  explicit Problem(const Case& c)
      : c_(c),
        a_(lda() * (c.ta ? c.k : c.m), 1),
        b_(ldb() * (c.tb ? c.n : c.k), 2),
        bias_(c.n, 3),
        sum_(static_cast<std::size_t>(c.m * c.n)),
        size_(sum_.size()) {
    const auto element = [](const Numbers<T>& x, bool transposed, std::int64_t ld, std::int64_t row,
                            std::int64_t column) {
      return value(x.host[static_cast<std::size_t>(transposed ? column * ld + row : row * ld + column)]);
    };
    std::vector<double> b(static_cast<std::size_t>(c.k * c.n));
    for (std::int64_t l = 0; l < c.k; ++l)
      for (std::int64_t j = 0; j < c.n; ++j)
        b[static_cast<std::size_t>(l * c.n + j)] = element(b_, c.tb, ldb(), l, j);
#pragma omp parallel for
    for (std::int64_t i = 0; i < c.m; ++i)
      for (std::int64_t l = 0; l < c.k; ++l) {
        const double x = element(a_, c.ta, lda(), i, l);
        const double* const row = b.data() + l * c.n;
        double *const sum = sum_.data() + i * c.n, *const size = size_.data() + i * c.n;
        for (std::int64_t j = 0; j < c.n; ++j) {
          sum[j] += x * row[j];
          size[j] += std::abs(x * row[j]);
        }
      }
  }

  /// The largest error of `run(Gemm<T>)` in units of what rounding allows; infinite for NaN, or if something
  /// between the rows of C was written.
  template <class Run>
  double error_of(const Run& run, bool tf32) const {
    const Case& c = c_;
    const std::int64_t ldc = c.n + c.pad;
    std::vector<T> before = poison<T>(ldc * c.m);
    if (c.beta != 0)
      for (std::int64_t i = 0; i < c.m; ++i)
        for (std::int64_t j = 0; j < c.n; ++j)
          before[static_cast<std::size_t>(i * ldc + j)] = small_number(i, j);
    const Result<T> result(before);
    run(Gemm<T>{.m = c.m,
                .n = c.n,
                .k = c.k,
                .a = a_.data(),
                .lda = lda(),
                .b = b_.data(),
                .ldb = ldb(),
                .c = result.data(),
                .ldc = ldc,
                .transpose_a = c.ta,
                .transpose_b = c.tb,
                .alpha = c.alpha,
                .beta = c.beta,
                .bias = c.bias ? bias_.data() : nullptr,
                .relu = c.relu});
    const std::vector<T> y = result.host();
    double worst = 0;
    for (std::int64_t i = 0; i < c.m; ++i) {
      for (std::int64_t j = 0; j < c.n; ++j) {
        const auto at = static_cast<std::size_t>(i * c.n + j);
        double want = c.alpha * sum_[at];
        if (c.beta != 0) want += c.beta * value(small_number(i, j));
        if (c.bias) want += value(bias_.host[static_cast<std::size_t>(j)]);
        if (c.relu) want = std::max(want, 0.0);
        const double allowed =
            product_rounding<T>(tf32) * (1 + size_[at]) + storage_rounding<T> * (std::abs(want) + 1e-3);
        const double error = std::abs(value(y[static_cast<std::size_t>(i * ldc + j)]) - want) / allowed;
        if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
      }
      for (std::int64_t j = c.n; j < ldc; ++j)
        if (!std::isnan(value(y[static_cast<std::size_t>(i * ldc + j)])))
          worst = std::numeric_limits<double>::infinity();
    }
    return worst;
  }

 private:
  std::int64_t lda() const {
    return (c_.ta ? c_.m : c_.k) + c_.pad;
  }
  std::int64_t ldb() const {
    return (c_.tb ? c_.k : c_.n) + c_.pad;
  }
  /// What C holds before, if it is read.
  static T small_number(std::int64_t i, std::int64_t j) {
    return kernels::narrow<T>(static_cast<kernels::accum_t<T>>((i * 5 + j * 3) % 7 - 3));
  }

  Case c_;
  Numbers<T> a_, b_, bias_;
  std::vector<double> sum_, size_;
};

/// Aligned and not, whole tiles and ragged ones, fewer steps than stages and more, one tile and more tiles
/// than multiprocessors.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      out.push_back({128, 256, 64, ta, tb});
      out.push_back({256, 512, 1024, ta, tb, true, true});
      out.push_back({136, 264, 72, ta, tb, true, false, 8, -0.75f});
      out.push_back({72, 40, 56, ta, tb, false, true, 8, 0.5f, -1.5f});
      out.push_back({8, 16, 8, ta, tb, false, true});
      out.push_back({101, 67, 43, ta, tb, true, true});
      out.push_back({1, 1, 1, ta, tb});
      out.push_back({5, 24, 0, ta, tb, true});
      out.push_back({2048, 2304, 96, ta, tb, true, true});
    }
  return out;
}

template <class T>
struct Variant {
  const char* name;
  bool tf32;
  std::function<void(const Gemm<T>&)> run;
};

template <class T>
void check(const std::vector<Variant<T>>& variants) {
  for (const Case& c : cases()) {
    const Problem<T> problem(c);
    for (const Variant<T>& v : variants) {
      INFO(v.name, " ", c.m, " x ", c.n, " x ", c.k, ", transposed ", c.ta, c.tb, ", bias ", c.bias,
           ", relu ", c.relu, ", pad ", c.pad, ", alpha ", c.alpha, ", beta ", c.beta);
      CHECK(problem.error_of(v.run, v.tf32) <= 1);
    }
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
                                    .alpha = g.alpha,
                                    .beta = g.beta,
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
  check<T>({{"naive", false, [&](const Gemm<T>& g) { kernels::gemm_naive(g, s); }},
            {"coalesced", false, [&](const Gemm<T>& g) { kernels::gemm_coalesced(g, s); }},
            {"shared_tile", false, [&](const Gemm<T>& g) { kernels::gemm_shared_tile(g, s); }},
            {"register_tile", false, [&](const Gemm<T>& g) { kernels::gemm_register_tile(g, s); }},
            {"vectorised", false, [&](const Gemm<T>& g) { kernels::gemm_vectorised(g, s); }},
            {"double_buffer", false, [&](const Gemm<T>& g) { kernels::gemm_double_buffer(g, s); }},
            {"shipped", false, [&](const Gemm<T>& g) { kernels::gemm(g, s); }}});
}

TEST_CASE_TEMPLATE("mma.sync, where alignment allows", T, float, bf16) {
  const auto s = Cuda::stream();
  constexpr bool tf32 = sizeof(T) == 4;
  int taken = 0;
  check<T>({{"mma", tf32,
             [&](const Gemm<T>& g) {
               taken += kernels::gemm_mma_fits(g);
               kernels::gemm_mma_fits(g) ? kernels::gemm_mma(g, s) : kernels::gemm(g, s);
             }},
            {"tensor_core", tf32, [&](const Gemm<T>& g) { kernels::gemm_tensor_core(g, s); }}});
  CHECK(taken >= 24);
}

TEST_CASE("wgmma, where sizes and alignment allow, in both tile widths") {
  const auto s = Cuda::stream();
  int taken = 0;
  const auto tiles = [&]<int N>(const Gemm<bf16>& g) {
    if (!kernels::gemm_wgmma_fits(g)) return kernels::gemm(g, s);
    ++taken;
    if (g.transpose_a)
      g.transpose_b ? kernels::gemm_wgmma_tiles<N, false, true>(g, s)
                    : kernels::gemm_wgmma_tiles<N, false, false>(g, s);
    else
      g.transpose_b ? kernels::gemm_wgmma_tiles<N, true, true>(g, s)
                    : kernels::gemm_wgmma_tiles<N, true, false>(g, s);
  };
  check<bf16>({{"wgmma, 128 wide", false, [&](const Gemm<bf16>& g) { tiles.template operator()<128>(g); }},
               {"wgmma, 256 wide", false, [&](const Gemm<bf16>& g) { tiles.template operator()<256>(g); }}});
  int major = 0;
  cuda::check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, Cuda::ordinal()),
              "cudaDeviceGetAttribute");
  CHECK((taken > 0) == (major == 9));
}

TEST_CASE("cuBLASLt with bias and ReLU") {
  check<float>(
      {{"cuBLASLt, TF32", true, by_cublaslt<float>}, {"cuBLASLt, strict", false, [](const Gemm<float>& g) {
                                                        Cuda::math().strict_fp32 = true;
                                                        by_cublaslt<float>(g);
                                                        Cuda::math().strict_fp32 = false;
                                                      }}});
  check<bf16>({{"cuBLASLt", false, by_cublaslt<bfloat16>}});
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
