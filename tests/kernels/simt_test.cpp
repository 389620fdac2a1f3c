// The host SIMT executor: right kernels give right answers in any order, wrong ones are reported, and the
// intrinsics do what CUDA's documents say.
#include "kfer/kernels/common/device.cuh"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "planted/kernels.cuh"

KFER_KERNELS_BEGIN
namespace simt_test {

/// Appends the thread's number to `log` before a barrier and after it.
template <class T>
__global__ void log_order(T* log, T* length) {
  const T me = static_cast<T>(blockIdx.x * blockDim.x + threadIdx.x);
  log[atomicAdd(length, T(1))] = me;
  __syncthreads();
  log[atomicAdd(length, T(1))] = me;
}

/// out[threads of earlier blocks + thread] = the packed indices of the thread that computed it.
template <class T>
__global__ void indices(T* out) {
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  out[block * threads + thread] = T(((blockIdx.x * 10 + blockIdx.y) * 10 + blockIdx.z) * 1000 +
                                    (threadIdx.x * 10 + threadIdx.y) * 10 + threadIdx.z);
}

template <class T>
__global__ void shuffles(const T* x, T* idx, T* up, T* down, T* exchanged, int argument, int width) {
  const int i = static_cast<int>(threadIdx.x);
  idx[i] = __shfl_sync(full_warp, x[i], argument, width);
  up[i] = __shfl_up_sync(full_warp, x[i], static_cast<unsigned>(argument), width);
  down[i] = __shfl_down_sync(full_warp, x[i], static_cast<unsigned>(argument), width);
  exchanged[i] = __shfl_xor_sync(full_warp, x[i], argument, width);
}

/// One row of 32 a function.
template <class T>
__global__ void votes(const T* x, unsigned* out) {
  const int i = static_cast<int>(threadIdx.x);
  unsigned* mine = out + i;
  const bool odd = x[i] % 2 != 0;
  mine[0 * 32] = __ballot_sync(full_warp, odd);
  mine[1 * 32] = static_cast<unsigned>(__any_sync(full_warp, odd));
  mine[2 * 32] = static_cast<unsigned>(__all_sync(full_warp, odd));
  mine[3 * 32] = __match_any_sync(full_warp, x[i]);
  mine[4 * 32] = static_cast<unsigned>(__reduce_add_sync(full_warp, x[i]));
  mine[5 * 32] = static_cast<unsigned>(__reduce_max_sync(full_warp, x[i]));
  mine[6 * 32] = static_cast<unsigned>(__reduce_min_sync(full_warp, x[i]));
  mine[7 * 32] = __reduce_and_sync(full_warp, static_cast<unsigned>(x[i]));
  mine[8 * 32] = __reduce_or_sync(full_warp, static_cast<unsigned>(x[i]));
  mine[9 * 32] = __reduce_xor_sync(full_warp, static_cast<unsigned>(x[i]));
  // Two halves that are in different operations at a time.
  if (i < 16)
    mine[10 * 32] = __ballot_sync(0x0000FFFFu, odd);
  else
    mine[10 * 32] = static_cast<unsigned>(__reduce_add_sync(0xFFFF0000u, x[i]));
  mine[11 * 32] = __activemask();
  __syncwarp();  // nobody leaves before everybody has asked
}

template <class T>
__global__ void barrier_votes(const T* x, T* count, T* all, T* any) {
  const int i = static_cast<int>(threadIdx.x);
  count[i] = T(__syncthreads_count(x[i] != 0));
  all[i] = T(__syncthreads_and(x[i] != 0));
  any[i] = T(__syncthreads_or(x[i] != 0));
}

/// Each warp's lanes exchange values through shared memory, twice.
template <class T>
__global__ void exchange(T* y) {
  KFER_SHARED(T, s, [64]);
  const unsigned i = threadIdx.x;
  s[i] = T(i);
  __syncwarp();
  const T neighbour = s[i ^ 1];
  __syncwarp();
  s[i] = neighbour + T(100);
  __syncwarp();
  y[i] = s[i ^ 3];
}

/// Thread 0 waits for a word that the last thread writes.
template <class T>
__global__ void wait_by_sleeping(T* flag, T* y) {
  if (threadIdx.x == blockDim.x - 1) atomicExch(flag, T(1));
  if (threadIdx.x == 0) {
    while (atomicAdd(flag, T(0)) == 0) __nanosleep(20);
    y[0] = T(7);
  }
}

template <class T>
struct Atomics {
  T add, max, min, exchanged, swapped;
};
template <class T>
__global__ void atomics(Atomics<T>* a) {
  const T i = static_cast<T>(threadIdx.x);
  atomicAdd(&a->add, i);
  if constexpr (!std::is_floating_point_v<T>) {
    atomicMax(&a->max, i);
    atomicMin(&a->min, i);
  }
  if constexpr (!std::is_same_v<T, double>) atomicExch(&a->exchanged, T(3));
  if constexpr (!std::is_floating_point_v<T>) atomicCAS(&a->swapped, T(5), T(6));
}
template <class T>
__global__ void bit_atomics(T* conjunction, T* disjunction, T* parity) {
  atomicAnd(conjunction, static_cast<T>(~(T(1) << threadIdx.x)));
  atomicOr(disjunction, static_cast<T>(T(1) << threadIdx.x));
  atomicXor(parity, static_cast<T>(T(1) << (threadIdx.x % 4)));
}
template <class T>
__global__ void counters(T* up, T* down, T* less, T* old) {
  old[threadIdx.x] = atomicInc(up, 9u);
  atomicDec(down, 9u);
  atomicSub(less, T(2));
}

/// y = x by every kind of load and store.
template <class T>
__global__ void hinted(const T* x, T* y) {
  const unsigned i = threadIdx.x;
  __stcs(y + 4 * i, __ldg(x + 4 * i));
  __stcg(y + 4 * i + 1, __ldcs(x + 4 * i + 1));
  __stwb(y + 4 * i + 2, __ldcg(x + 4 * i + 2));
  y[4 * i + 3] = __ldca(x + 4 * i + 3);
}

template <class T>
struct Parameters {
  T values[8000];
};
template <class T>
__global__ void large_parameters(const __grid_constant__ Parameters<T> p, T* y) {
  y[threadIdx.x] = p.values[7999 - threadIdx.x];
}

template <class T>
__global__ void launches(T* y) {
  launch(indices<T>, 1, 1, 0, nullptr, y);
}

template <class T>
__global__ void bad_width(T* y) {
  y[0] = __shfl_sync(full_warp, y[0], 0, 12);
}
template <class T>
__global__ void traps(T*) {
  if (threadIdx.x == 3) __trap();
}

}  // namespace simt_test
KFER_KERNELS_END

namespace {

using kfer::launch;
using kfer::simt::config, kfer::simt::Order, kfer::simt::Config, kfer::simt::dim3, kfer::simt::uint3;
namespace planted = kfer::kernels::planted;
namespace kernels = kfer::kernels::simt_test;
namespace cuda = kfer::simt::words;
using kfer::kernels::bf16;

/// Restores the configuration at a test's end.
class Configured {
 public:
  Configured() = default;
  explicit Configured(Order order, std::uint64_t seed = 1) {
    config.order = order;
    config.seed = seed;
  }
  ~Configured() { config = before_; }
  Configured(const Configured&) = delete;
  Configured& operator=(const Configured&) = delete;

 private:
  Config before_ = config;
};

std::vector<float> randoms(int n, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x;
  for (int i = 0; i < n; ++i) x.push_back(normal(engine));
  return x;
}

template <class T>
std::vector<T> of(const std::vector<float>& x) {
  std::vector<T> y;
  for (float v : x) y.push_back(kfer::kernels::narrow<T>(v));
  return y;
}

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

template <class T>
double softmax_error(int rows, int cols, unsigned threads) {
  const auto x = of<T>(randoms(rows * cols, 1));
  std::vector<T> y = of<T>(std::vector<float>(x.size(), not_a_number));
  launch(planted::softmax<T>, static_cast<unsigned>(rows), threads, 0, nullptr, x.data(), y.data(), cols);
  double worst = 0;
  for (int r = 0; r < rows; ++r) {
    double sum = 0;
    for (int c = 0; c < cols; ++c) sum += std::exp(double{kfer::kernels::widen(x[r * cols + c])});
    for (int c = 0; c < cols; ++c) {
      const double right = std::exp(double{kfer::kernels::widen(x[r * cols + c])}) / sum;
      const double error = std::abs(double{kfer::kernels::widen(y[r * cols + c])} - right);
      if (!(error <= worst)) worst = error;  // a NaN stays
    }
  }
  return worst;
}

template <bool with_barrier>
int wrong_in_transpose(int rows, int cols) {
  const auto x = randoms(rows * cols, 2);
  std::vector<float> y(x.size(), not_a_number);
  const dim3 grid(static_cast<unsigned>(cols + 31) / 32, static_cast<unsigned>(rows + 31) / 32);
  launch(planted::transpose<float, with_barrier>, grid, dim3(32, 8), 0, nullptr, x.data(), y.data(), rows,
         cols);
  int wrong = 0;
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) wrong += !(y[c * rows + r] == x[r * cols + c]);
  }
  return wrong;
}

template <bool with_second_barrier>
double matmul_error(int n) {
  const auto a = randoms(n * n, 3), b = randoms(n * n, 4);
  std::vector<float> c(a.size(), not_a_number);
  const unsigned tiles = static_cast<unsigned>(n) / 16;
  launch(planted::matmul<with_second_barrier>, dim3(tiles, tiles), dim3(16, 16), 0, nullptr, a.data(),
         b.data(), c.data(), n);
  double worst = 0;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      double sum = 0;
      for (int k = 0; k < n; ++k) sum += double{a[i * n + k]} * b[k * n + j];
      const double error = std::abs(c[i * n + j] - sum);
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

/// What the executor says of `f`; empty if nothing.
template <class F>
std::string report(const F& f) {
  try {
    f();
  } catch (const kfer::simt::Error& e) {
    return e.what();
  }
  return "";
}
bool has(const std::string& text, const char* words) {
  return text.find(words) != std::string::npos;
}

template <class Kernel, class... A>
std::string report_of(Kernel kernel, unsigned threads, std::size_t shared, A... arguments) {
  const std::string text = report([&] { launch(kernel, 1, threads, shared, nullptr, arguments...); });
  CHECK(wrong_in_transpose<true>(40, 33) == 0);  // the machine is usable again
  return text;
}

}  // namespace

TEST_CASE("right kernels give right answers in every order") {
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    const Configured configured(order);
    CAPTURE(static_cast<int>(order));
    CHECK(softmax_error<float>(7, 1000, 256) < 1e-7);
    CHECK(softmax_error<float>(3, 33, 1024) < 1e-7);
    CHECK(softmax_error<double>(3, 1, 32) == 0);
    CHECK(softmax_error<double>(2, 67, 64) < 1e-15);
    CHECK(softmax_error<bf16>(2, 129, 96) < 1e-3);
    CHECK(wrong_in_transpose<true>(70, 97) == 0);
    CHECK(wrong_in_transpose<true>(1, 1) == 0);
    CHECK(matmul_error<true>(48) < 1e-4);

    const auto x = randoms(10007, 7);
    double right = 0;
    int right_positives = 0;
    for (float v : x) {
      right += v;
      right_positives += v > 0;
    }
    std::vector<float> total{0}, partial(13), by_last(1, not_a_number);
    std::vector<int> positives{0};
    launch(planted::sum_and_count<float>, 7, 256, 256 * sizeof(float), nullptr, x.data(), 10007, total.data(),
           positives.data());
    CHECK(total[0] == doctest::Approx(right).epsilon(1e-4));
    CHECK(positives[0] == right_positives);

    right = 0;
    for (int i = 0; i < 13 * 32; ++i) right += x[static_cast<std::size_t>(i)];
    std::vector<unsigned> ticket{0};
    launch(planted::sum_by_last_block<float>, 13, 32, 0, nullptr, x.data(), partial.data(), ticket.data(),
           by_last.data());
    CHECK(by_last[0] == doctest::Approx(right).epsilon(1e-5));
    CHECK(ticket[0] == 0);
  }
}

TEST_CASE("indices of a grid and a block of three dimensions") {
  std::vector<int> out(2 * 3 * 2 * (3 * 2 * 2), -1);
  launch(kernels::indices<int>, dim3(2, 3, 2), dim3(3, 2, 2), 0, nullptr, out.data());
  std::size_t i = 0;
  for (int bz = 0; bz < 2; ++bz)
    for (int by = 0; by < 3; ++by)
      for (int bx = 0; bx < 2; ++bx)
        for (int tz = 0; tz < 2; ++tz)
          for (int ty = 0; ty < 2; ++ty)
            for (int tx = 0; tx < 3; ++tx)
              CHECK(out[i++] == (bx * 100 + by * 10 + bz) * 1000 + tx * 100 + ty * 10 + tz);
}

TEST_CASE("schedules: in order, in reverse, shuffled and repeatable") {
  const auto run = [](Order order, std::uint64_t seed) {
    const Configured configured(order, seed);
    std::vector<int> log(2 * 3 * 64, -1), length{0};
    launch(kernels::log_order<int>, 3, 64, 0, nullptr, log.data(), length.data());
    CHECK(length[0] == 2 * 3 * 64);
    return log;
  };
  const auto forward = run(Order::forward, 1), reverse = run(Order::reverse, 1);
  for (int i = 0; i < 64; ++i) {
    CHECK(forward[static_cast<std::size_t>(i)] == i);
    CHECK(forward[static_cast<std::size_t>(64 + i)] == i);
    CHECK(forward[static_cast<std::size_t>(128 + i)] == 64 + i);
    CHECK(reverse[static_cast<std::size_t>(i)] == 191 - i);
    CHECK(reverse[static_cast<std::size_t>(64 + i)] == 191 - i);
  }
  const auto shuffled = run(Order::random, 5);
  CHECK(shuffled == run(Order::random, 5));
  CHECK(shuffled != run(Order::random, 6));
  CHECK(shuffled != forward);
  // Every thread twice, and no block among another.
  std::vector<int> seen(192);
  for (std::size_t i = 0; i < shuffled.size(); ++i) {
    REQUIRE((shuffled[i] >= 0 && shuffled[i] < 192));
    ++seen[static_cast<std::size_t>(shuffled[i])];
    CHECK(shuffled[i] / 64 == shuffled[i / 128 * 128] / 64);
  }
  CHECK(seen == std::vector<int>(192, 2));
}

TEST_CASE("the environment chooses the schedule") {
  setenv("KFER_SIMT_ORDER", "reverse", 1);
  setenv("KFER_SIMT_SEED", "12345678901", 1);
  setenv("KFER_SIMT_BLOCK", "3,1", 1);
  const Config c = Config::from_environment();
  CHECK(c.order == Order::reverse);
  CHECK(c.seed == 12345678901);
  REQUIRE(c.only_block);
  CHECK((c.only_block->x == 3 && c.only_block->y == 1 && c.only_block->z == 0));
  for (const auto& [name, value] : {std::pair{"KFER_SIMT_ORDER", "shuffled"},
                                    {"KFER_SIMT_SEED", "1x"},
                                    {"KFER_SIMT_SEED", ""},
                                    {"KFER_SIMT_BLOCK", "1,"},
                                    {"KFER_SIMT_BLOCK", "1,2,3,4"}}) {
    const std::string before = std::getenv(name);
    setenv(name, value, 1);
    CHECK_THROWS_AS(Config::from_environment(), std::invalid_argument);
    setenv(name, before.c_str(), 1);
  }
  for (const char* name : {"KFER_SIMT_ORDER", "KFER_SIMT_SEED", "KFER_SIMT_BLOCK"}) unsetenv(name);
  CHECK(Config::from_environment().order == Order::random);
  CHECK(!Config::from_environment().only_block);
}

TEST_CASE("one block of a grid alone") {
  const Configured configured;
  config.only_block = uint3{1, 2, 0};
  std::vector<int> out(2 * 3 * 4, -1);
  launch(kernels::indices<int>, dim3(2, 3), 4, 0, nullptr, out.data());
  for (int i = 0; i < 24; ++i) CHECK((out[static_cast<std::size_t>(i)] != -1) == (i / 4 == 5));
}

// ThreadSanitizer would rightly complain: planted/ has that.
TEST_CASE("missing barriers give wrong results in shuffled order" * doctest::skip(KFER_SIMT_TSAN)) {
  int transposes = 0, products = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const Configured configured(Order::random, seed);
    transposes += wrong_in_transpose<false>(70, 97) != 0;
    products += !(matmul_error<false>(48) < 1e-4);
  }
  CHECK(transposes >= 18);
  CHECK(products >= 18);
}

TEST_CASE("bugs of synchronisation are reported with their place, and the machine goes on") {
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    const Configured configured(order);
    std::vector<float> y(64, 0);
    std::string text = report_of(planted::barriers_of_two_branches<float>, 64, 0, y.data());
    CHECK_MESSAGE(has(text, "barrier divergence"), text);
    CHECK_MESSAGE(has(text, "kernels.cuh:"), text);
    CHECK_MESSAGE(has(text, "thread (48,0,0) of block (0,0,0)"), text);

    text = report_of(planted::return_before_barrier<float>, 64, 0, y.data());
    CHECK_MESSAGE(has(text, "exited while"), text);
    CHECK_MESSAGE(has(text, "__syncthreads"), text);

    // Depending on who comes first, the others have left or are at the barrier of nobody.
    text = report_of(planted::shuffle_of_half_a_warp<float>, 32, 0, y.data());
    CHECK_MESSAGE((has(text, "lanes that have exited") || has(text, "can go on")), text);
    CHECK_MESSAGE(has(text, "__shfl_xor_sync"), text);

    text = report_of(planted::shuffle_from_outside_the_mask<float>, 32, 0, y.data());
    CHECK_MESSAGE(has(text, "lane 20, which is not in the mask 0000ffff"), text);

    text = report_of(planted::barrier_against_shuffle<float>, 32, 0, y.data());
    CHECK_MESSAGE(has(text, "31 at __shfl_xor_sync"), text);
    CHECK_MESSAGE(has(text, "1 at __syncthreads"), text);

    text = report_of(planted::vote_against_shuffle<float>, 32, 0, y.data());
    CHECK_MESSAGE(has(text, "warp divergence"), text);

    CHECK(has(report_of(kernels::bad_width<float>, 32, 0, y.data()), "a width of 12"));
    CHECK(has(report_of(kernels::traps<float>, 32, 0, y.data()), "__trap [thread (3,0,0)"));
    std::vector<int> numbers(64);
    CHECK(has(report_of(kernels::launches<int>, 32, 0, numbers.data()), "a launch inside a kernel"));
  }
}

TEST_CASE("threads that left may miss barriers if the configuration says so") {
  const Configured configured;
  config.exited_threads_may_miss_barriers = true;
  std::vector<float> y(64, 0);
  launch(planted::return_before_barrier<float>, 1, 64, 0, nullptr, y.data());
  for (int i = 0; i < 64; ++i) CHECK(y[static_cast<std::size_t>(i)] == (i < 48 ? 1 : 0));
}

TEST_CASE("shared memory that nobody wrote is NaN, in every block anew") {
  std::vector<float> y(64, 0);
  wrong_in_transpose<true>(64, 64);
  launch(planted::unwritten_shared<float>, 3, 64, 0, nullptr, y.data());
  for (int i = 0; i < 63; ++i) CHECK(y[static_cast<std::size_t>(i)] == 1);
  CHECK(std::isnan(y[63]));
}

TEST_CASE("too much shared memory") {
  std::vector<float> y(64, 0);
  CHECK(has(report_of(planted::too_much_fixed_shared<float>, 32, 0, y.data()), "shared memory: 49156 bytes"));
  // 227 KB in all: 4 KB of fixed size leave 223 KB.
  CHECK(report_of(planted::fixed_and_dynamic_shared<float>, 32, 223 << 10, y.data()).empty());
  CHECK(y[31] == 1);
  const std::string text = report_of(planted::fixed_and_dynamic_shared<float>, 32, (223 << 10) + 4, y.data());
  CHECK_MESSAGE(has(text, "shared memory: 4096 bytes of fixed size and 228356 dynamic"), text);
}

TEST_CASE("launch shapes that a GPU refuses") {
  std::vector<int> out(4096, -1);
  const auto shape = [&](dim3 grid, dim3 block, std::size_t shared) {
    launch(kernels::indices<int>, grid, block, shared, nullptr, out.data());
  };
  using kfer::kernels::LaunchError;
  CHECK_THROWS_AS(shape(dim3(0), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(dim3(1, 0), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(dim3(1, 1, 0), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(dim3(1, 65536), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(dim3(1, 1, 65536), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(dim3(1u << 31), 32, 0), LaunchError);
  CHECK_THROWS_AS(shape(1, 0, 0), LaunchError);
  CHECK_THROWS_AS(shape(1, 1025, 0), LaunchError);
  CHECK_THROWS_AS(shape(1, dim3(32, 33), 0), LaunchError);
  CHECK_THROWS_AS(shape(1, dim3(1, 1, 65), 0), LaunchError);
  CHECK_THROWS_AS(shape(1, 32, (227 << 10) + 1), LaunchError);
  CHECK(has(report([&] { shape(dim3(1, 65536), 32, 8); }), "grid (1,65536,1), block (32,1,1), 8 bytes"));
  CHECK(out == std::vector<int>(4096, -1));
  shape(1, dim3(16, 1, 64), 227 << 10);
  CHECK(out[1023] == 15 * 100 + 63);
}

TEST_CASE("launches from several threads are made one by one") {
  int wrong[2]{};
  std::thread other([&] {
    for (int i = 0; i < 10; ++i) wrong[0] += wrong_in_transpose<true>(70, 97);
  });
  for (int i = 0; i < 10; ++i) wrong[1] += wrong_in_transpose<true>(70, 97);
  other.join();
  CHECK(wrong[0] + wrong[1] == 0);
}

TEST_CASE("parameters are copied, up to CUDA's limit") {
  kernels::Parameters<int> p;
  for (int i = 0; i < 8000; ++i) p.values[i] = i;
  std::vector<int> y(64);
  launch(kernels::large_parameters<int>, 1, 64, 0, nullptr, p, y.data());
  for (int i = 0; i < 64; ++i) CHECK(y[static_cast<std::size_t>(i)] == 7999 - i);
  struct Large {
    char bytes[32757];
  };
  static_assert(kfer::simt::detail::parameter_bytes<char, double, char>() == 17);
  static_assert(kfer::simt::detail::parameter_bytes<Large, float*>() == 32768);
}

namespace {
struct Pair {
  double a;
  int b;
  bool operator==(const Pair&) const = default;
};
struct Three {
  char c[3];
  bool operator==(const Three&) const = default;
};

template <class T>
T sample(int i) {
  if constexpr (std::is_same_v<T, Pair>)
    return {i * 1e100, -i};
  else if constexpr (std::is_same_v<T, Three>)
    return {{static_cast<char>(i), static_cast<char>(i + 1), 'x'}};
  else if constexpr (std::is_same_v<T, bf16>)
    return {static_cast<std::uint16_t>(i * 1000)};
  else if constexpr (sizeof(T) == 8)
    return static_cast<T>(i * 0x123456789AB + 1);
  else
    return static_cast<T>(i * 3 + 1);
}
template <class T>
bool equal(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, bf16>)
    return a.bits == b.bits;
  else
    return a == b;
}
}  // namespace

TEST_CASE_TEMPLATE("shuffles", T, int, unsigned, float, double, long long, unsigned long long, bf16, Pair,
                   Three) {
  std::vector<T> x, idx(32), up(32), down(32), exchanged(32);
  for (int i = 0; i < 32; ++i) x.push_back(sample<T>(i));
  struct Case {
    int argument, width;
  };
  for (const Case c :
       {Case{1, 32}, {16, 32}, {31, 32}, {0, 32}, {3, 8}, {5, 16}, {8, 8}, {1, 1}, {2, 2}, {16, 16}}) {
    const int argument = c.argument, width = c.width;
    CAPTURE(argument);
    CAPTURE(width);
    launch(kernels::shuffles<T>, 1, 32, 0, nullptr, x.data(), idx.data(), up.data(), down.data(),
           exchanged.data(), argument, width);
    for (int i = 0; i < 32; ++i) {
      CAPTURE(i);
      // CUDA C++ Programming Guide, warp shuffle functions: each segment of `width` lanes is a warp of its
      // own; a lane that looks past its segment gets its own value, except that xor may read earlier
      // segments.
      const int in_segment = i % width, segment = i / width * width;
      const auto at = [&](const std::vector<T>& from, int lane) {
        return from[static_cast<std::size_t>(lane)];
      };
      CHECK(equal(at(idx, i), at(x, segment + argument % width)));
      CHECK(equal(at(up, i), at(x, in_segment >= argument ? i - argument : i)));
      CHECK(equal(at(down, i), at(x, in_segment + argument < width ? i + argument : i)));
      CHECK(equal(at(exchanged, i), at(x, (i ^ argument) < segment + width ? i ^ argument : i)));
    }
  }
}

TEST_CASE_TEMPLATE("votes and reductions of a warp", T, int, unsigned) {
  std::vector<T> x;
  for (int i = 0; i < 32; ++i) x.push_back(static_cast<T>((i * 7 + 3) % 11) - static_cast<T>(5));
  std::vector<unsigned> out(12 * 32, 0xDEAD);
  launch(kernels::votes<T>, 1, 32, 0, nullptr, x.data(), out.data());
  unsigned odd = 0, sum = 0, conjunction = ~0u, disjunction = 0, parity = 0, upper_sum = 0;
  T most = x[0], least = x[0];
  for (unsigned i = 0; i < 32; ++i) {
    odd |= static_cast<unsigned>(x[i] % 2 != 0) << i;
    sum += static_cast<unsigned>(x[i]);
    if (i >= 16) upper_sum += static_cast<unsigned>(x[i]);
    conjunction &= static_cast<unsigned>(x[i]);
    disjunction |= static_cast<unsigned>(x[i]);
    parity ^= static_cast<unsigned>(x[i]);
    most = std::max(most, x[i]);
    least = std::min(least, x[i]);
  }
  for (unsigned i = 0; i < 32; ++i) {
    unsigned same = 0;
    for (unsigned j = 0; j < 32; ++j) same |= static_cast<unsigned>(x[j] == x[i]) << j;
    const unsigned expected[] = {odd,
                                 1,
                                 0,
                                 same,
                                 sum,
                                 static_cast<unsigned>(most),
                                 static_cast<unsigned>(least),
                                 conjunction,
                                 disjunction,
                                 parity,
                                 i < 16 ? odd & 0xFFFF : upper_sum,
                                 ~0u};
    for (unsigned row = 0; row < 12; ++row) {
      CAPTURE(row);
      CHECK(out[row * 32 + i] == expected[row]);
    }
  }
}

TEST_CASE("a warp that is not full") {
  std::vector<float> y(40, not_a_number);
  const std::string text =
      report([&] { launch(planted::shuffle_of_half_a_warp<float>, 1, 16, 0, nullptr, y.data()); });
  CHECK_MESSAGE(has(text, "do not exist"), text);
}

TEST_CASE("barriers that vote") {
  for (const int zeros : {0, 1, 37, 96}) {
    std::vector<int> x(96, 2), count(96, -1), all(96, -1), any(96, -1);
    for (int i = 0; i < zeros; ++i) x[static_cast<std::size_t>(i)] = 0;
    launch(kernels::barrier_votes<int>, 1, 96, 0, nullptr, x.data(), count.data(), all.data(), any.data());
    CHECK(count == std::vector<int>(96, 96 - zeros));
    for (int i = 0; i < 96; ++i) {
      CHECK((all[static_cast<std::size_t>(i)] != 0) == (zeros == 0));
      CHECK((any[static_cast<std::size_t>(i)] != 0) == (zeros != 96));
    }
  }
}

TEST_CASE("__syncwarp, fences and sleep") {
  std::vector<int> y(64, -1), flag{0}, seven{0};
  launch(kernels::exchange<int>, 1, 64, 0, nullptr, y.data());
  for (int i = 0; i < 64; ++i) CHECK(y[static_cast<std::size_t>(i)] == (i ^ 3 ^ 1) + 100);
  for (const Order order : {Order::forward, Order::reverse, Order::random}) {
    const Configured configured(order);
    flag[0] = seven[0] = 0;
    launch(kernels::wait_by_sleeping<int>, 1, 64, 0, nullptr, flag.data(), seven.data());
    CHECK(seven[0] == 7);
  }
}

TEST_CASE_TEMPLATE("atomics", T, int, unsigned, unsigned long long, float, double) {
  kernels::Atomics<T> a{T(1), T(0), T(1000), T(0), T(5)};
  launch(kernels::atomics<T>, 3, 100, 0, nullptr, &a);
  CHECK(a.add == T(1 + 3 * 4950));
  if constexpr (!std::is_floating_point_v<T>) {
    CHECK(a.max == T(99));
    CHECK(a.min == T(0));
    CHECK(a.swapped == T(6));
  }
  if constexpr (!std::is_same_v<T, double>) CHECK(a.exchanged == T(3));
}

TEST_CASE("atomics on bits, counters, and wrapping sums") {
  unsigned long long conjunction = ~0ull, disjunction = 0, parity = 0;
  launch(kernels::bit_atomics<unsigned long long>, 1, 40, 0, nullptr, &conjunction, &disjunction, &parity);
  CHECK(conjunction == ~((1ull << 40) - 1));
  CHECK(disjunction == (1ull << 40) - 1);
  CHECK(parity == 0);  // ten times each of four bits
  int positive = ~0, set = 0, odd = 0;
  launch(kernels::bit_atomics<int>, 1, 13, 0, nullptr, &positive, &set, &odd);
  CHECK(positive == ~((1 << 13) - 1));
  CHECK(set == (1 << 13) - 1);
  CHECK(odd == 0xE);  // thirteen threads: bit 0 four times, the others three

  const Configured configured(Order::forward);
  std::vector<unsigned> old(25), up{0}, down{3}, less{100};
  launch(kernels::counters<unsigned>, 1, 25, 0, nullptr, up.data(), down.data(), less.data(), old.data());
  for (unsigned i = 0; i < 25; ++i) CHECK(old[i] == i % 10);
  CHECK(up[0] == 5);
  CHECK(down[0] == 8);  // 3 2 1 0 9 8 ... : 25 steps
  CHECK(less[0] == 50);

  kernels::Atomics<int> wrapping{std::numeric_limits<int>::max(), 0, 0, 0, 0};
  launch(kernels::atomics<int>, 1, 2, 0, nullptr, &wrapping);
  CHECK(wrapping.add == std::numeric_limits<int>::min());
}

TEST_CASE("loads and stores with a cache hint") {
  std::vector<kfer::simt::float4> x(128), y(128);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = {float(i), float(i) + 0.25f, -float(i), 1};
  launch(kernels::hinted<kfer::simt::float4>, 1, 32, 0, nullptr, x.data(), y.data());
  CHECK(std::memcmp(x.data(), y.data(), x.size() * sizeof x[0]) == 0);
  std::vector<bf16> a(128), b(128);
  for (std::size_t i = 0; i < a.size(); ++i) a[i].bits = static_cast<std::uint16_t>(i);
  launch(kernels::hinted<bf16>, 1, 32, 0, nullptr, a.data(), b.data());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(b[i].bits == a[i].bits);
}

TEST_CASE("bits") {
  using namespace kfer::simt::words;
  CHECK(__popc(0xF0F00001u) == 9);
  CHECK(__popcll(0xFF00000000000001ull) == 9);
  CHECK(__clz(1) == 31);
  CHECK(__clz(0) == 32);
  CHECK(__clz(-1) == 0);
  CHECK(__clzll(1) == 63);
  CHECK(__ffs(0) == 0);
  CHECK(__ffs(12) == 3);
  CHECK(__ffsll(1ll << 40) == 41);
  CHECK(__brev(1u) == 0x80000000u);
  CHECK(__brev(0x12345678u) == 0x1E6A2C48u);
  CHECK(__brevll(0x12345678ull) == 0x1E6A2C4800000000ull);
  CHECK(__byte_perm(0x33221100u, 0x77665544u, 0x7531u) == 0x77553311u);
  CHECK(__byte_perm(0x33221180u, 0u, 0x4480u) == 0x0000FF80u);
  CHECK(__funnelshift_l(0x80000001u, 0x12345678u, 4) == 0x23456788u);
  CHECK(__funnelshift_r(0x80000001u, 0x12345678u, 4) == 0x88000000u);
  CHECK(__umulhi(0xFFFFFFFFu, 0xFFFFFFFFu) == 0xFFFFFFFEu);
  CHECK(__mulhi(-1, 1) == -1);
  CHECK(__umul64hi(~0ull, ~0ull) == ~0ull - 1);
  CHECK(__float_as_uint(1.0f) == 0x3F800000u);
  CHECK(__float_as_int(-1.0f) == static_cast<int>(0xBF800000u));
  CHECK(__uint_as_float(0x40000000u) == 2.0f);
  CHECK(__int_as_float(0x40400000) == 3.0f);
  CHECK(__double_as_longlong(2.0) == 0x4000000000000000);
  CHECK(__longlong_as_double(0x3FF0000000000000) == 1.0);
}

TEST_CASE("arithmetic") {
  using namespace kfer::simt::words;
  CHECK(rsqrtf(4.0f) == 0.5f);
  CHECK(rsqrt(16.0) == 0.25);
  CHECK(__saturatef(-1) == 0);
  CHECK(__saturatef(0.25f) == 0.25f);
  CHECK(__saturatef(7) == 1);
  CHECK(__saturatef(not_a_number) == 0);
  CHECK(cuda::min(not_a_number, 1.0f) == 1);
  CHECK(cuda::max(1.0f, not_a_number) == 1);
  CHECK(cuda::min(-1, 2) == -1);
  CHECK(cuda::max(3u, 2) == 3u);
  CHECK(cuda::max(2.5f, 3.0) == 3.0);
  // 1 + 2^-12 squared is 1 + 2^-11 + 2^-24: rounded first, the last term is lost; fused, it is not.
  volatile float x = 1 + 0x1p-12f;
  const float square = x * x;
  CHECK(__fadd_rn(__fmul_rn(x, x), -square) == 0);
  CHECK(__fmaf_rn(x, x, -(1 + 0x1p-11f)) == 0x1p-24f);
  CHECK(__fmul_rn(x, x) - (1 + 0x1p-11f) == 0);
  CHECK(__frcp_rn(3.0f) == 1.0f / 3);
  CHECK(__fsqrt_rn(2.0f) == std::sqrt(2.0f));
  CHECK(__fdividef(1, 4) == 0.25f);
  CHECK(cuda::__expf(1) == std::exp(1.0f));
  CHECK(cuda::__logf(2) == std::log(2.0f));
  CHECK(cuda::__powf(2, 10) == 1024);
  static_assert(std::is_same_v<decltype(cuda::exp(1.0f)), float>);
  static_assert(std::is_same_v<decltype(cuda::exp(1.0)), double>);
  CHECK(__float2int_rn(2.5f) == 2);
  CHECK(__float2int_rz(-2.9f) == -2);
  CHECK(__float2int_rd(-2.1f) == -3);
  CHECK(__float2int_ru(2.1f) == 3);
  CHECK(__float2int_rn(1e20f) == std::numeric_limits<int>::max());
  CHECK(__float2int_rz(not_a_number) == 0);
  CHECK(__float2uint_rn(-3) == 0);
}

TEST_CASE("types have CUDA's sizes and alignments") {
  using namespace kfer::simt::words;
  static_assert(sizeof(float2) == 8 && alignof(float2) == 8);
  static_assert(sizeof(kfer::simt::float3) == 12 && alignof(kfer::simt::float3) == 4);
  static_assert(sizeof(float4) == 16 && alignof(float4) == 16);
  static_assert(sizeof(double2) == 16 && alignof(double2) == 16);
  static_assert(sizeof(int4) == 16 && alignof(int4) == 16 && sizeof(uint2) == 8 && alignof(uint2) == 8);
  static_assert(sizeof(ushort4) == 8 && alignof(ushort4) == 8 && sizeof(uchar4) == 4 && alignof(uchar4) == 4);
  static_assert(sizeof(ulonglong2) == 16 && alignof(ulonglong2) == 16);
  CHECK(make_float4(1, 2, 3, 4).w == 4);
  CHECK(make_uint4(1, 2, 3, 4).y == 2);
  CHECK(dim3(3).y == 1);
}

TEST_CASE("counts") {
  kfer::simt::stats = {};
  CHECK(wrong_in_transpose<true>(64, 64) == 0);
  CHECK(kfer::simt::stats.blocks == 4);
  CHECK(kfer::simt::stats.threads == 4 * 256);
  CHECK(kfer::simt::stats.barriers == 4 * 256);
  CHECK(kfer::simt::stats.warp_ops == 0);
  CHECK(kfer::simt::stats.switches >= 4 * 256);
}
