#include "kfer/io/npz.hpp"

#include <doctest/doctest.h>

#include <map>
#include <numbers>

#include "io/support.hpp"

namespace io = kfer::io;
using io::NpyArray;
using kfer::FormatError;
using kfer::Shape;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

std::map<std::string, NpyArray> read(const std::string& name) {
  const auto arrays = io::read_npz(test::data_path(name));
  return {arrays.begin(), arrays.end()};
}

const std::vector<float> quarters = {0, 0.25f, 0.5f, 0.75f, 1, 1.25f};

}  // namespace

TEST_CASE("what numpy stored and deflated is read") {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    CAPTURE(name);
    const auto arrays = read(name);
    CHECK(arrays.at("f4").shape == Shape{2, 3});
    CHECK(arrays.at("f4").values<float>() == quarters);
    CHECK(arrays.at("f8").values<double>() == std::vector<double>{1e300, -2.5, std::numbers::pi});
    CHECK(arrays.at("i4").shape == Shape{3, 1, 2});
    CHECK(arrays.at("i4").values<std::int32_t>() == std::vector<std::int32_t>{-3, -2, -1, 0, 1, 2});
    CHECK(arrays.at("i8").shape == Shape{});
    CHECK(arrays.at("i8").values<std::int64_t>() == std::vector<std::int64_t>{-(std::int64_t{1} << 62)});
    CHECK(arrays.at("none").shape == Shape{0, 4});
    CHECK_THROWS_AS(arrays.at("f4").values<double>(), FormatError);
  }
  const auto bytes = read("deflated.npz").at("u1").values<std::uint8_t>();
  REQUIRE(bytes.size() == 5000);
  for (std::size_t i = 0; i < bytes.size(); ++i) REQUIRE(bytes[i] == i % 251);
}

TEST_CASE("all versions of npy are read; what is not supported is named") {
  for (const char* name : {"version1.npy", "version2.npy", "version3.npy"})
    CHECK(io::read_npy(test::data_path(name)).values<float>() == quarters);
  const auto refuses = [](const char* name, std::vector<std::string> words) {
    words.push_back(name);
    return throws_with<FormatError>([&] { io::read_npy(test::data_path(name)); }, words);
  };
  CHECK(refuses("fortran.npy", {"Fortran order"}));
  CHECK(refuses("half.npy", {"'<f2'"}));
  CHECK(refuses("big_endian.npy", {"'>f4'"}));
  CHECK(refuses("structured.npy", {"structured", "'a'"}));
  CHECK_THROWS_AS(io::read_npy("/none/a.npy"), kfer::IoError);
}

TEST_CASE("every kind of deflate block, against what zlib compressed") {
  std::string expected;
  for (int n = 0; n < 400; ++n) expected += kfer::text(n, " squared is ", n * n, ". ");
  const auto streams = read("deflate.npz");
  CHECK(streams.size() == 6);
  for (const auto& [key, stream] : streams) {
    const std::string& name = key;
    CAPTURE(name);
    std::vector<std::byte> out(expected.size());
    io::inflate(stream.data, out);
    CHECK(io::as_text(out) == expected);
    CHECK_THROWS_AS(io::inflate(stream.data, std::span(out).first(out.size() - 1)), FormatError);
    out.resize(out.size() + 1);
    CHECK_THROWS_AS(io::inflate(stream.data, out), FormatError);
    for (std::size_t n = 0; n < stream.data.size(); n += 1 + n / 50)
      REQUIRE_THROWS_AS(io::inflate(io::Bytes(stream.data).first(n), std::span(out).first(expected.size())),
                        FormatError);
  }
}

TEST_CASE("what is written reads back, and the same bytes each time") {
  const TemporaryDirectory dir;
  const std::vector<double> values = {1, -2.5, 1e-300};
  const std::vector<io::NamedArray> arrays = {
      {"a", io::npy_array<float>(quarters, {3, 2})},
      {"scalar", io::npy_array<double>(std::span(values).first(1), {})},
      {"line", io::npy_array<double>(values, {3})},
      {"none", io::npy_array<std::uint8_t>({}, {0})}};
  io::write_npz(dir / "a.npz", arrays);
  io::write_npz(dir / "b.npz", arrays);
  CHECK(io::read_file(dir / "a.npz") == io::read_file(dir / "b.npz"));
  const auto back = io::read_npz(dir / "a.npz");
  REQUIRE(back.size() == arrays.size());
  for (std::size_t i = 0; i < back.size(); ++i) {
    CHECK(back[i].first == arrays[i].first);
    CHECK(back[i].second.dtype == arrays[i].second.dtype);
    CHECK(back[i].second.shape == arrays[i].second.shape);
    CHECK(back[i].second.data == arrays[i].second.data);
    io::write_npy(dir / "a.npy", arrays[i].second);
    CHECK(io::read_npy(dir / "a.npy").data == arrays[i].second.data);
    CHECK((io::encode_npy(arrays[i].second).size() - arrays[i].second.data.size()) % 64 == 0);
  }
  // The very bytes that numpy writes for the same array.
  const auto same = io::npy_array<float>(quarters, {2, 3});
  CHECK(io::encode_npy(same) == test::data("version1.npy"));
  CHECK_THROWS_AS(io::write_npz(dir / "c", std::vector<io::NamedArray>{arrays[0], arrays[0]}),
                  kfer::ValueError);
  CHECK_THROWS_AS(io::npy_array<float>(quarters, {7}), kfer::ShapeError);
  CHECK_THROWS_AS(io::encode_npy({"<f2", {1}, std::vector<std::byte>(2)}), kfer::ValueError);
  io::write_npz(dir / "empty.npz", {});
  CHECK(io::read_npz(dir / "empty.npz").empty());
}

TEST_CASE("a size is believed only as far as the file goes") {
  auto bytes = test::data("deflated.npz");
  // The central directory's uncompressed size of the first entry.
  std::size_t at = 0;
  while (io::load_le<std::uint32_t>(bytes.data() + at) != 0x02014b50) ++at;
  io::store_le(bytes.data() + at + 24, std::uint32_t{0xfffffff0});
  CHECK(throws_with<FormatError>([&] { io::parse_npz(bytes); }, {"cannot hold 4294967280"}));
  CHECK(throws_with<FormatError>([&] { io::parse_npz(test::data("deflated.npz"), "n", 100); },
                                 {"at most 100"}));
  std::string npy = "\x93NUMPY\x01";
  npy += std::string("\0\x50\0", 3) +
         "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 2), }";
  npy.resize(10 + 0x50, ' ');
  CHECK(throws_with<FormatError>([&] { io::parse_npy(io::as_bytes(npy)); }, {"64 bits"}));
}

TEST_CASE("every damage to an archive is found or harmless") {
  for (const char* name : {"stored.npz", "deflated.npz"}) {
    const auto good = test::data(name);
    const auto expected = io::parse_npz(good);
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      if (bad.size() < good.size()) {
        REQUIRE_THROWS_AS(io::parse_npz(bad), FormatError);
        return;
      }
      // Flags and dates may change without harm: what is accepted holds the same arrays by the same names.
      std::vector<io::NamedArray> arrays;
      try {
        arrays = io::parse_npz(bad);
      } catch (const FormatError&) {
        return;
      }
      REQUIRE(arrays.size() == expected.size());
      for (std::size_t i = 0; i < arrays.size(); ++i) {
        REQUIRE(arrays[i].first == expected[i].first);
        REQUIRE(arrays[i].second.dtype == expected[i].second.dtype);
        REQUIRE(arrays[i].second.shape == expected[i].second.shape);
        REQUIRE(arrays[i].second.data == expected[i].second.data);
      }
    });
  }
}
