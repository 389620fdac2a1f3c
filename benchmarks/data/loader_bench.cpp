// How fast TFRecords become batches of floats: decoding images a second, uncached and cached, by workers; and
// what is left of the wait when the consumer computes meanwhile.
//
//   bench_loader [DATA_PATH]   without a path, 2,000 synthetic images are written to a temporary directory
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>

#include "kfer/data/kdrama.hpp"
#include "kfer/data/kdrama_writer.hpp"
#include "kfer/data/loader.hpp"

namespace {

using namespace kfer::data;
using Clock = std::chrono::steady_clock;

double seconds(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Best images a second over `epochs` epochs after the first `skip`.
template <class Dataset>
double rate(Loader<Dataset>& loader, int skip, int epochs) {
  double best = 0;
  for (int epoch = 0; epoch < skip + epochs; ++epoch) {
    const auto begin = Clock::now();
    std::int64_t images = 0;
    for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) images += loader.next().size;
    if (epoch >= skip) best = std::max(best, static_cast<double>(images) / seconds(begin));
  }
  return best;
}

void measure(const std::string& path) {
  const KdramaDataset data(path, multi_label, Split::train);
  std::printf("%lld images of %s\n%8s %16s %16s\n", static_cast<long long>(data.size()), path.c_str(),
              "workers", "uncached img/s", "cached img/s");
  for (const int workers : {0, 1, 2, 4}) {
    Loader uncached(data, {.workers = workers, .cache_bytes = 0}), cached(data, {.workers = workers});
    const double first = rate(uncached, 0, 3), later = rate(cached, 1, 5);
    std::printf("%8d %16.0f %16.0f\n", workers, first, later);
  }
  for (const int milliseconds : {5, 20, 100}) {
    Loader loader(data, {.workers = 1, .cache_bytes = 0});
    loader.next();
    const double before = loader.wait_seconds();
    const auto begin = Clock::now();
    for (int b = 0; b < 20; ++b) {
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      loader.next();
    }
    std::printf("a step of %3d ms, 1 worker, uncached: the consumer waits %.2f %% of its time\n",
                milliseconds, 100 * (loader.wait_seconds() - before) / seconds(begin));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc > 1) {
    measure(argv[1]);
    return 0;
  }
  std::string name = (std::filesystem::temp_directory_path() / "kfer_loader_XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw kfer::IoError("cannot make a temporary directory");
  for (const auto codec : {Codec::jpeg, Codec::png}) {
    std::printf("%s: ", codec == Codec::jpeg ? "jpeg" : "png");
    write_synthetic_kdrama(name, {.images = 2000, .sets = {"multi-label"}, .codec = codec});
    measure(name);
  }
  std::filesystem::remove_all(name);
} catch (const std::exception& error) {
  std::fprintf(stderr, "bench_loader: %s\n", error.what());
  return 1;
}
