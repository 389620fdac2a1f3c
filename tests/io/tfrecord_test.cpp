#include "kfer/io/tfrecord.hpp"

#include <doctest/doctest.h>

#include <array>

#include <thread>

#include "io/support.hpp"

namespace io = kfer::io;
using io::OnCorrupt;
using kfer::FormatError;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

std::vector<std::byte> payload(std::size_t n) {
  std::vector<std::byte> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::byte>((i * 131 + n * 17 + 3) & 255);
  return out;
}

void write_records(const std::string& path, const std::string& index, const std::vector<std::size_t>& sizes) {
  io::TfRecordWriter writer(path, index);
  for (const auto n : sizes) writer.write(payload(n));
  CHECK(writer.size() == sizes.size());
  writer.close();
}

/// Changes one byte of a file in place.
void poke(const std::string& path, std::size_t at) {
  auto bytes = io::read_file(path);
  bytes.at(at) ^= std::byte{0x10};
  test::write(path, bytes);
}

}  // namespace

TEST_CASE(
    "records written are read back, with and without the index, in any order and from several threads") {
  const TemporaryDirectory dir;
  const auto path = dir / "a.tfrecords", index = dir / "a.idx";
  const std::vector<std::size_t> sizes = {0, 1, 7, 8, 64, 4099};
  write_records(path, index, sizes);
  CHECK(io::read_text(index) == "0 16\n16 17\n33 23\n56 24\n80 80\n160 4115\n");
  for (const std::string& with : {std::string(), index}) {
    const io::TfRecordReader reader(path, {.index_path = with});
    REQUIRE(reader.size() == sizes.size());
    for (std::size_t i = sizes.size(); i-- > 0;) CHECK(reader.read(i) == payload(sizes[i]));
    CHECK_THROWS_AS(reader.read(reader.size()), kfer::ValueError);
    int wrong = 0;
    std::vector<std::thread> threads;
    std::mutex mutex;
    for (int t = 0; t < 3; ++t)
      threads.emplace_back([&] {
        std::vector<std::byte> data;
        for (std::size_t k = 0; k < 300; ++k) {
          const auto i = k * 5 % sizes.size();
          const bool ok = reader.try_read(i, data) && data == payload(sizes[i]);
          const std::lock_guard lock(mutex);
          wrong += !ok;
        }
      });
    for (auto& thread : threads) thread.join();
    CHECK(wrong == 0);
  }
}

TEST_CASE("a file without records is a file of no records") {
  const TemporaryDirectory dir;
  write_records(dir / "a", dir / "i", {});
  CHECK(io::TfRecordReader(dir / "a").size() == 0);
  CHECK(io::TfRecordReader(dir / "a", {.index_path = dir / "i"}).size() == 0);
}

TEST_CASE("a file that was not closed does not appear") {
  const TemporaryDirectory dir;
  { io::TfRecordWriter(dir / "a", dir / "i").write(payload(5)); }
  CHECK(dir.list().empty());
}

TEST_CASE("what TensorFlow wrote is read, and written again byte for byte") {
  const TemporaryDirectory dir;
  const io::TfRecordReader reader(test::data_path("examples.tfrecords"));
  CHECK(reader.size() == 5);
  CHECK(reader.read(4).empty());
  io::TfRecordWriter writer(dir / "a");
  reader.for_each([&](std::size_t, io::Bytes data) { writer.write(data); });
  writer.close();
  CHECK(io::read_file(dir / "a") == test::data("examples.tfrecords"));
}

TEST_CASE("a bad record is named: file, number, offset, and what failed") {
  const TemporaryDirectory dir;
  const auto path = dir / "a", index = dir / "i";
  const auto fresh = [&] { write_records(path, index, {5, 6, 7}); };  // frames at 0, 21, 43; 66 bytes

  fresh(), poke(path, 21 + 12);
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader(path).read(1); },
                                 {path, "record 1 at byte 21", "data's CRC"}));
  CHECK(io::TfRecordReader(path).read(0) == payload(5));
  fresh(), poke(path, 21);
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader{path}; },
                                 {path, "record 1 at byte 21", "length's CRC"}));
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader(path, {.index_path = index}).read(1); },
                                 {path, "record 1 at byte 21", "length's CRC"}));
  fresh(), std::filesystem::resize_file(path, 66 - 2);
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader{path}; },
                                 {path, "record 2 at byte 43", "truncated footer (2 of 4 bytes)"}));
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader(path, {.index_path = index}); },
                                 {index, "66", "64"}));
  fresh(), std::filesystem::resize_file(path, 43 + 12 + 3);
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader{path}; },
                                 {"record 2", "truncated data (3 of 7 bytes)"}));
  fresh(), std::filesystem::resize_file(path, 43 + 11);
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader{path}; },
                                 {"record 2", "truncated header (11 of 12"}));

  fresh();
  CHECK(throws_with<FormatError>([&] { io::TfRecordReader(path, {.max_record_bytes = 6}); },
                                 {"record 2 at byte 43", "length of 7", "at most 6"}));
  CHECK(throws_with<FormatError>(
      [&] { io::TfRecordReader(path, {.index_path = index, .max_record_bytes = 6}).read(2); },
      {"record 2 at byte 43", "length of 7", "at most 6"}));
  CHECK_THROWS_AS(io::TfRecordReader(dir / "none"), kfer::IoError);
  CHECK_THROWS_AS(io::TfRecordReader(path, {.index_path = dir / "none"}), kfer::IoError);
}

TEST_CASE("a file cut while it is read is a FormatError, not a fault") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  write_records(path, {}, {5, 6000, 7});
  const io::TfRecordReader reader(path);
  std::filesystem::resize_file(path, 3000);
  CHECK(reader.read(0) == payload(5));
  CHECK(throws_with<FormatError>([&] { reader.read(1); }, {"record 1 at byte 21", "truncated data"}));
  CHECK(throws_with<FormatError>([&] { reader.read(2); }, {"record 2", "truncated header (0 of 12"}));
}

TEST_CASE("bad records are skipped and counted once; the others keep their numbers") {
  const TemporaryDirectory dir;
  const auto path = dir / "a", index = dir / "i";
  write_records(path, index, {5, 6, 7, 8});  // frames at 0, 21, 43, 66; 90 bytes
  poke(path, 21 + 12);                       // record 1: data
  poke(path, 66 + 8);                        // record 3: CRC of the length
  std::vector<std::byte> data;
  for (const std::string& with : {std::string(), index}) {
    const io::TfRecordReader reader(path, {.index_path = with, .on_corrupt = OnCorrupt::skip});
    CHECK(reader.size() == (with.empty() ? 3 : 4));
    CHECK(reader.skipped() == (with.empty() ? 1 : 0));  // the rest after a bad length, known from the start
    for (int epoch = 0; epoch < 2; ++epoch) {
      std::vector<std::size_t> seen;
      reader.for_each([&](std::size_t i, io::Bytes bytes) {
        seen.push_back(i);
        CHECK(bytes.size() == i + 5);
      });
      CHECK(seen == std::vector<std::size_t>{0, 2});
      CHECK(reader.skipped() == 2);
    }
    CHECK_FALSE(reader.try_read(1, data));
    CHECK_THROWS_AS(reader.read(1), FormatError);
    REQUIRE(reader.problems().size() == 2);
    CHECK(reader.problems()[with.empty() ? 0 : 1].find("record 3 at byte 66") != std::string::npos);
  }
}

TEST_CASE("an index must describe its file") {
  const TemporaryDirectory dir;
  const auto path = dir / "a", index = dir / "i";
  write_records(path, {}, {5, 6});  // frames at 0 and 21; 43 bytes
  const auto open = [&](std::string_view text) {
    io::atomic_write(index, text);
    return io::TfRecordReader(path, {.index_path = index}).size();
  };
  CHECK(open("0 21\n21 22\n") == 2);
  CHECK(open("0 21\r\n21 22") == 2);
  CHECK(throws_with<FormatError>([&] { open("0 21\n"); }, {index, "describes 21", "holds 43"}));
  CHECK(throws_with<FormatError>([&] { open("0 21\n22 21\n"); },
                                 {index, "line 2", "ends at byte 21", "offset 22"}));
  CHECK(throws_with<FormatError>([&] { open("0 21\n21 x\n"); }, {index, "line 2", "'21 x'"}));
  CHECK(throws_with<FormatError>([&] { open("0 15\n"); }, {index, "line 1", "15"}));
  for (const char* bad : {"\n", "0\n", " 0 21\n", "0 21 \n", "-0 21\n", "0  21\n", "0 18446744073709551615\n",
                          "0 99999999999999999999999\n", "\xff\xfe", "0 21\n\n21 22\n"})
    CHECK_THROWS_AS(open(bad), FormatError);
  // An index that covers the file but cuts it elsewhere: found when the record is read.
  io::atomic_write(index, "0 22\n22 21\n");
  const io::TfRecordReader reader(path, {.index_path = index});
  CHECK(throws_with<FormatError>([&] { reader.read(0); }, {"record 0", "5 bytes", "index says 6"}));
}

TEST_CASE("no length makes the reader allocate more than the file holds") {
  const TemporaryDirectory dir;
  const auto path = dir / "a";
  for (const std::uint64_t length :
       {std::uint64_t{1} << 20, std::uint64_t{1} << 40, ~std::uint64_t{0}, ~std::uint64_t{11}}) {
    std::vector<std::byte> bytes(12);
    io::store_le(bytes.data(), length);
    io::store_le(bytes.data() + 8, io::masked_crc32c(io::Bytes(bytes).first(8)));
    test::write(path, bytes);
    CHECK_THROWS_AS(io::TfRecordReader(path, {.max_record_bytes = ~std::uint64_t{0}}), FormatError);
    CHECK_THROWS_AS(io::TfRecordReader{path}, FormatError);
    const io::TfRecordReader reader(path, {.on_corrupt = OnCorrupt::skip});
    CHECK(reader.size() == 0);
    CHECK(reader.skipped() == 1);
  }
}

TEST_CASE("every truncation and every flipped bit is found") {
  const TemporaryDirectory dir;
  const auto path = dir / "a", index = dir / "i";
  write_records(path, index, {3, 0, 5});
  const auto good = io::read_file(path);
  test::damage(good, [&](const std::vector<std::byte>& bad) {
    test::write(path, bad);
    for (const std::string& with : {std::string(), index}) {
      // A file cut between two records is a shorter file: only the index can tell.
      if (with.empty() && (bad.size() == 0 || bad.size() == 19 || bad.size() == 35)) continue;
      bool found = false;
      try {
        io::TfRecordReader(path, {.index_path = with}).for_each([](std::size_t, io::Bytes) {});
      } catch (const FormatError&) {
        found = true;
      }
      REQUIRE(found);
      const io::TfRecordReader reader(path, {.index_path = with, .on_corrupt = OnCorrupt::skip});
      reader.for_each([&](std::size_t i, io::Bytes data) {
        REQUIRE(std::equal(data.begin(), data.end(), payload(i == 0 ? 3 : i == 1 ? 0 : 5).begin()));
      });
      REQUIRE(reader.skipped() >= 1);
    }
  });
}

TEST_CASE("every truncation and every flipped bit of an index is found or harmless") {
  const TemporaryDirectory dir;
  const auto path = dir / "a", index = dir / "i";
  write_records(path, index, {3, 0, 5, 300});
  const auto good = io::read_file(index);
  std::size_t found = 0;
  test::damage(good, [&](const std::vector<std::byte>& bad) {
    test::write(index, bad);
    try {
      const io::TfRecordReader reader(path, {.index_path = index});
      REQUIRE(reader.size() == 4);
      for (std::size_t i = 0; i < 4; ++i) REQUIRE(reader.read(i) == payload(std::array{3, 0, 5, 300}[i]));
    } catch (const FormatError&) {
      ++found;
    }
  });
  CHECK(found > good.size() * 7);  // but the last line may lack its end
}
