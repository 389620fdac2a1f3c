// The K-drama files cut at every byte and flipped at every bit: a typed error, or the very same images and
// labels. Ids are the one thing that only the CSV file says: there a flipped bit can make another id.
#include <doctest/doctest.h>

#include <filesystem>
#include <optional>

#include "io/support.hpp"
#include "kfer/data/kdrama.hpp"
#include "kfer/io/image_write.hpp"

using namespace kfer;
using namespace kfer::data;

namespace {

constexpr int side = 4, rows = 3;

struct Content {
  std::vector<float> labels;
  std::vector<std::vector<std::uint8_t>> images;
  bool operator==(const Content&) const = default;
};

Content read_all(const std::string& path) {
  const KdramaDataset set(path, basic6, Split::train, {.image_size = side});
  Content content{{set.labels().begin(), set.labels().end()}, {}};
  for (std::int64_t i = 0; i < set.size(); ++i) {
    auto& image = content.images.emplace_back(side * side * 3);
    set.load(i, image);
  }
  return content;
}

KdramaFiles write_set(const std::string& path) {
  for (const char* folder : {"/tfrecords", "/label"}) std::filesystem::create_directories(path + folder);
  const auto files = kdrama_files(path, basic6, Split::train);
  io::TfRecordWriter writer(files.records, files.index);
  std::string csv = "img_id,clip_id,angry,disgusted,surprised,fearful,happy,sad\n";
  for (int i = 0; i < rows; ++i) {
    std::vector<std::uint8_t> pixels;
    for (int at = 0; at < side * side * 3; ++at) pixels.push_back(static_cast<std::uint8_t>(at * 5 + i * 40));
    std::vector<std::int64_t> labels(6);
    labels[static_cast<std::size_t>(i)] = 1;
    io::TfExample example;
    example.set_int64("height", side);
    example.set_int64("width", side);
    example.set_int64("depth", 3);
    example.set("label", labels);
    const auto png = io::encode_png({.height = side, .width = side, .channels = 3, .pixels = pixels});
    example.set_bytes("image_raw", png);
    writer.write(example.encode());
    csv += text("03_1_0000", i, ".jpg,03_1");
    for (const auto label : labels) csv += text(',', label);
    csv += '\n';
  }
  writer.close();
  io::atomic_write(files.labels, csv);
  return files;
}

}  // namespace

TEST_CASE("records, index and label table, cut at every byte and flipped at every bit") {
  const test::TemporaryDirectory dir;
  const auto files = write_set(dir.path());
  const auto expected = read_all(dir.path());
  REQUIRE(expected.images.size() == rows);
  for (const auto& path : {files.records, files.index, files.labels}) {
    CAPTURE(path);
    const auto good = io::read_file(path);
    std::size_t refused = 0, harmless = 0;
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      test::write(path, bad);
      std::optional<Content> content;
      try {
        content = read_all(dir.path());
      } catch (const Error&) {
        ++refused;
        return;
      }
      REQUIRE(*content == expected);
      ++harmless;
    });
    test::write(path, good);
    CHECK(refused + harmless == good.size() * 9);
    CHECK(refused > good.size() * 2);
    if (path == files.records) CHECK(harmless == 0);
  }
}
