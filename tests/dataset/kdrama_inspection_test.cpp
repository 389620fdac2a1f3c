// The inspection says what the data set that trains does. (Figures and damage:
// tests/programs/inspect_dataset_test.py.)
#include "kfer/data/kdrama_inspection.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "kfer/data/kdrama.hpp"
#include "kfer/data/kdrama_writer.hpp"

using namespace kfer;
using namespace kfer::data;
namespace fs = std::filesystem;

TEST_CASE("splits, labels, clips and leakage are those of KdramaDataset, published and by clip") {
  std::string path = (fs::temp_directory_path() / "kfer_inspection_XXXXXX").string();
  REQUIRE(::mkdtemp(path.data()) != nullptr);
  write_synthetic_kdrama(path, {.images = 500, .sets = {"multi-label", "22_emo"}});
  for (const auto* set : {&multi_label, &emo22}) {
    CAPTURE(set->name);
    const auto found = inspect_kdrama(path, *set, true);
    CHECK(found.problems.empty());
    std::map<std::string, Split> home;
    for (std::size_t i = 0; i < found.clips.size(); ++i) home[found.clips[i].id] = found.clip_splits[i];
    for (const auto partition : {Partition::published, Partition::by_clip}) {
      const bool by_clip = partition == Partition::by_clip;
      CAPTURE(by_clip);
      const auto& side = by_clip ? found.by_clip : found.published;
      const auto open = [&](Split split) {
        return KdramaDataset(path, *set, split, {.partition = partition});
      };
      for (std::size_t s = 0; s < splits.size(); ++s) {
        const auto data = open(splits[s]);
        REQUIRE(static_cast<std::int64_t>(side.rows[s].size()) == data.size());
        CHECK(side.statistics.images[s] == data.size());
        std::vector<std::int64_t> labels(set->width());
        for (std::int64_t i = 0; i < data.size(); ++i) {
          const auto& row = side.rows[s][static_cast<std::size_t>(i)];
          CHECK(row.image_id == data.image_id(i));
          CHECK(row.labels == data.label_mask(i));
          if (by_clip) CHECK(home.at(data.clip_id(i)) == splits[s]);
          for (std::size_t c = 0; c < set->width(); ++c) labels[c] += row.labels >> c & 1;
        }
        for (std::size_t c = 0; c < set->width(); ++c) CHECK(side.statistics.labels[c][s] == labels[c]);
      }
      CHECK(side.test.share() == clip_overlap(open(Split::train), open(Split::test)));
      CHECK(side.valid.share() == clip_overlap(open(Split::train), open(Split::valid)));
    }
    for (std::size_t s = 0; s < splits.size(); ++s) {
      CHECK(found.records[s].records == found.published.statistics.images[s]);
      CHECK(found.records[s].damaged == 0);
    }
  }
  const auto labels_only = inspect_kdrama(path, multi_label, false);
  CHECK_FALSE(labels_only.has_records);
  CHECK(labels_only.records[0].records == 0);
  CHECK(labels_only.published.test == inspect_kdrama(path, multi_label, true).published.test);
  CHECK(has_kdrama_set(path, multi_label, true));
  CHECK_FALSE(has_kdrama_set(path, basic6, true));
  fs::remove_all(path);
}
