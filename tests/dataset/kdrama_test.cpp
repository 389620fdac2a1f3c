// The K-drama files: written synthetic, read back, and every way in which they can be wrong.
#include "kfer/data/kdrama.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "kfer/data/kdrama_writer.hpp"
#include "kfer/data/loader.hpp"

using namespace kfer;
using namespace kfer::data;
namespace fs = std::filesystem;

namespace {

/// A directory that goes with the test.
class Scratch {
 public:
  Scratch() {
    std::string name = (fs::temp_directory_path() / "kfer_kdrama_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~Scratch() { fs::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream out;
  out << file.rdbuf();
  return out.str();
}
void spill(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

/// All files below `path`, by name.
std::map<std::string, std::string> tree(const std::string& path) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(path))
    if (entry.is_regular_file())
      out[fs::relative(entry.path(), path).string()] = slurp(entry.path().string());
  return out;
}

/// The message of the E that `action` throws.
template <class E>
std::string message(const std::function<void()>& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    return text("another exception: ", error.what());
  }
  return "nothing was thrown";
}

std::vector<std::uint8_t> loaded(const KdramaDataset& data, std::int64_t i) {
  std::vector<std::uint8_t> image(64 * 64 * 3);
  data.load(i, image);
  return image;
}

/// A six-class train split of three rows whose second record is `encode`'s; the others are sound.
struct Handmade {
  Scratch dir;
  static constexpr int side = 64;
  std::vector<std::uint8_t> pixels = std::vector<std::uint8_t>(side * side * 3, 100);

  static std::string header() { return "img_id,clip_id,angry,disgusted,surprised,fearful,happy,sad\n"; }
  static std::string row(int i, const std::string& labels) {
    return text("03_1_0000", i, ".jpg,03_1,", labels, "\n");
  }

  std::vector<std::byte> record(std::vector<std::int64_t> labels, std::vector<std::byte> image) const {
    io::TfExample example;
    example.set_int64("height", side);
    example.set("label", std::move(labels));
    example.set_bytes("image_raw", image);
    return example.encode();
  }
  std::vector<std::byte> image(int height = side, int width = side) const {
    const std::vector<std::uint8_t> grey(
        static_cast<std::size_t>(height) * static_cast<std::size_t>(width) * 3, 100);
    return io::encode_png({.height = height, .width = width, .channels = 3, .pixels = grey});
  }
  void write(const std::vector<std::byte>& second, const std::string& csv) const {
    fs::create_directories(dir / "tfrecords");
    fs::create_directories(dir / "label");
    const auto files = kdrama_files(dir.path(), basic6, Split::train);
    io::TfRecordWriter writer(files.records, files.index);
    writer.write(record({1, 0, 0, 0, 0, 0}, image()));
    writer.write(second);
    writer.write(record({0, 0, 0, 0, 0, 1}, image()));
    writer.close();
    spill(files.labels, csv);
  }
  std::string good_csv() const {
    return header() + row(0, "1,0,0,0,0,0") + row(1, "0,1,0,0,0,0") + row(2, "0,0,0,0,0,1");
  }
  KdramaDataset open(OnCorrupt on_corrupt = OnCorrupt::fail) const {
    return {dir.path(), basic6, Split::train, {.on_corrupt = on_corrupt}};
  }
  /// What loading row 1 says, if the file opens.
  std::string complaint() const {
    return message<FormatError>([&] { loaded(open(), 1); });
  }
};

bool has(const std::string& whole, const std::string& part) {
  return whole.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("what is written as PNG comes back bit for bit, in the layout and statistics asked for") {
  const Scratch dir;
  write_synthetic_kdrama(dir.path(), {.images = 300, .seed = 3, .codec = Codec::png});
  const SyntheticFaces faces({.images = 300, .seed = 3});
  std::map<std::string, std::int64_t> by_id;
  for (std::int64_t i = 0; i < faces.size(); ++i) by_id[faces.image_id(i)] = i;

  std::vector<std::uint8_t> expected(faces.image_bytes());
  for (const auto* set : label_sets) {
    CAPTURE(set->name);
    std::set<std::string> ids;
    std::int64_t total = 0;
    for (const auto split : splits) {
      const KdramaDataset data(dir.path(), *set, split);
      CHECK(data.classes() == static_cast<std::int64_t>(set->width()));
      CHECK(data.label_names()[0] == set->names[0]);
      total += data.size();
      for (std::int64_t i = 0; i < data.size(); ++i) {
        const auto face = by_id.at(data.image_id(i));
        CHECK(ids.insert(data.image_id(i)).second);
        CHECK(convert_labels(data.label_mask(i), *set, multi_label) == faces.labels(face));
        CHECK(data.clip_id(i) == faces.clip_id(face));
        if (i % 7 == 0) {
          faces.draw(face, expected);
          CHECK(loaded(data, i) == expected);
        }
      }
    }
    std::int64_t members = 0;
    for (std::int64_t i = 0; i < faces.size(); ++i) {
      const auto labels = faces.labels(i);
      bool belongs = set == &multi_label || std::popcount(labels) == 1;
      if (set == &basic6 && belongs) {
        belongs = false;
        for (const auto& row : basic6.counts)
          belongs |= convert_labels(row.labels, basic6, multi_label) == labels;
      }
      members += belongs;
    }
    CHECK(total == members);
    // The file of all splits lists the same images, clip by clip.
    const auto all = io::CsvTable::open(kdrama_label_file(dir.path(), *set));
    REQUIRE(all.size() == ids.size());
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(ids.contains(std::string(all.cell(i, 0))));
  }
  CHECK(has(slurp(dir / "README.txt"), "Synthetic"));
}

TEST_CASE("at full scale the splits of all three sets have the published sizes and counts") {
  const SyntheticFaces faces({.images = 38817});
  for (const auto* set : label_sets) {
    const auto parts = data::detail::kdrama_splits(faces, *set);
    std::map<LabelMask, std::array<std::int32_t, 3>> found;
    for (const auto split : splits) {
      const auto s = static_cast<std::size_t>(split);
      CHECK(static_cast<std::int64_t>(parts[s].size()) == set->images(split));
      for (const auto i : parts[s]) ++found[convert_labels(faces.labels(i), multi_label, *set)][s];
    }
    for (const auto& row : set->counts) CHECK(found[row.labels] == row.images);
  }
}

TEST_CASE("equal options write equal bytes at any number of threads") {
  const Scratch a, b;
  const int threads = num_threads();
  const SyntheticKdramaOptions options{.images = 120, .sets = {"multi-label"}};
  set_num_threads(1);
  write_synthetic_kdrama(a.path(), options);
  set_num_threads(3);
  write_synthetic_kdrama(b.path(), options);
  set_num_threads(threads);
  const auto files = tree(a.path());
  CHECK(files.size() == 3 * 3 + 1 + 1);
  CHECK(files == tree(b.path()));
  CHECK(!files.contains("label/label_22_emo.csv"));
}

TEST_CASE("JPEG images come back close to what was drawn") {
  const Scratch dir;
  write_synthetic_kdrama(dir.path(), {.images = 60, .sets = {"multi-label"}});
  const SyntheticFaces faces({.images = 60});
  std::map<std::string, std::int64_t> by_id;
  for (std::int64_t i = 0; i < faces.size(); ++i) by_id[faces.image_id(i)] = i;
  const KdramaDataset data(dir.path(), multi_label, Split::train);
  std::vector<std::uint8_t> expected(faces.image_bytes());
  for (std::int64_t i = 0; i < data.size(); ++i) {
    faces.draw(by_id.at(data.image_id(i)), expected);
    const auto found = loaded(data, i);
    double error = 0;
    for (std::size_t k = 0; k < found.size(); ++k) {
      const double d = static_cast<double>(found[k]) - expected[k];
      error += d * d / static_cast<double>(found.size());
    }
    CHECK(error < 50);  // better than 31 dB, camera noise included
    CHECK(error > 0);
  }
}

TEST_CASE("synthetic faces are not written beside files that are not, of whatever set") {
  const auto write = [](const Scratch& dir) {
    write_synthetic_kdrama(dir.path(), {.images = 60, .sets = {"multi-label"}});
  };
  for (const std::string name : {"tfrecords/6_basic_emo_train.tfrecords", "tfrecords/22_emo_valid.idx",
                                 "label/label_6_basic_emo_test.csv", "label/label_multi-label.csv"})
    for (const std::string readme : {"", "Not synthetic: photographs.", "synthetic faces and photographs"}) {
      CAPTURE(name);
      CAPTURE(readme);
      const Scratch dir;
      fs::create_directories(dir / "tfrecords");
      fs::create_directories(dir / "label");
      spill(dir / name, "kept");
      if (!readme.empty()) spill(dir / "README.txt", readme);
      const auto before = tree(dir.path());
      CHECK_FALSE(is_synthetic_kdrama(dir.path()));
      CHECK(message<IoError>([&] { write(dir); }).find(name) != std::string::npos);
      CHECK(tree(dir.path()) == before);
    }
  const Scratch dir;
  write(dir);
  CHECK(is_synthetic_kdrama(dir.path()));
  CHECK_NOTHROW(write(dir));
}

TEST_CASE("the by-clip partition keeps clips whole and loses no image") {
  const Scratch dir;
  write_synthetic_kdrama(dir.path(), {.images = 800, .sets = {"multi-label"}});
  std::map<std::string, int> home;
  std::set<std::string> ids;
  std::array<std::int64_t, 3> sizes{};
  for (const auto split : splits) {
    const KdramaDataset data(dir.path(), multi_label, split, {.partition = Partition::by_clip});
    sizes[static_cast<std::size_t>(split)] = data.size();
    for (std::int64_t i = 0; i < data.size(); ++i) {
      CHECK(ids.insert(data.image_id(i)).second);
      CHECK(home.try_emplace(data.clip_id(i), static_cast<int>(split)).first->second ==
            static_cast<int>(split));
    }
    loaded(data, data.size() - 1);  // its label is checked against the row
  }
  const KdramaOptions by_clip{.partition = Partition::by_clip};
  CHECK(clip_overlap({dir.path(), multi_label, Split::train, by_clip},
                     {dir.path(), multi_label, Split::test, by_clip}) == 0);
  CHECK(clip_overlap({dir.path(), multi_label, Split::train}, {dir.path(), multi_label, Split::test}) > 0.85);
  CHECK(ids.size() == 800);
  CHECK(std::abs(sizes[1] - 80) <= 20);
  CHECK(std::abs(sizes[2] - 80) <= 20);
}

TEST_CASE("a loader over the files gives RGB / 255 in planes") {
  const Scratch dir;
  write_synthetic_kdrama(dir.path(), {.images = 120, .sets = {"6_basic_emo"}});
  const KdramaDataset data(dir.path(), basic6, Split::train);
  Loader loader(data, {.batch_size = 16, .workers = 2});
  const auto& batch = loader.next();
  REQUIRE(batch.size == 16);
  const auto image = loaded(data, batch.rows[5]);
  for (std::size_t c = 0; c < 3; ++c)
    for (std::size_t p = 0; p < 64 * 64; p += 97)
      CHECK(batch.images[(5 * 3 + c) * 4096 + p] == static_cast<float>(image[3 * p + c]) / 255.f);
  for (std::size_t c = 0; c < 6; ++c) CHECK(batch.labels[5 * 6 + c] == data.labels(batch.rows[5])[c]);
}

TEST_CASE("files may lack an index, and indices may be wrong") {
  const Handmade h;
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto files = kdrama_files(h.dir.path(), basic6, Split::train);
  CHECK(loaded(h.open(), 1) == h.pixels);
  const auto index = slurp(files.index);
  fs::remove(files.index);
  CHECK(h.open().size() == 3);
  CHECK(loaded(h.open(), 2) == h.pixels);
  spill(files.index, index.substr(0, index.find('\n') + 1));
  CHECK_THROWS_AS(h.open(), FormatError);
}

TEST_CASE("a missing file is named with its path") {
  const Handmade h;
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto files = kdrama_files(h.dir.path(), basic6, Split::train);
  CHECK(has(message<IoError>([&] { KdramaDataset(h.dir.path(), basic6, Split::test); }),
            h.dir / "tfrecords/6_basic_emo_test.tfrecords"));
  fs::remove(files.labels);
  CHECK(has(message<IoError>([&] { h.open(); }), files.labels));
}

TEST_CASE("a CSV that is not the set's is refused") {
  const Handmade h;
  const auto second = h.record({0, 1, 0, 0, 0, 0}, h.image());
  const auto complaint = [&](const std::string& csv) {
    h.write(second, csv);
    return message<FormatError>([&] { h.open(); });
  };
  const auto rows = h.good_csv().substr(h.header().size());
  CHECK(has(complaint("img_id,clip_id,disgusted,angry,surprised,fearful,happy,sad\n" + rows),
            "column 3 is 'disgusted', expected 'angry'"));
  CHECK(
      has(complaint("id,clip_id,angry,disgusted,surprised,fearful,happy,sad\n" + rows), "expected 'img_id'"));
  CHECK(has(complaint("img_id,clip_id,angry\nx,y,1\n"), "3 columns"));
  CHECK(has(complaint(h.header() + h.row(0, "1,0,0,0,0,0") + h.row(1, "0,1,0,0,0,0")), "3 records"));
  CHECK(has(complaint(h.good_csv() + h.row(3, "1,0,0,0,0,0")), "4 rows"));
  CHECK(
      has(complaint(h.header() + h.row(0, "1,0,0,0,0,0") + h.row(1, "0,2,0,0,0,0") + h.row(2, "0,0,0,0,0,1")),
          "disgusted is 2"));
  CHECK(
      has(complaint(h.header() + h.row(0, "1,0,0,0,0,0") + h.row(1, "0,x,0,0,0,0") + h.row(2, "0,0,0,0,0,1")),
          "line 3"));
  CHECK(has(complaint(h.header() + h.row(0, "1,0,0,0,0,0") + ",c,0,1,0,0,0,0\n" + h.row(2, "0,0,0,0,0,1")),
            "empty id"));
  CHECK(has(complaint(""), "empty"));
}

TEST_CASE("a record that is wrong is named with file, record and problem") {
  const Handmade h;
  const auto with = [&](const std::vector<std::byte>& record) {
    h.write(record, h.good_csv());
    return h.complaint();
  };
  const std::string where = "6_basic_emo_train.tfrecords', record 1";
  const auto check = [&](const std::string& found, const std::string& problem) {
    CAPTURE(found);
    CHECK(has(found, where));
    CHECK(has(found, problem));
  };
  check(with(h.record({0, 1, 0, 0, 0}, h.image())), "5 labels, expected 6");
  check(with(h.record({0, 0, 1, 0, 0, 0}, h.image())), "disgusted = 0");
  check(with(h.record({0, 0, 1, 0, 0, 0}, h.image())), "label_6_basic_emo_train.csv' says 1");
  check(with(h.record({0, 1, 0, 0, 0, 7}, h.image())), "sad = 7");
  check(with(h.record({0, 1, 0, 0, 0, 0}, h.image(64, 32))), "32");
  check(with(h.record({0, 1, 0, 0, 0, 0}, h.image(65, 65))), "65");
  check(with(h.record({0, 1, 0, 0, 0, 0}, std::vector<std::byte>(50))), "image");
  auto cut = h.image();
  cut.resize(cut.size() / 2);
  check(with(h.record({0, 1, 0, 0, 0, 0}, cut)), "PNG");
  auto huge = h.image();  // 2^30 x 2^30 pixels, with a checksum that says so
  huge[16] = huge[20] = std::byte{0x40};
  const auto crc = io::crc32(io::Bytes(huge).subspan(12, 17));
  for (std::size_t k = 0; k < 4; ++k) huge[29 + k] = static_cast<std::byte>(crc >> (24 - 8 * k));
  const auto refused = with(h.record({0, 1, 0, 0, 0, 0}, huge));
  check(refused, "pixels");
  CHECK(!has(refused, "CRC"));
  check(with(std::vector<std::byte>(30, std::byte{0xff})), "tf.train.Example");
  io::TfExample no_image;
  no_image.set("label", io::TfExample::Int64List{0, 1, 0, 0, 0, 0});
  check(with(no_image.encode()), "image_raw");
  // A flipped byte in the record's data.
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto files = kdrama_files(h.dir.path(), basic6, Split::train);
  auto bytes = slurp(files.records);
  bytes[bytes.size() / 2] ^= 1;
  spill(files.records, bytes);
  check(h.complaint(), "CRC");
}

TEST_CASE("bad records are left out and counted if asked for, and all rows stay with their labels") {
  const Handmade h;
  h.write(h.record({0, 0, 1, 0, 0, 0}, h.image()), h.good_csv());
  const auto data = h.open(OnCorrupt::skip);
  CHECK(data.size() == 2);
  CHECK(data.skipped() == 1);
  REQUIRE(data.problems().size() == 1);
  CHECK(has(data.problems()[0], "disgusted = 0"));
  CHECK(data.image_id(1) == "03_1_00002.jpg");
  CHECK(data.label_mask(1) == LabelMask{1} << 5);
  CHECK(loaded(data, 1) == h.pixels);
  CHECK(h.open().skipped() == 0);

  // Cut in the last record, without an index to say that there was one.
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto files = kdrama_files(h.dir.path(), basic6, Split::train);
  const auto bytes = slurp(files.records);
  spill(files.records, bytes.substr(0, bytes.size() - 9));
  CHECK_THROWS_AS(h.open(), FormatError);
  CHECK(h.open(OnCorrupt::skip).size() == 2);
  fs::remove(files.index);
  CHECK_THROWS_AS(h.open(), FormatError);
  const auto cut = h.open(OnCorrupt::skip);
  CHECK(cut.size() == 2);
  CHECK(cut.skipped() == 1);

  // Nothing left.
  spill(files.records, bytes.substr(0, 20));
  CHECK_THROWS_AS(h.open(OnCorrupt::skip), FormatError);
}

TEST_CASE("a corrupt record met by a loader's worker reaches the consumer") {
  const Handmade h;
  h.write(h.record({0, 0, 1, 0, 0, 0}, h.image()), h.good_csv());
  const auto data = h.open();
  Loader loader(data, {.batch_size = 3, .workers = 2});
  CHECK(has(message<FormatError>([&] { loader.next(); }), "record 1"));
}

TEST_CASE("a limit keeps the first rows") {
  const Handmade h;
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto open = [&](std::int64_t limit) {
    return KdramaDataset(h.dir.path(), basic6, Split::train, {.limit = limit});
  };
  CHECK(open(2).size() == 2);
  CHECK(open(2).labels().size() == 12);
  CHECK(open(2).image_id(1) == "03_1_00001.jpg");
  CHECK(open(9).size() == 3);
  CHECK_THROWS_AS(open(-1), ValueError);
}

TEST_CASE("rows and buffers are checked") {
  const Handmade h;
  h.write(h.record({0, 1, 0, 0, 0, 0}, h.image()), h.good_csv());
  const auto data = h.open();
  std::vector<std::uint8_t> image(64 * 64 * 3), small(10);
  CHECK_THROWS_AS(data.load(3, image), ValueError);
  CHECK_THROWS_AS(data.load(-1, image), ValueError);
  CHECK_THROWS_AS(data.load(0, small), ShapeError);
  CHECK_THROWS_AS(data.labels(3), ValueError);
  CHECK_THROWS_AS(data.clip_id(3), ValueError);
}

TEST_CASE("the writer refuses what it cannot write") {
  const Scratch dir;
  CHECK_THROWS_AS(write_synthetic_kdrama(dir.path(), {.sets = {}}), ValueError);
  CHECK_THROWS_AS(write_synthetic_kdrama(dir.path(), {.sets = {"7_emo"}}), ValueError);
  CHECK_THROWS_AS(write_synthetic_kdrama(dir.path(), {.images = 0}), ValueError);
  CHECK(has(message<ValueError>([&] { write_synthetic_kdrama(dir.path(), {.images = 4}); }),
            "empty; ask for more"));
  CHECK_THROWS_AS(write_synthetic_kdrama(dir.path(), {.images = 100, .jpeg_quality = 0}), ValueError);
  CHECK(tree(dir.path()).empty());
  spill(dir / "file", "");
  CHECK_THROWS_AS(write_synthetic_kdrama(dir / "file", {.images = 100}), IoError);

  const SyntheticKdramaOptions options{.images = 100, .sets = {"multi-label"}};
  write_synthetic_kdrama(dir / "faces", options);
  write_synthetic_kdrama(dir / "faces", options);  // again: what says that it is synthetic
  spill(dir / "faces/README.txt", "Photographs.");
  const auto before = tree(dir.path());
  CHECK(has(message<IoError>([&] { write_synthetic_kdrama(dir / "faces", options); }),
            "multi-label_train.tfrecords' is there"));
  CHECK(tree(dir.path()) == before);
}
