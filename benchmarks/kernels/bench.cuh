// The harness of the kernel benchmarks: check first, then time, then say what share of the hardware's limit
// that is.
//
//   int main(int argc, char** argv) {
//     bench::Suite suite("softmax", argc, argv);
//     if (!suite.begin_timing()) return suite.finish();       // before: sizes that are checked only
//     auto c = suite.make_case("4096 x 1000, float", {.bytes = 2.0 * n * sizeof(float)});
//     const auto host_x = bench::random_values<float>(n, 1);
//     const bench::Array<float> x(host_x), y(n);
//     c.expect(y, [&](std::size_t i) { return ...; }, 1e-5);  // what element i of y must be
//     c.variant("1_naive", [&] { softmax_naive(x.data(), y.data(), ...); });
//     c.library("cuDNN", [&] { ... });
//     return suite.finish();
//   }
//
// A variant's outputs are poisoned with NaNs before it runs, and compared with the reference afterwards:
// every element of a small result, a sample of a large one, which must not hold a NaN anywhere else either. A
// NaN or a difference fails the program and no time is printed. Then it is timed with events: each run by
// itself after the L2 cache was flushed, as often as fits a tenth of a second, and the median is printed with
// GB/s or TFLOP/s, and its share of the ceiling that is measured in the same process: a copy of 1 GiB for
// what moves bytes, cuBLASLt's largest bf16 product for what multiplies.
//
// Compiled by a host compiler, the same program runs its checks on the host SIMT executor, at the small sizes
// of `--small`, and prints no times: so that a benchmark cannot rot on machines without a GPU.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kfer/kernels/common/grid.cuh"
#include "kfer/kernels/common/vec.cuh"

#if !defined(__CUDACC__)
using kfer::simt::words::dim3;
#endif

namespace bench {

using kfer::kernels::bf16;
using kfer::kernels::Stream;
#if defined(__CUDACC__)
inline constexpr bool on_gpu = true;
inline void check(cudaError_t e, const char* what) {
  if (e != cudaSuccess) throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(e));
}
#else
inline constexpr bool on_gpu = false;
#endif

/// The stream that everything is launched into.
#if defined(__CUDACC__)
namespace detail {
inline Stream own_stream() {
  Stream made;
  check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
  return made;
}
inline Stream (*make_stream)() = own_stream;
}  // namespace detail
/// Another one than the harness's own, for libraries that bring theirs; before there is a Suite, which looks
/// for a GPU before it calls `make`.
inline void use_stream(Stream (*make)()) {
  detail::make_stream = make;
}
inline Stream stream() {
  static const Stream s = detail::make_stream();
  return s;
}
#else
inline Stream stream() {
  return {};
}
#endif
inline void synchronize() {
#if defined(__CUDACC__)
  check(cudaStreamSynchronize(stream()), "a kernel");
#endif
}

/// Elements in device memory, of exactly this size.
template <class T>
class Array {
 public:
  explicit Array(std::size_t n) : n_(n) {
#if defined(__CUDACC__)
    void* p = nullptr;
    check(cudaMalloc(&p, std::max<std::size_t>(n, 1) * sizeof(T)), "cudaMalloc");
    data_.reset(static_cast<T*>(p), [](T* q) { cudaFree(q); });
#else
    void* p = nullptr;
    if (posix_memalign(&p, 256, std::max<std::size_t>(n, 1) * sizeof(T))) throw std::bad_alloc();
    data_.reset(static_cast<T*>(p), [](T* q) { std::free(q); });
#endif
  }
  explicit Array(const std::vector<T>& values) : Array(values.size()) {
    assign(values);
  }

  T* data() const {
    return data_.get();
  }
  std::size_t size() const {
    return n_;
  }
  void assign(const std::vector<T>& values) {
#if defined(__CUDACC__)
    check(cudaMemcpyAsync(data(), values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice, stream()), "copy");
    synchronize();
#else
    std::copy(values.begin(), values.end(), data());
#endif
  }
  /// Elements [first, first + count).
  std::vector<T> host(std::size_t first, std::size_t count) const {
    std::vector<T> out(count);
#if defined(__CUDACC__)
    check(cudaMemcpyAsync(out.data(), data() + first, count * sizeof(T), cudaMemcpyDeviceToHost, stream()),
          "copy");
    synchronize();
#else
    std::copy(data() + first, data() + first + count, out.begin());
#endif
    return out;
  }
  std::vector<T> host() const {
    return host(0, n_);
  }
  /// NaNs, in every floating type.
  void poison() const {
#if defined(__CUDACC__)
    check(cudaMemsetAsync(data(), 0xFF, n_ * sizeof(T), stream()), "cudaMemsetAsync");
#else
    std::memset(static_cast<void*>(data()), 0xFF, n_ * sizeof(T));
#endif
  }

 private:
  std::shared_ptr<T> data_;
  std::size_t n_;
};

/// n numbers in [low, high), the same on every machine. They repeat after a prime number of some millions,
/// which no kernel's tiles divide: large tensors are made in no time.
template <class T>
std::vector<T> random_values(std::size_t n, std::uint64_t seed, double low = -1, double high = 1) {
  constexpr std::size_t period = 4194301;
  std::vector<T> out(n);
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 0xD1B54A32D192ED03ull;
  for (std::size_t i = 0; i < std::min(n, period); ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const double u = static_cast<double>(state >> 33) * 0x1p-31;
    if constexpr (std::is_integral_v<T>)
      out[i] = static_cast<T>(low + (high - low) * u);
    else
      out[i] = kfer::kernels::narrow<T>(static_cast<kfer::kernels::accum_t<T>>(low + (high - low) * u));
  }
  for (std::size_t at = period; at < n; at += period)
    std::copy_n(out.begin(), std::min(period, n - at), out.begin() + static_cast<std::ptrdiff_t>(at));
  return out;
}
template <class T>
Array<T> random(std::size_t n, std::uint64_t seed, double low = -1, double high = 1) {
  return Array<T>(random_values<T>(n, seed, low, high));
}

template <class T>
double number(T x) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<double>(x);
  else
    return static_cast<double>(kfer::kernels::widen(x));
}

/// "float" or "bf16", as cases name them.
template <class T>
inline constexpr const char* type_name = std::is_same_v<T, float> ? "float" : "bf16";

/// What results of T may differ by from the reference, of 1 + their magnitude: a rounding of bf16, or the
/// given share for float.
template <class T>
constexpr double tolerance(double of_float = 1e-5) {
  return std::is_same_v<T, float> ? of_float : 6e-3;
}

/// The indices of a sample: stretches of neighbours all over [0, n), the first and the last among them.
inline std::vector<std::size_t> sample_starts(std::size_t n, std::size_t stretch, std::size_t count) {
  std::vector<std::size_t> out{0, n - stretch};
  std::uint64_t state = n;
  while (out.size() < count) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    out.push_back(static_cast<std::size_t>(static_cast<double>(state >> 11) * 0x1p-53 *
                                           static_cast<double>(n - stretch)));
  }
  return out;
}

/// snprintf into a string.
template <class... A>
std::string text(const char* format, A... arguments) {
  std::vector<char> out(static_cast<std::size_t>(std::snprintf(nullptr, 0, format, arguments...)) + 1);
  std::snprintf(out.data(), out.size(), format, arguments...);
  return out.data();
}

#if defined(__CUDACC__)
namespace detail {
template <class T>
__global__ void count_nans(const T* x, long long n, unsigned long long* count) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride) {
    const auto v = kfer::kernels::widen(x[i]);
    if (!(v == v)) atomicAdd(count, 1ull);
  }
}
}  // namespace detail
#endif
/// How many elements are NaN, or were never written.
template <class T>
unsigned long long nans(const Array<T>& x) {
  if constexpr (std::is_integral_v<T>) {
    return 0;
  } else {
#if defined(__CUDACC__)
    const Array<unsigned long long> count(std::vector<unsigned long long>{0});
    detail::count_nans<<<1024, 256, 0, stream()>>>(x.data(), static_cast<long long>(x.size()), count.data());
    check(cudaGetLastError(), "count_nans");
    return count.host()[0];
#else
    unsigned long long count = 0;
    for (const T& v : x.host()) count += std::isnan(number(v));
    return count;
#endif
  }
}

/// What one call must move and compute at least.
struct Work {
  double bytes = 0;
  double flops = 0;  ///< 0: the case is judged by its bytes
};

class Suite;

/// One size of one operation: its variants give one result.
class Case {
 public:
  Case(Suite& suite, std::string name, Work work) : suite_(suite), name_(std::move(name)), work_(work) {}

  /// Every variant from here on must leave `exact(i)` in element i of `out`: |out - exact| <= tolerance * (1
  /// + |exact|). Of more than `most` elements a sample of so many is compared. What `exact` refers to must
  /// outlive the case; it is called once an element, with indices that ascend in stretches.
  template <class T, class F>
  requires std::is_invocable_r_v<double, F, std::size_t>
  void expect(const Array<T>& out, F exact, double tolerance, std::size_t most = 1 << 14) {
    if (out.size() == 0) throw std::logic_error(name_ + ": nothing to compare");
    const std::size_t n = out.size(), stretch = n <= most ? n : std::min<std::size_t>(16, most);
    std::vector<std::size_t> starts{0};
    if (n > most) starts = sample_starts(n, stretch, most / stretch);
    std::vector<double> values;
    for (const std::size_t start : starts)
      for (std::size_t i = start; i < start + stretch; ++i) values.push_back(exact(i));
    checks_.push_back({[out] { out.poison(); },
                       [=, starts = std::move(starts), values = std::move(values)]() -> std::string {
                         std::size_t at = 0;
                         for (const std::size_t start : starts) {
                           const auto found = out.host(start, stretch);
                           for (std::size_t i = 0; i < stretch; ++i, ++at) {
                             const double v = number(found[i]), e = values[at];
                             if (!(std::abs(v - e) <= tolerance * (1 + std::abs(e))))
                               return text("element %zu is %.9g, expected %.9g", start + i, v, e);
                           }
                         }
                         if (starts.size() > 1)
                           if (const auto count = nans(out)) return text("%llu elements are NaN", count);
                         return {};
                       }});
  }
  template <class T>
  void expect(const Array<T>& out, std::vector<double> exact, double tolerance) {
    if (exact.size() != out.size()) throw std::logic_error(name_ + ": the reference has another size");
    expect(
        out, [&](std::size_t i) { return exact[i]; }, tolerance, out.size());
  }
  /// Restores what a call changes in place; runs before every call, outside of the time.
  void before_each(std::function<void()> restore) { restore_ = std::move(restore); }

  void variant(const std::string& name, const std::function<void()>& run) { measure(name, run); }
  /// The same work by a library, in the same table; a line without a figure if it throws the first time, as
  /// it does for what it does not offer.
  void library(const std::string& name, const std::function<void()>& run);

 private:
  struct Check {
    std::function<void()> poison;
    std::function<std::string()> difference;
  };
  void measure(const std::string& variant, const std::function<void()>& run);

  Suite& suite_;
  std::string name_;
  Work work_;
  std::vector<Check> checks_;
  std::function<void()> restore_;
};

/// A program's table. Flags: --small (sizes for the host executor; always on there), --filter TEXT (cases and
/// variants), --csv FILE (appends), --seconds S a variant.
class Suite {
 public:
  Suite(std::string name, int argc, char** argv) : name_(std::move(name)), small_(!on_gpu) {
    for (int i = 1; i < argc; ++i) {
      const std::string flag = argv[i];
      const auto value = [&] {
        if (i + 1 == argc) usage("a value after " + flag);
        return std::string(argv[++i]);
      };
      if (flag == "--small")
        small_ = true;
      else if (flag == "--filter")
        filter_ = value();
      else if (flag == "--csv")
        csv_ = value();
      else if (flag == "--seconds")
        seconds_ = std::atof(value().c_str());
      else
        usage("--small, --filter TEXT, --csv FILE or --seconds S, got " + flag);
    }
    if (!(seconds_ > 0)) usage("--seconds above 0");
#if defined(__CUDACC__)
    int count = 0;
    if (const auto e = cudaGetDeviceCount(&count); e != cudaSuccess || count == 0) {
      std::fprintf(stderr, "%s: no GPU: %s\n", name_.c_str(), cudaGetErrorString(e));
      std::exit(2);
    }
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
    device_ = properties.name;
    flush_ = std::make_unique<Array<float>>(std::max<std::size_t>(properties.l2CacheSize, 1 << 20) / 2);
    copy_ceiling_ = measure_copy();
    std::printf("%s on %s; copy ceiling %.0f GB/s\n", name_.c_str(), device_.c_str(), copy_ceiling_ / 1e9);
#else
    device_ = "host SIMT executor";
    std::printf("%s on the %s: results are checked, nothing is timed\n", name_.c_str(), device_.c_str());
#endif
  }

  /// From here on cases are only checked: the small and ragged sizes come first. That is how a Suite begins.
  void begin_checks() {
    timing_ = false;
  }
  /// From here on cases are timed too: the sizes of real work. False if there are to be none: with --small,
  /// and always on the host executor, which could not walk through them.
  [[nodiscard]] bool begin_timing() {
    return timing_ = !small_;
  }
  Case make_case(const std::string& name, Work work) {
    std::printf("\n%s\n", name.c_str());
    return {*this, name, work};
  }
  /// What products are judged by, FLOP/s: measured by the program with its library's largest product.
  void set_flop_ceiling(double flops) {
    flop_ceiling_ = flops;
  }
  double flop_ceiling() const {
    return flop_ceiling_;
  }
  double copy_ceiling() const {
    return copy_ceiling_;
  }

  /// The exit status: 1 if a variant gave a wrong result, or if nothing matched the filter.
  int finish() const {
    if (ran_ == 0) std::fprintf(stderr, "%s: no variant matches '%s'\n", name_.c_str(), filter_.c_str());
    if (wrong_) std::fprintf(stderr, "%s: %d variant(s) gave wrong results\n", name_.c_str(), wrong_);
    return wrong_ || ran_ == 0;
  }

  bool timing() const {
    return timing_;
  }
  /// Median seconds of single runs with a cold L2 cache; 0 on the host executor.
  double time(const std::function<void()>& run, const std::function<void()>& before) {
#if defined(__CUDACC__)
    Event begin, end;
    std::vector<float> times;
    double total = 0;
    for (int i = 0; i < 2 || (total < seconds_ && i < 1000) || i < 7; ++i) {
      if (before) before();
      flush_->poison();
      check(cudaEventRecord(begin.get(), stream()), "cudaEventRecord");
      run();
      check(cudaEventRecord(end.get(), stream()), "cudaEventRecord");
      check(cudaEventSynchronize(end.get()), "a kernel");
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin.get(), end.get()), "cudaEventElapsedTime");
      if (i >= 2) times.push_back(ms);  // the first ones load the code
      total += ms * 1e-3;
    }
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return times[times.size() / 2] * 1e-3;
#else
    static_cast<void>(run);
    static_cast<void>(before);
    return 0;
#endif
  }

  bool wants(const std::string& name, const std::string& variant) const {
    return filter_.empty() || name.find(filter_) != std::string::npos ||
           variant.find(filter_) != std::string::npos;
  }
  void failed(const std::string& variant, const std::string& why) {
    std::printf("  %-28s WRONG: %s\n", variant.c_str(), why.c_str());
    ++wrong_;
    ++ran_;
  }
  void record(const std::string& name, const std::string& variant, Work work, double seconds) {
    ++ran_;
    if (seconds == 0) {
      std::printf("  %-28s right\n", variant.c_str());
      return;
    }
    const bool by_flops = work.flops > 0;
    const double rate = (by_flops ? work.flops : work.bytes) / seconds;
    const double ceiling = by_flops ? flop_ceiling_ : copy_ceiling_;
    std::printf("  %-28s %9.2f us  %8.1f %s", variant.c_str(), seconds * 1e6, rate / (by_flops ? 1e12 : 1e9),
                by_flops ? "TFLOP/s" : "GB/s");
    if (ceiling > 0) std::printf("  %5.1f %% of the ceiling", 100 * rate / ceiling);
    std::printf("\n");
    if (csv_.empty()) return;
    std::FILE* file = std::fopen(csv_.c_str(), "a");
    if (!file) throw std::runtime_error("cannot append to '" + csv_ + "'");
    if (std::fseek(file, 0, SEEK_END), std::ftell(file) == 0)
      std::fprintf(file, "device,suite,case,variant,seconds,bytes,flops,copy_ceiling,flop_ceiling\n");
    std::fprintf(file, "\"%s\",%s,\"%s\",\"%s\",%.9g,%.9g,%.9g,%.9g,%.9g\n", device_.c_str(), name_.c_str(),
                 name.c_str(), variant.c_str(), seconds, work.bytes, work.flops, copy_ceiling_,
                 flop_ceiling_);
    if (std::fclose(file)) throw std::runtime_error("cannot append to '" + csv_ + "'");
  }

 private:
  [[noreturn]] void usage(const std::string& expected) const {
    std::fprintf(stderr, "%s: expected %s\n", name_.c_str(), expected.c_str());
    std::exit(2);
  }

#if defined(__CUDACC__)
  class Event {
   public:
    Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
    ~Event() { cudaEventDestroy(event_); }
    Event(const Event&) = delete;
    Event& operator=(const Event&) = delete;
    cudaEvent_t get() const { return event_; }

   private:
    cudaEvent_t event_ = nullptr;
  };

  double measure_copy();
#endif

  std::string name_, filter_, csv_, device_;
  bool small_, timing_ = false;
  double seconds_ = 0.1, copy_ceiling_ = 0, flop_ceiling_ = 0;
  int wrong_ = 0, ran_ = 0;
  std::unique_ptr<Array<float>> flush_;
};

inline void Case::measure(const std::string& variant, const std::function<void()>& run) {
  if (!suite_.wants(name_, variant)) return;
  if (checks_.empty()) throw std::logic_error(name_ + ": there is nothing to check '" + variant + "' by");
  try {
    for (const auto& check : checks_) check.poison();
    if (restore_) restore_();
    run();
    synchronize();
    for (const auto& check : checks_)
      if (const std::string difference = check.difference(); !difference.empty())
        return suite_.failed(variant, difference);
    suite_.record(name_, variant, work_, suite_.timing() ? suite_.time(run, restore_) : 0);
  } catch (const std::exception& e) {  // the others still have their turn
    suite_.failed(variant, e.what());
  }
}

inline void Case::library(const std::string& name, const std::function<void()>& run) {
  if (!suite_.wants(name_, name)) return;
  try {
    if (restore_) restore_();
    run();
    synchronize();
  } catch (const std::exception& e) {
    std::printf("  %-28s not available: %s\n", name.c_str(), e.what());
    return;
  }
  measure(name, run);
}

/// A whole program over float and bf16: `checks(suite, T())` on small and ragged sizes, then `real(suite,
/// T())` on those of real work, if they are wanted. Returns the exit status.
template <class Checks, class Real>
int run_suite(const char* name, int argc, char** argv, const Checks& checks, const Real& real) {
  Suite suite(name, argc, argv);
  const auto run = [&](auto type) {
    suite.begin_checks();
    checks(suite, type);
    if (suite.begin_timing()) real(suite, type);
  };
  run(float());
  run(bf16());
  return suite.finish();
}

#if defined(__CUDACC__)
namespace detail {
template <class = void>
__global__ void copy_kernel(const float4* __restrict__ x, float4* __restrict__ y, long long n) {
  const long long stride = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += stride)
    y[i] = x[i];
}
}  // namespace detail

/// The better of a plain vectorised kernel and the runtime's own copy, over 1 GiB.
inline double Suite::measure_copy() {
  const long long n = 1ll << 26;  // float4: 1 GiB
  const Array<float> x(n * 4), y(n * 4);
  x.poison();
  const double kernel = time(
      [&] {
        detail::copy_kernel<><<<kfer::kernels::multiprocessors() * 16, 512, 0, stream()>>>(
            reinterpret_cast<const float4*>(x.data()), reinterpret_cast<float4*>(y.data()), n);
        check(cudaGetLastError(), "copy_kernel");
      },
      {});
  const double runtime = time(
      [&] {
        check(cudaMemcpyAsync(y.data(), x.data(), n * 16, cudaMemcpyDeviceToDevice, stream()),
              "cudaMemcpyAsync");
      },
      {});
  return 2.0 * static_cast<double>(n) * 16 / std::min(kernel, runtime);
}
#endif

}  // namespace bench
