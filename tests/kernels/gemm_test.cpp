// The GEMM ladder against the sum that defines it.
#include "kernels/gemm/1_naive.cuh"
#include "kernels/gemm/2_coalesced.cuh"
#include "kernels/gemm/3_shared_tile.cuh"
#include "kernels/gemm/4_register_tile.cuh"
#include "kernels/gemm/5_vectorised.cuh"
#include "kernels/gemm/shipped_tensor_core.cuh"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

namespace {

using namespace kfer::kernels;

/// Exactly-sized heap memory, so that a memory checker sees the first element past the end; starts as NaNs.
template <class T>
class Block {
 public:
  explicit Block(long long n, long long offset = 0)
      : n_(n), offset_(offset), data_(new T[static_cast<std::size_t>(n + offset)]) {
    std::memset(static_cast<void*>(data_.get()), 0xFF, static_cast<std::size_t>(n + offset) * sizeof(T));
  }
  T* data() { return data_.get() + offset_; }
  T& operator[](long long i) { return data()[i]; }
  void fill(std::mt19937& random) {
    std::uniform_real_distribution<double> number(-1, 1);
    for (long long i = 0; i < n_; ++i) data()[i] = narrow<T>(static_cast<accum_t<T>>(number(random)));
  }

 private:
  long long n_, offset_;
  std::unique_ptr<T[]> data_;
};

struct Case {
  long long m, n, k;
  bool ta = false, tb = false;
  double alpha = 1, beta = 0;
  bool bias = false, relu = false;
  long long pad = 0;     ///< leading dimensions larger than the rows by this
  long long offset = 0;  ///< elements from an aligned address to the matrices
};

/// What a sum may be off by, of the sum of its products' sizes.
template <class T>
constexpr double rounding_of = sizeof(T) == 8 ? 1e-13 : 4e-6;

/// Runs `run(Gemm<T>)` on random matrices and returns the largest error of C in units of what rounding
/// allows; infinite if any is NaN or if an element between the rows of C was written.
template <class T, class Run>
double error_of(const Case& c, const Run& run, double rounding = rounding_of<T>) {
  std::mt19937 random(static_cast<unsigned>(c.m * 7919 + c.n * 31 + c.k));
  const long long lda = (c.ta ? c.m : c.k) + c.pad, ldb = (c.tb ? c.k : c.n) + c.pad, ldc = c.n + c.pad;
  Block<T> a(lda * (c.ta ? c.k : c.m), c.offset), b(ldb * (c.tb ? c.n : c.k), c.offset),
      y(ldc * c.m, c.offset), bias(c.n, c.offset);
  a.fill(random), b.fill(random), bias.fill(random);
  std::vector<double> before(static_cast<std::size_t>(c.m * c.n), 0.0);
  if (c.beta != 0)
    for (long long i = 0; i < c.m; ++i)
      for (long long j = 0; j < c.n; ++j) {
        y[i * ldc + j] = narrow<T>(static_cast<accum_t<T>>((i * 5 + j * 3) % 7 - 3));
        before[static_cast<std::size_t>(i * c.n + j)] = widen(y[i * ldc + j]);
      }
  run(Gemm<T>{.m = c.m,
              .n = c.n,
              .k = c.k,
              .a = a.data(),
              .lda = lda,
              .b = b.data(),
              .ldb = ldb,
              .c = y.data(),
              .ldc = ldc,
              .transpose_a = c.ta,
              .transpose_b = c.tb,
              .alpha = static_cast<accum_t<T>>(c.alpha),
              .beta = static_cast<accum_t<T>>(c.beta),
              .bias = c.bias ? bias.data() : nullptr,
              .relu = c.relu});
  double worst = 0;
  const double storage = sizeof(T) == 2 ? 1.0 / 200 : rounding_of<T>;
  for (long long i = 0; i < c.m; ++i) {
    for (long long j = 0; j < c.n; ++j) {
      double sum = 0, size = 0;
      for (long long l = 0; l < c.k; ++l) {
        const double p = static_cast<double>(widen(a[c.ta ? l * lda + i : i * lda + l])) *
                         widen(b[c.tb ? j * ldb + l : l * ldb + j]);
        sum += p, size += std::abs(p);
      }
      double want = c.alpha * sum + c.beta * before[static_cast<std::size_t>(i * c.n + j)];
      if (c.bias) want += widen(bias[j]);
      if (c.relu) want = std::max(want, 0.0);
      const double allowed = rounding * (1 + size) + storage * (std::abs(want) + 1e-3);
      const double error = std::abs(widen(y[i * ldc + j]) - want) / allowed;
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
    }
    for (long long j = c.n; j < ldc; ++j) {
      unsigned char poison[sizeof(T)];
      std::memset(poison, 0xFF, sizeof(T));
      if (std::memcmp(&y[i * ldc + j], poison, sizeof(T)) != 0) worst = INFINITY;
    }
  }
  return worst;
}

/// Cases that meet each path of a variant: transpositions, ragged and prime sizes, one, nothing, padding,
/// misalignment, epilogues.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      out.push_back({.m = 37, .n = 41, .k = 43, .ta = ta, .tb = tb});
      out.push_back({.m = 64, .n = 136, .k = 48, .ta = ta, .tb = tb, .alpha = 0.5, .bias = true});
      out.push_back({.m = 131, .n = 67, .k = 24, .ta = ta, .tb = tb, .beta = -1.5, .relu = true, .pad = 8});
      out.push_back({.m = 24, .n = 32, .k = 40, .ta = ta, .tb = tb, .bias = true, .relu = true, .offset = 1});
      out.push_back({.m = 1, .n = 1, .k = 1, .ta = ta, .tb = tb});
      out.push_back({.m = 1, .n = 70, .k = 129, .ta = ta, .tb = tb, .pad = 3});
      out.push_back({.m = 70, .n = 1, .k = 33, .ta = ta, .tb = tb});
      out.push_back({.m = 5, .n = 3, .k = 0, .ta = ta, .tb = tb, .bias = true});
    }
  out.push_back({.m = 0, .n = 3, .k = 4});
  out.push_back({.m = 3, .n = 0, .k = 4});
  return out;
}

/// Rows of a multiple of 16 bytes, as tensor cores want them: one tile and more than there are blocks, fewer
/// steps of k than stages and several rounds of them, each extent ragged.
std::vector<Case> aligned_cases() {
  std::vector<Case> out;
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      out.push_back({.m = 8, .n = 16, .k = 8, .ta = ta, .tb = tb, .relu = true});
      out.push_back({.m = 131, .n = 67, .k = 19, .ta = ta, .tb = tb, .alpha = -0.5, .bias = true, .pad = 5});
      out.push_back({.m = 128, .n = 256, .k = 704, .ta = ta, .tb = tb, .bias = true, .relu = true});
      out.push_back({.m = 264, .n = 520, .k = 136, .ta = ta, .tb = tb});
    }
  return out;
}

/// In random thread orders.
template <class T, class Run>
void check(const char* name, const Run& run, const std::vector<Case>& all = cases(),
           double rounding = rounding_of<T>) {
  unsigned seed = 1;
  for (const Case& c : all) {
    INFO(name, " ", c.m, " x ", c.n, " x ", c.k, ", transposed ", c.ta, c.tb, ", alpha ", c.alpha, ", beta ",
         c.beta, ", bias ", c.bias, ", relu ", c.relu, ", pad ", c.pad, ", offset ", c.offset, ", ",
         sizeof(T), " bytes");
    kfer::simt::config.seed = ++seed;
    CHECK(error_of<T>(c, run, rounding) <= 1);
  }
}

}  // namespace

TEST_CASE_TEMPLATE("every portable gemm is the sum of products", T, float, bf16, double) {
  check<T>("naive", [](const Gemm<T>& g) { gemm_naive(g, {}); });
  check<T>("coalesced", [](const Gemm<T>& g) { gemm_coalesced(g, {}); });
  check<T>("shared_tile", [](const Gemm<T>& g) { gemm_shared_tile(g, {}); });
  check<T>("register_tile", [](const Gemm<T>& g) { gemm_register_tile(g, {}); });
  check<T>("vectorised", [](const Gemm<T>& g) { gemm_vectorised(g, {}); });
  check<T>("double_buffer", [](const Gemm<T>& g) { gemm_double_buffer(g, {}); });
  check<T>("double_buffer, small tiles", [](const Gemm<T>& g) { gemm_double_buffer<T, 64>(g, {}); });
  check<T>("shipped", [](const Gemm<T>& g) { gemm(g, {}); });
}

/// Of TF32: the roundings of two factors to 11 bits.
constexpr double tf32_rounding = 0x1p-10;

TEST_CASE("mma.sync, acted out, is the sum of products") {
  const auto run = [](const auto& g) {
    REQUIRE(gemm_mma_fits(g));
    gemm_mma(g, {});
  };
  std::vector<Case> all = aligned_cases();
  all.push_back({.m = 24, .n = 136, .k = 40, .beta = -1.5, .bias = true});
  all.push_back({.m = 24, .n = 7, .k = 0, .tb = true, .bias = true});
  check<bf16>("mma", run, all);
  check<float>("mma", run, all, tf32_rounding);
}

TEST_CASE_TEMPLATE("wgmma and the copy engine, acted out, give the sum of products", Width,
                   std::integral_constant<int, 128>, std::integral_constant<int, 256>) {
  check<bf16>(
      "wgmma",
      [](const Gemm<bf16>& g) {
        REQUIRE(gemm_wgmma_fits(g));
        constexpr int N = Width::value;
        if (g.transpose_a)
          g.transpose_b ? gemm_wgmma_tiles<N, false, true>(g, {}) : gemm_wgmma_tiles<N, false, false>(g, {});
        else
          g.transpose_b ? gemm_wgmma_tiles<N, true, true>(g, {}) : gemm_wgmma_tiles<N, true, false>(g, {});
      },
      aligned_cases());
}

TEST_CASE("gemm on tensor cores takes any size and alignment") {
  check<bf16>("tensor_core", [](const Gemm<bf16>& g) { gemm_tensor_core(g, {}); });
  check<float>(
      "tensor_core", [](const Gemm<float>& g) { gemm_tensor_core(g, {}); }, cases(), tf32_rounding);
}

TEST_CASE("gemm keeps NaN, through ReLU as well") {
  Block<float> a(1), b(2), y(2);
  a[0] = 1, b[0] = NAN, b[1] = -1;
  gemm(Gemm<float>{.m = 1,
                   .n = 2,
                   .k = 1,
                   .a = a.data(),
                   .lda = 1,
                   .b = b.data(),
                   .ldb = 2,
                   .c = y.data(),
                   .ldc = 2,
                   .relu = true},
       {});
  CHECK(std::isnan(y[0]));
  CHECK(y[1] == 0);
}
