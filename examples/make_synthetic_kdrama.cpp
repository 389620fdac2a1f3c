// Draws synthetic faces and writes them in the published layout of the K-drama set:
//
//   make_synthetic_kdrama --data-path demo-data/kdrama --images 4000 --seed 46 --sets multi-label,6_basic_emo
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "kfer/data/kdrama.hpp"
#include "kfer/data/kdrama_writer.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/run.hpp"

namespace {

using namespace kfer;

int run(int argc, char** argv) {
  data::SyntheticKdramaOptions options;
  std::string data_path, sets = "6_basic_emo,22_emo,multi-label";
  bool png = false;
  Flags flags("make_synthetic_kdrama",
              "Draws synthetic faces and writes them in the published layout of the K-drama set.");
  flags.add("data-path", data_path, "directory to write")
      .add("images", options.images, "of the multi-label set, its splits together; published: 38817",
           {.min = 1, .max = 1e7})
      .add("seed", options.seed, "of the faces")
      .add("sets", sets, "which to write")
      .add("png", png, "lossless images instead of JPEG");
  if (!flags.parse(argc, argv)) return 0;
  require<UsageError>(!data_path.empty(), "--data-path is missing: the directory to write");
  options.codec = png ? data::Codec::png : data::Codec::jpeg;
  options.sets.clear();
  for (std::string_view rest = sets; !rest.empty();) {
    const auto comma = rest.find(',');
    options.sets.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
  }

  const auto begin = std::chrono::steady_clock::now();
  data::write_synthetic_kdrama(data_path, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("synthetic faces (drawn, not photographed) in %s, %.1f s\n", data_path.c_str(), seconds);
  for (const auto& name : options.sets) {
    std::printf("  %-12s", name.c_str());
    for (const auto split : data::splits) {
      const data::KdramaDataset dataset(data_path, data::label_set(name), split);
      std::printf(" %s %lld", std::string(data::name_of(split)).c_str(),
                  static_cast<long long>(dataset.size()));
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("make_synthetic_kdrama", [&] { return run(argc, argv); });
}
