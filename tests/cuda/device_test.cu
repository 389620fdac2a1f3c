// The Cuda device itself: memory, copies, order, captured graphs. Under nvcc it needs a GPU; under a C++
// compiler it runs on the pretended runtime (pretended/device_test.cpp).
#include "cuda/gpu_main.hpp"

#include <atomic>
#include <memory>
#include <numeric>
#include <thread>
#include <vector>

#include "kfer/data/prefetch.hpp"
#include "kfer/device/cuda.hpp"
#include "kfer/device/replayed.hpp"
#include "kfer/device/with_device.hpp"

using namespace kfer;

namespace {

using Word = unsigned long long;

/// out[i] = in[i] * factor + shift, after some rounds of busy work.
struct Affine {
  const Word* in;
  Word* out;
  std::size_t n;
  const Word* factor_at;  ///< instead of factor, unless null
  Word factor;
  const Word* shift;  ///< none if null
  int rounds;

#if defined(__CUDACC__)
  __host__ __device__
#endif
      void
      operator()(std::size_t i) const {
    Word busy = in[i];
    for (int r = 0; r < rounds; ++r) busy = busy * 6364136223846793005ull + 1442695040888963407ull;
    out[i] =
        in[i] * (factor_at ? *factor_at : factor) + (shift ? *shift : 0) + (rounds > 0 && busy == 42 ? 1 : 0);
  }
};
#if defined(__CUDACC__)
__global__ static void for_each_index(Affine f) {
  const std::size_t i = blockIdx.x * std::size_t{blockDim.x} + threadIdx.x;
  if (i < f.n) f(i);
}
void launch(const Affine& f) {
  for_each_index<<<static_cast<unsigned>((f.n + 255) / 256), 256, 0, Cuda::stream()>>>(f);
  cuda::check(cudaGetLastError(), "affine");
}
constexpr int late = 200000;  ///< rounds that keep the device busy for some milliseconds
#else
void launch(const Affine& f) {
  pretended::launch(Cuda::stream(), [f] {
    for (std::size_t i = 0; i < f.n; ++i) f(i);
  });
}
constexpr int late = 100;  ///< the pretended device is late by itself
#endif

/// n words on the device.
class Words {
 public:
  explicit Words(std::size_t n) : n_(n), block_(std::make_shared<Buffer<Cuda>>(n * sizeof(Word))) {}
  explicit Words(const std::vector<Word>& values) : Words(values.size()) {
    Cuda::copy_from_host(data(), values.data(), values.size() * sizeof(Word));
  }
  Word* data() const { return static_cast<Word*>(block_->data()); }
  std::size_t size() const { return n_; }
  std::vector<Word> host() const {
    std::vector<Word> out(n_);
    Cuda::copy_to_host(out.data(), data(), n_ * sizeof(Word));
    return out;
  }

 private:
  std::size_t n_;
  std::shared_ptr<Buffer<Cuda>> block_;
};

struct Factor {
  const Word* at = nullptr;
  Word value = 1;
};

Words affine(const Words& in, Factor factor, int rounds = 0) {
  const Words out(in.size());
  launch({in.data(), out.data(), in.size(), factor.at, factor.value, Cuda::random_shift(), rounds});
  Cuda::enqueued("affine");
  return out;
}

std::vector<Word> counted(std::size_t n, Word factor = 1, Word shift = 0) {
  std::vector<Word> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = i * factor + shift;
  return out;
}

constexpr std::size_t MiB = std::size_t{1} << 20;

std::size_t free_on_device() {
  std::size_t free = 0, total = 0;
  cuda::check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
  return free;
}

}  // namespace

TEST_CASE("the device tells what it is") {
  CHECK(Cuda::available());
  CHECK(Cuda::available().reason.empty());
  const std::string text = Cuda::description();
  CHECK(text.find("compute capability") != std::string::npos);
  CHECK(text.find("driver for CUDA") != std::string::npos);
  CHECK(Cuda::ordinal() >= 0);
  CHECK(with_device("cuda", []<class D>(D) { return std::string(D::name); }) == "cuda");
}

TEST_CASE("what goes to the device comes back, whatever its size") {
  for (const std::size_t n : {0, 1, 3, 511, 512, 513, 4097, 100003, 5000011}) {
    std::vector<unsigned char> from(n), to(n, 0);
    for (std::size_t i = 0; i < n; ++i) from[i] = static_cast<unsigned char>(i * 37 + n);
    const Buffer<Cuda> a(n), b(n);
    REQUIRE(a.data() != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(a.data()) % 512 == 0);
    Cuda::copy_from_host(a.data(), from.data(), n);
    Cuda::copy(b.data(), a.data(), n);
    Cuda::set_zero(a.data(), n);
    Cuda::copy_to_host(to.data(), b.data(), n);
    CHECK(to == from);
    Cuda::copy_to_host(to.data(), a.data(), n);
    CHECK(to == std::vector<unsigned char>(n, 0));
  }
}

TEST_CASE("the source of a copy may be reused at once, pinned or not, also when the device is late") {
  const std::size_t n = 1 << 20;
  const Words busy(counted(n));
  std::vector<Word> pageable = counted(n, 3);
  cuda::PinnedBuffer pinned(n * sizeof(Word));
  Word* const p = static_cast<Word*>(pinned.data());
  std::copy(pageable.begin(), pageable.end(), p);
  const Words a(n), b(n);
  affine(busy, {}, late);
  Cuda::copy_from_host(a.data(), pageable.data(), n * sizeof(Word));
  std::fill(pageable.begin(), pageable.end(), 0);
  affine(busy, {}, late);
  Cuda::copy_from_host(b.data(), p, n * sizeof(Word));
  std::fill(p, p + n, 0);
  CHECK(a.host() == counted(n, 3));
  CHECK(b.host() == counted(n, 3));
}

TEST_CASE("work happens in order; memory that is freed while it is in use serves later work only") {
  const std::size_t n = 1 << 18;
  Words x(counted(n));
  for (int i = 0; i < 20; ++i)
    x = affine(x, {.value = 3}, late / 20);  // each step frees the input of the one before
  Words y(n);
  Cuda::copy(y.data(), x.data(), n * sizeof(Word));
  x = Words(std::vector<Word>(n, 7));
  Word power = 1;
  for (int i = 0; i < 20; ++i) power *= 3;
  CHECK(y.host() == counted(n, power));
}

TEST_CASE("memory is counted, kept, and given back") {
  const std::size_t before = Cuda::bytes_in_use();
  {
    const Words a(1000), b(5 * MiB);
    CHECK(Cuda::bytes_in_use() >= before + 8000 + 40 * MiB);
    CHECK(Cuda::peak_bytes() >= Cuda::bytes_in_use());
  }
  CHECK(Cuda::bytes_in_use() == before);
  void* block = Cuda::allocate(300 * MiB);
  Cuda::deallocate(block, 300 * MiB);
  if (!cuda::environment_is("KFER_CUDA_CACHE", "0")) CHECK(Cuda::memory().kept() >= 300 * MiB);
  const std::size_t free = free_on_device();
  Cuda::release_cache();
  if (!cuda::environment_is("KFER_CUDA_CACHE", "0")) CHECK(free_on_device() > free);
  CHECK(Cuda::bytes_in_use() == before);
}

TEST_CASE("out of memory names the bytes and leaves the device usable, what is kept is given back first") {
  const std::size_t before = Cuda::bytes_in_use();
  for (const std::size_t bytes : {std::size_t{1} << 50, SIZE_MAX, SIZE_MAX / 2}) {
    try {
      const Buffer<Cuda> block(bytes);
      FAIL("no exception");
    } catch (const OutOfMemoryError& e) {
      const std::string message = e.what();
      CHECK(message.find(std::to_string(bytes)) != std::string::npos);
      CHECK(message.find("in use") != std::string::npos);
      CHECK(message.find("of the device are free") != std::string::npos);
    }
  }
  CHECK(Cuda::bytes_in_use() == before);
  // Most of what is free, once as small pieces that are kept, once whole.
  Cuda::release_cache();
  const std::size_t most = free_on_device() / 10 * 8;
  {
    std::vector<std::unique_ptr<Buffer<Cuda>>> pieces;
    for (int i = 0; i < 20; ++i) pieces.push_back(std::make_unique<Buffer<Cuda>>(most / 20));
  }
  const Buffer<Cuda> whole(most);
  Cuda::set_zero(static_cast<char*>(whole.data()) + most - MiB, MiB);
  const Words x(counted(1000));
  CHECK(affine(x, {.value = 2}).host() == counted(1000, 2));
}

TEST_CASE("a captured graph replays with changing values, and what was captured does not run") {
  const std::size_t n = 10007;
  Words in(counted(n)), result(n);
  Cuda::set_zero(result.data(), n * sizeof(Word));
  ReplayedValue<Word, Cuda> factor(5);
  CHECK(factor.device() == nullptr);
  CHECK_FALSE(Cuda::capturing());
  auto graph = CudaGraph::capture([&] {
    CHECK(Cuda::capturing());
    REQUIRE(factor.device() != nullptr);
    CHECK(factor.device() == factor.device());
    const Words doubled = affine(in, {.at = factor.device()});  // twice the shift, and an intermediate result
    const Words out = affine(doubled, {.value = 2});
    Cuda::copy(result.data(), out.data(), n * sizeof(Word));
  });
  CHECK_FALSE(Cuda::capturing());
  CHECK(factor.device() == nullptr);
  CHECK(Cuda::random_shift() == nullptr);
  CHECK(result.host() == std::vector<Word>(n, 0));
  graph.replay();
  CHECK(graph.replays() == 1);
  CHECK(result.host() == counted(n, 10));  // the value of the capture, shift 0
  factor.set(7);
  graph.replay();
  CHECK(result.host() == counted(n, 14, 3));  // 2 (7 i + 1) + 1
  factor.set(1);
  graph.replay(100);
  CHECK(result.host() == counted(n, 2, 300));
  // Static input: the graph sees what is there now.
  Cuda::copy_from_host(in.data(), counted(n, 9).data(), n * sizeof(Word));
  graph.replay(0);
  CHECK(result.host() == counted(n, 18));
}

TEST_CASE("values set while earlier replays are under way do not change those") {
  const std::size_t n = 1 << 18, steps = 50;
  const Words in(counted(n));
  Words out(n);
  std::vector<Words> results;
  ReplayedValue<Word, Cuda> factor;
  auto graph = CudaGraph::capture([&] {
    const Words y = affine(in, {.at = factor.device()}, late / 50);
    Cuda::copy(out.data(), y.data(), n * sizeof(Word));
  });
  for (std::size_t k = 0; k < steps; ++k) {
    factor.set(k + 1);
    graph.replay();
    results.emplace_back(n);
    Cuda::copy(results.back().data(), out.data(), n * sizeof(Word));
  }
  for (std::size_t k = 0; k < steps; ++k) REQUIRE(results[k].host() == counted(n, k + 1, k));
}

TEST_CASE("a value outlives its owner in the graph, and a copy is a value of its own") {
  const Words in(counted(100));
  Words out(100);
  auto value = std::make_unique<ReplayedValue<Word, Cuda>>(3);
  auto graph = CudaGraph::capture([&] {
    const Words y = affine(in, {.at = value->device()});
    Cuda::copy(out.data(), y.data(), 100 * sizeof(Word));
  });
  ReplayedValue<Word, Cuda> copy = *value;
  copy.set(50);
  ReplayedValue<Word, Cuda> moved = std::move(*value);
  value.reset();
  graph.replay(0);
  CHECK(out.host() == counted(100, 3));
  moved.set(4);
  graph.replay(0);
  CHECK(out.host() == counted(100, 4));
}

TEST_CASE("what cannot be captured is named, and work goes on") {
  const std::size_t before = Cuda::bytes_in_use();
  const Words x(counted(1000));
  const auto failure = [&](auto work) {
    try {
      CudaGraph::capture([&] {
        const Words y = affine(x, {.value = 2});
        work(y);
      });
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(failure([](const Words& y) { y.host(); }).find("a copy to the host") != std::string::npos);
  CHECK(failure([](const Words&) {
          Words(std::vector<Word>{1, 2});
        }).find("a copy from the host") != std::string::npos);
  CHECK(failure([](const Words&) { Cuda::synchronize(); }).find("waiting for the device") !=
        std::string::npos);
  CHECK(failure([](const Words&) { CudaGraph::capture([] {}); }).find("do not nest") != std::string::npos);
  CHECK(failure([](const Words&) {
          cuda::check(cudaStreamSynchronize(Cuda::stream()), "cudaStreamSynchronize");
        }).find("cudaStreamSynchronize") != std::string::npos);
  CHECK(failure([](const Words&) { static_cast<void>(cudaStreamSynchronize(Cuda::stream())); }) != "");
  CHECK(failure([](const Words&) { throw ValueError("of the work"); }) == "of the work");
  CHECK(failure([](const Words&) {
          throw std::runtime_error("of a launch");
        }).find("be captured as a CUDA graph: of a") != std::string::npos);
  CHECK(failure([](const Words&) { Buffer<Cuda> much(std::size_t{1} << 50); }).find("cannot allocate") !=
        std::string::npos);
  CHECK_FALSE(Cuda::capturing());
  CHECK(affine(x, {.value = 2}).host() == counted(1000, 2));
  std::optional<Words> out;
  auto graph = CudaGraph::capture([&] { out = affine(x, {.value = 3}); });
  graph.replay(0);
  CHECK(out->host() == counted(1000, 3));
  CHECK(Cuda::bytes_in_use() < before + MiB);
}

TEST_CASE("an allocation that fails leaves the capture as it was, and what is kept for reuse where it is") {
  const Words x(counted(1000));
  const std::size_t bytes = 40 * MiB, small = 4096;
  Words result(1000);
  void *kept = Cuda::allocate(bytes), *few = Cuda::allocate(small);
  auto graph = CudaGraph::capture([&] {
    const Words y = affine(x, {.value = 3});
    Cuda::deallocate(kept, bytes);  // the graph's from now on
    Cuda::deallocate(few, small);
    CHECK_THROWS_AS(Buffer<Cuda>(std::size_t{1} << 50), OutOfMemoryError);
    Cuda::copy(result.data(), y.data(), 1000 * sizeof(Word));
  });
  graph.replay(0);
  CHECK(result.host() == counted(1000, 3));
  // What other threads keep meanwhile is not given back either.
  auto second = CudaGraph::capture([&] {
    std::thread([&] { Cuda::deallocate(Cuda::allocate(bytes), bytes); }).join();
    CHECK_THROWS_AS(Buffer<Cuda>(std::size_t{1} << 50), OutOfMemoryError);
    const Words y = affine(x, {.value = 5});
    Cuda::copy(result.data(), y.data(), 1000 * sizeof(Word));
  });
  second.replay(0);
  CHECK(result.host() == counted(1000, 5));
}

TEST_CASE("a capture begins with what was kept for reuse given back") {
  if (cuda::environment_is("KFER_CUDA_CACHE", "0")) return;
  Cuda::deallocate(Cuda::allocate(300 * MiB), 300 * MiB);
  const std::size_t kept = Cuda::memory().kept();
  REQUIRE(kept >= 300 * MiB);
  const auto graph = CudaGraph::capture([] {});
  CHECK(Cuda::memory().kept() + 300 * MiB <= kept);
}

TEST_CASE("memory of a graph is nobody else's, before, between and after replays") {
  const std::size_t n = 100000;
  const Words in(counted(n));
  std::optional<Words> out;
  const std::size_t before = Cuda::memory().reserved;
  std::optional<CudaGraph> graph(CudaGraph::capture([&] {
    Words y = affine(in, {.value = 3});
    for (int i = 0; i < 50; ++i) y = affine(y, {.value = 1});
    out = y;
  }));
  CHECK(Cuda::memory().reserved < before + 10 * n * sizeof(Word));  // of 51 results, two at a time are alive
  const Words target(n);
  auto passing = CudaGraph::capture([&] {  // after it, nothing in its memory is alive
    const Words y = affine(in, {.value = 7});
    Cuda::copy(target.data(), y.data(), n * sizeof(Word));
  });
  std::vector<Words> others;
  for (int i = 0; i < 30; ++i) {
    others.emplace_back(std::vector<Word>(n, static_cast<Word>(i)));
    if (i % 3 == 0) graph->replay(0);
    CHECK(others.back().data() != out->data());
  }
  Cuda::release_cache();  // not the graph's
  for (int i = 30; i < 60; ++i) others.emplace_back(std::vector<Word>(n, static_cast<Word>(i)));
  graph->replay(0);
  passing.replay(0);
  CHECK(target.host() == counted(n, 7));
  for (int i = 0; i < 60; ++i) CHECK(others[i].host() == std::vector<Word>(n, static_cast<Word>(i)));
  CHECK(out->host() == counted(n, 3));
  // The result outlives the graph.
  graph.reset();
  others.clear();
  for (int i = 0; i < 10; ++i) others.emplace_back(std::vector<Word>(n, 9));
  CHECK(out->host() == counted(n, 3));
}

TEST_CASE("memory from before that is freed during a capture stays what it was for the graph") {
  const std::size_t n = 50000, before = Cuda::bytes_in_use();
  {
    std::optional<Words> old(counted(n));
    std::optional<Words> out;
    const Word* const address = old->data();
    auto graph = CudaGraph::capture([&] {
      out = affine(*old, {.value = 2});
      old.reset();
    });
    std::vector<Words> others;
    for (int i = 0; i < 20; ++i) {
      others.emplace_back(std::vector<Word>(n, 1));
      CHECK(others.back().data() != address);
    }
    graph.replay(0);
    CHECK(out->host() == counted(n, 2));
  }
  CHECK(Cuda::bytes_in_use() == before);
}

TEST_CASE("graphs come and go, also while they run") {
  const std::size_t before = Cuda::bytes_in_use();
  const Words in(counted(100000));
  for (int i = 0; i < 30; ++i) {
    auto graph = CudaGraph::capture([&] { affine(affine(in, {}, late / 20), {}); });
    for (int k = 0; k < 3; ++k) graph.replay();
    auto moved = std::move(graph);
    moved.replay();
    CHECK(moved.replays() == 4);
    CHECK_THROWS_AS(graph.replay(), DeviceError);
  }
  auto nothing = CudaGraph::capture([] {});
  nothing.replay();
  Cuda::synchronize();
  CHECK(Cuda::bytes_in_use() < before + 2 * MiB);
}

TEST_CASE("two threads allocate, copy and compute at once") {
  const std::size_t before = Cuda::bytes_in_use();
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (Word t = 1; t <= 2; ++t)
    threads.emplace_back([t, &wrong] {
      for (Word i = 0; i < 200; ++i) {
        const std::size_t n = 1000 + (i * 7919 + t) % 50000;
        const Words x(counted(n, t));
        const Words y = affine(affine(x, {.value = i}), {.value = 2});
        wrong += y.host() != counted(n, 2 * t * i);
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(Cuda::bytes_in_use() == before);
}

TEST_CASE("work of another thread is refused while a graph is captured; memory is not") {
  const Words in(counted(1000));
  std::string message;
  bool allocated = false;
  CudaGraph::capture([&] {
    affine(in, {});
    std::thread([&] {
      CHECK_FALSE(Cuda::capturing());
      const Buffer<Cuda> block(1000);
      allocated = block.data() != nullptr;
      try {
        Cuda::set_zero(block.data(), 1000);
      } catch (const DeviceError& e) {
        message = e.what();
      }
    }).join();
  });
  CHECK(allocated);
  CHECK(message.find("another thread is capturing") != std::string::npos);
  CHECK(affine(in, {.value = 2}).host() == counted(1000, 2));
}

TEST_CASE("time on the device is measured") {
  const Words in(counted(1 << 16));
  affine(in, {}, 1);
  const double brief = cuda::seconds_on(Cuda::stream(), [&] { affine(in, {}, 1); });
  const double longer = cuda::seconds_on(Cuda::stream(), [&] { affine(in, {}, late); });
  CHECK(brief >= 0);
  CHECK(longer > brief);
  cuda::Event event;
  CHECK(event.reached());  // never recorded
  affine(in, {}, late);
  event.record(Cuda::stream());
  event.wait();
  CHECK(event.reached());
}

TEST_CASE("the prefetcher hands every step its own batch") {
  struct Source {
    std::int64_t next_batch = 0;
    data::Batch batch = {};
    std::int64_t batches_per_epoch() const { return 1000; }
    void seek(std::int64_t, std::int64_t b) { next_batch = b; }
    const data::Batch& next() {
      batch.index = next_batch++;
      batch.size = 64;
      batch.images.assign(64 * 3 * 32 * 32, static_cast<float>(batch.index));
      batch.labels.assign(64 * 7, -static_cast<float>(batch.index));
      return batch;
    }
  } source;
  data::Prefetcher<Source, Cuda> batches(source, {3, 32, 32});
  static_assert(data::CopiesBesideWork<Cuda>);
  batches.seek(0, 1);
  std::vector<Tensor<float, Cuda>> images, labels;
  const Words busy(counted(1 << 16));
  for (int step = 0; step < 40; ++step) {
    const auto& batch = batches.next();
    affine(busy, {}, late / 10);
    images.emplace_back(batch.images.shape());
    labels.emplace_back(batch.labels.shape());
    Cuda::copy(images.back().mutable_data(), batch.images.data(), 64 * 3 * 32 * 32 * sizeof(float));
    Cuda::copy(labels.back().mutable_data(), batch.labels.data(), 64 * 7 * sizeof(float));
  }
  const auto all = [](const Tensor<float, Cuda>& x, float value) {
    std::vector<float> host(static_cast<std::size_t>(x.numel()));
    Cuda::copy_to_host(host.data(), x.data(), host.size() * sizeof(float));
    return host == std::vector<float>(host.size(), value);
  };
  for (int step = 0; step < 40; ++step) {
    CHECK(all(images[step], static_cast<float>(step + 1)));
    CHECK(all(labels[step], -static_cast<float>(step + 1)));
  }
}

TEST_CASE("options of the arithmetic are kept") {
  const MathOptions before = Cuda::math();
  Cuda::math().strict_fp32 = true;
  std::thread([] { CHECK(Cuda::math().strict_fp32); }).join();
  Cuda::math() = before;
}
