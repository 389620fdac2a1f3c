// Draws synthetic faces and writes them in the published layout of the K-drama set:
//
//   make_synthetic_kdrama --data-path demo-data/kdrama --images 4000 --seed 46 --sets multi-label,6_basic_emo
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "kfer/data/kdrama.hpp"
#include "kfer/data/kdrama_writer.hpp"

namespace {

constexpr std::string_view usage =
    "usage: make_synthetic_kdrama --data-path DIR [--images N] [--seed N] [--sets A,B,...] [--png]\n"
    "  --images  of the multi-label set, its splits together (default 4000; published: 38817)\n"
    "  --sets    of 6_basic_emo, 22_emo, multi-label (default: all three)\n"
    "  --png     lossless images instead of JPEG\n";

template <class T>
T number(std::string_view flag, std::string_view value) {
  T out{};
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), out);
  kfer::require<kfer::UsageError>(error == std::errc{} && end == value.data() + value.size(), flag,
                                  " takes a whole number, got '", value, "'");
  return out;
}

int run(int argc, char** argv) {
  kfer::data::SyntheticKdramaOptions options;
  std::string data_path;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--help") return std::fwrite(usage.data(), 1, usage.size(), stdout) == usage.size() ? 0 : 1;
    if (flag == "--png") {
      options.codec = kfer::data::Codec::png;
      continue;
    }
    kfer::require<kfer::UsageError>(i + 1 < argc, "flag ", flag, " is unknown or lacks its value");
    std::string_view value = argv[++i];
    if (flag == "--data-path") {
      data_path = value;
    } else if (flag == "--images") {
      options.images = number<std::int64_t>(flag, value);
    } else if (flag == "--seed") {
      options.seed = number<std::uint64_t>(flag, value);
    } else if (flag == "--sets") {
      options.sets.clear();
      for (std::size_t comma = 0; comma != std::string_view::npos; value.remove_prefix(comma + 1)) {
        comma = value.find(',');
        options.sets.emplace_back(value.substr(0, comma));
        if (comma == std::string_view::npos) break;
      }
    } else {
      throw kfer::UsageError(kfer::text("unknown flag ", flag));
    }
  }
  kfer::require<kfer::UsageError>(!data_path.empty(), "--data-path is missing");

  const auto begin = std::chrono::steady_clock::now();
  kfer::data::write_synthetic_kdrama(data_path, options);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("synthetic faces (drawn, not photographed) in %s, %.1f s\n", data_path.c_str(), seconds);
  for (const auto& name : options.sets) {
    std::printf("  %-12s", name.c_str());
    for (const auto split : kfer::data::splits) {
      const kfer::data::KdramaDataset data(data_path, kfer::data::label_set(name), split);
      std::printf(" %s %lld", std::string(kfer::data::name_of(split)).c_str(),
                  static_cast<long long>(data.size()));
    }
    std::printf("\n");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const kfer::UsageError& error) {
    std::fprintf(stderr, "make_synthetic_kdrama: %s\n%.*s", error.what(), static_cast<int>(usage.size()),
                 usage.data());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_synthetic_kdrama: %s\n", error.what());
    return 1;
  }
}
