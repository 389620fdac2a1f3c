// How fast TFRecords become shuffled batches of floats: JPEG and PNG, as they are and augmented (mirrored,
// shifted, coloured, erased), decoded anew in every epoch and from the cache of decoded images.
//
//   loader [DATA_PATH] [--only NAME] [--epochs N] [--workers N] [--serve]
//
// Prints one JSON object a line, the median and the fastest epoch. Without a path, synthetic sets of 2,000
// images are written to a temporary directory. With --serve it waits for lines on standard input that name a
// bench, and answers each with one epoch: benchmarks/compare_loader.py runs this and the peers in turns.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/data/augment.hpp"
#include "kfer/data/kdrama.hpp"
#include "kfer/data/kdrama_writer.hpp"
#include "kfer/data/loader.hpp"

namespace {

using namespace kfer::data;
using Clock = std::chrono::steady_clock;
using DataLoader = Loader<KdramaDataset>;

struct Options {
  std::string path, only;
  int epochs = 5, workers = 2;
  bool serve = false;
};

/// jpeg/augmented/cached: a loader that does it.
std::unique_ptr<DataLoader> make_loader(const KdramaDataset& data, const std::string& bench, int workers) {
  LoaderOptions options{.workers = workers, .drop_last = true};
  if (bench.find("/augmented/") != bench.npos) options.transform = augmentation("flip,crop=4,colour,erase");
  if (bench.ends_with("/uncached")) options.cache_bytes = 0;
  return std::make_unique<DataLoader>(data, options);
}

/// Milliseconds of one epoch, from workers at rest to its last batch: nothing is decoded before.
double epoch_ms(DataLoader& loader) {
  const auto epoch = loader.epoch() + 2;
  const auto begin = Clock::now();
  loader.seek(epoch);
  for (std::int64_t b = 0; b < loader.batches_per_epoch(); ++b) loader.next();
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

std::int64_t images_of(const DataLoader& loader) {
  return loader.batches_per_epoch() * 64;
}

void measure(const std::string& path, const std::string& codec, const Options& options) {
  const KdramaDataset data(path, multi_label, Split::train);
  for (const std::string kind : {"uncached", "cached"})
    for (const std::string work : {"plain", "augmented"}) {
      const std::string bench = codec + "/" + work + "/" + kind;
      if (bench.find(options.only) == bench.npos) continue;
      const auto loader = make_loader(data, bench, options.workers);
      epoch_ms(*loader);
      std::vector<double> ms;
      for (int i = 0; i < options.epochs; ++i) ms.push_back(epoch_ms(*loader));
      std::sort(ms.begin(), ms.end());
      const double median = ms[ms.size() / 2];
      std::printf(R"({"bench": "%s", "median_ms": %.2f, "min_ms": %.2f, "images_per_s": %.0f})"
                  "\n",
                  bench.c_str(), median, ms[0], 1e3 * static_cast<double>(images_of(*loader)) / median);
      std::fflush(stdout);
    }
}

void serve(const Options& options) {
  const KdramaDataset data(options.path, multi_label, Split::train);
  std::map<std::string, std::unique_ptr<DataLoader>> loaders;
  for (std::string bench; std::getline(std::cin, bench);) {
    auto& loader = loaders[bench];
    if (!loader) {
      loader = make_loader(data, bench, options.workers);
      epoch_ms(*loader);
    }
    const double ms = epoch_ms(*loader);
    std::printf(R"({"bench": "%s", "images": %lld, "ms": %.3f})"
                "\n",
                bench.c_str(), static_cast<long long>(images_of(*loader)), ms);
    std::fflush(stdout);
  }
}

std::string codec_of(const std::string& path) {
  const KdramaDataset data(path, multi_label, Split::train, {.limit = 1});
  const kfer::io::TfRecordReader records(kdrama_files(path, multi_label, Split::train).records);
  const auto record = records.read(0);
  const auto image = kfer::io::TfExample::parse(record).bytes("image_raw");
  return kfer::io::as_text(image).starts_with(kfer::io::png_magic) ? "png" : "jpeg";
}

Options parse(int argc, char** argv) {
  Options options;
  const auto number = [&](std::string_view flag, std::string_view text) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    kfer::require<kfer::UsageError>(error == std::errc{} && end == text.data() + text.size() && value >= 0,
                                    flag, " takes a whole number, got '", text, "'");
    return value;
  };
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--serve") {
      options.serve = true;
    } else if (!flag.starts_with("--")) {
      options.path = flag;
    } else {
      kfer::require<kfer::UsageError>(i + 1 < argc, "flag ", flag, " is unknown or lacks its value");
      const std::string_view value = argv[++i];
      if (flag == "--only")
        options.only = value;
      else if (flag == "--epochs")
        options.epochs = std::max(1, number(flag, value));
      else if (flag == "--workers")
        options.workers = number(flag, value);
      else
        throw kfer::UsageError(kfer::text("unknown flag ", flag));
    }
  }
  kfer::require<kfer::UsageError>(!options.serve || !options.path.empty(), "--serve needs a data path");
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  const auto options = parse(argc, argv);
  if (options.serve) {
    serve(options);
  } else if (!options.path.empty()) {
    measure(options.path, codec_of(options.path), options);
  } else {
    std::string name = (std::filesystem::temp_directory_path() / "kfer_loader_XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw kfer::IoError("cannot make a temporary directory");
    for (const auto codec : {Codec::jpeg, Codec::png}) {
      write_synthetic_kdrama(name, {.images = 2000, .sets = {"multi-label"}, .codec = codec});
      measure(name, codec == Codec::jpeg ? "jpeg" : "png", options);
    }
    std::filesystem::remove_all(name);
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "loader: %s\n", error.what());
  return 2;
}
