// The HDF5 reader against files of h5py (tools/make_hdf5_test_data.py): element i of every dataset is
// 0.5 i - 3, of an unsigned one 3 i.
#include "kfer/io/hdf5.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <optional>

#include "io/support.hpp"

namespace io = kfer::io;
using io::Hdf5;
using kfer::FormatError;
using kfer::Shape;
using kfer::text;
using test::throws_with;

namespace {

Hdf5 open(const std::string& name) {
  return Hdf5::open(test::data_path("hdf5_" + name + ".h5"));
}

/// Half precision by its definition: sign, 5 bits of exponent, 10 of fraction.
double half(std::uint16_t h) {
  const int exponent = h >> 10 & 31;
  const double fraction = (h & 1023) / 1024.0;
  const double value = exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1 + fraction, exponent - 15);
  return h & 0x8000 ? -value : value;
}

std::vector<double> values(const io::TensorView& view) {
  std::vector<double> out;
  const auto read = [&]<class T>(T) {
    for (std::size_t i = 0; i < view.data.size(); i += sizeof(T)) {
      const auto x = io::load_le<T>(view.data.data() + i);
      out.push_back(view.dtype == "F16" ? half(static_cast<std::uint16_t>(x)) : static_cast<double>(x));
    }
  };
  if (view.dtype == "F16") read(std::uint16_t{});
  if (view.dtype == "F32") read(float{});
  if (view.dtype == "F64") read(double{});
  if (view.dtype == "I8") read(std::int8_t{});
  if (view.dtype == "I16") read(std::int16_t{});
  if (view.dtype == "I32") read(std::int32_t{});
  if (view.dtype == "I64") read(std::int64_t{});
  if (view.dtype == "U8") read(std::uint8_t{});
  if (view.dtype == "U16") read(std::uint16_t{});
  if (view.dtype == "U32") read(std::uint32_t{});
  if (view.dtype == "U64") read(std::uint64_t{});
  return out;
}

/// The dataset is there, of this type and shape, and holds what its formula says.
void check(const Hdf5& file, const std::string& path, const std::string& dtype, const Shape& shape) {
  CAPTURE(path);
  REQUIRE(file.contains(path));
  const auto& view = file.at(path);
  CHECK(view.dtype == dtype);
  REQUIRE(view.shape == shape);
  std::vector<double> expected(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double x = static_cast<double>(i);
    expected[i] = dtype[0] == 'U'   ? std::fmod(3 * x, std::ldexp(1, 8 * std::stoi(dtype.substr(1)) / 8))
                  : dtype[0] == 'I' ? std::trunc(0.5 * x - 3)
                                    : 0.5 * x - 3;
  }
  CHECK(values(view) == expected);
}

void check_strings(const Hdf5& file) {
  const auto& a = [&](const char* name) { return file.attribute("", name); };
  CHECK(a("variable") == Hdf5::Strings{"tensorflow"});
  CHECK(a("variable_array") == Hdf5::Strings{"a", "", "\xc3\xa4 b"});
  CHECK(a("fixed") == Hdf5::Strings{"2.5.0"});
  CHECK(a("fixed_array") == Hdf5::Strings{"conv1", "bn", "dense_10"});
  CHECK(a("padded") == Hdf5::Strings{"ab cd"});
  CHECK(a("none").empty());
  CHECK(a("split1") == Hdf5::Strings{"k2"});
  CHECK(a("split") == Hdf5::Strings{"k0", "k1", "k2", "k3", "k4"});
  CHECK(throws_with<FormatError>([&] { a("number"); }, {"number", "I64", file.name()}));
  CHECK(throws_with<FormatError>([&] { a("absent"); }, {"absent", file.name()}));
  CHECK(file.find_attribute("", "number") == nullptr);
  CHECK(file.find_attribute("nowhere", "fixed") == nullptr);
}

/// Everything that a file says, for comparisons.
std::string summary(const Hdf5& file) {
  std::string out;
  for (const auto& [path, view] : file.datasets())
    out += text(path, ' ', view.dtype, ' ', view.shape, ' ', io::as_text(view.data), '\n');
  for (const auto& path : file.groups()) {
    out += path + '\n';
    for (const char* name : {"backend", "layer_names"})
      if (const auto* strings = file.find_attribute(path, name))
        for (const auto& string : *strings) out += text(name, ' ', string, '\n');
  }
  for (const auto& [path, what] : file.others()) out += text(path, ' ', what, '\n');
  return out;
}

}  // namespace

TEST_CASE("hdf5: old files: groups in B-trees of three levels, every type of number, both byte orders") {
  const auto file = open("old");
  check_strings(file);
  CHECK(file.datasets().size() == 20 + 15 + 1 + 3);
  for (int i = 0; i < 20; ++i) check(file, text("d", i / 10, i % 10), "F32", {i % 3 + 1, 2});
  const char* types[] = {"F16", "F16", "F32", "F32", "F64", "F64", "I8", "I16",
                         "I16", "I32", "I64", "U8",  "U16", "U32", "U64"};
  for (int i = 0; i < 15; ++i) check(file, text("types/t", i / 10, i % 10), types[i], {2, 3});
  check(file, "a/b/c/kernel:0", "F32", {2, 2, 2});
  CHECK(file.attribute("a/b/c", "weight_names") == Hdf5::Strings{"kernel:0"});
  check(file, "scalar", "F32", {});
  check(file, "empty", "F32", {0, 4});
  check(file, "compact", "F32", {5});
  CHECK(file.groups() == std::vector<std::string>{"", "a", "a/b", "a/b/c", "types"});
  CHECK(file.others().empty());
  CHECK(std::is_sorted(file.datasets().begin(), file.datasets().end(),
                       [](const auto& a, const auto& b) { return a.first < b.first; }));
}

TEST_CASE("hdf5: old files: chunks in a B-tree, with every filter and ragged edges") {
  const auto file = open("chunked");
  CHECK(file.datasets().size() == 8);
  check(file, "plain", "F32", {7, 5});
  check(file, "deflate", "F32", {7, 5});
  check(file, "shuffle", "F64", {7, 5});
  check(file, "fletcher32", "I8", {3, 5});
  check(file, "all", "F32", {3, 4, 5});
  check(file, "big_endian", "F32", {6, 6});
  check(file, "many", "F32", {40});
  check(file, "empty", "F32", {0, 4});
}

TEST_CASE("hdf5: new files: every chunk index but one, links and attributes in fractal heaps") {
  const auto file = open("latest");
  check_strings(file);
  check(file, "contiguous", "F32", {2, 3});
  for (const char* name : {"single", "single_all"}) check(file, name, "F32", {4, 5});
  for (const char* name : {"implicit", "fixed", "fixed_all", "btree", "btree_all"})
    check(file, name, "F32", {7, 5});
  for (int i = 0; i < 60; ++i) check(file, text("dense/a_name_of_some_length_", i / 10, i % 10), "F32", {1});
  CHECK(file.datasets().size() == 68);
  for (int i = 0; i < 12; ++i)
    CHECK(file.attribute("dense", text("attribute_", i / 10, i % 10)) == Hdf5::Strings{text("value ", i)});
  const auto& large = file.attribute("dense", "large");
  REQUIRE(large.size() == 600);
  CHECK(large[599] == "line 0599");

  const auto paged = open("paged");
  const auto got = values(paged.at("paged"));
  REQUIRE(got.size() == 1100);
  for (std::size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == static_cast<double>(3 * i % 256));
}

TEST_CASE("hdf5: files of superblock 2, behind a user block") {
  const auto file = open("version2");
  check_strings(file);
  CHECK(file.datasets().size() == 1);
  check(file, "a/kernel:0", "F32", {4, 3});
}

TEST_CASE("hdf5: what is not numbers is listed and named") {
  const auto file = open("others");
  CHECK(file.datasets().size() == 1);
  check(file, "numbers", "F32", {2});
  const std::vector<std::pair<std::string, std::string>> expected = {{"bool", "a dataset of enumerators"},
                                                                     {"external", "an external link"},
                                                                     {"null", "a dataset of no data"},
                                                                     {"record", "a dataset of records"},
                                                                     {"soft", "a soft link to '/numbers'"},
                                                                     {"text", "a dataset of strings"},
                                                                     {"type", "a type"}};
  CHECK(file.others() == expected);
  CHECK(throws_with<FormatError>([&] { file.at("text"); }, {"text", "a dataset of strings", file.name()}));
  CHECK(throws_with<FormatError>([&] { file.at("nothing"); }, {"no dataset 'nothing'", file.name()}));
}

TEST_CASE("hdf5: what is not supported is refused, naming file, object and reason") {
  const auto refuses = [](const std::string& name, std::vector<std::string> words) {
    words.push_back("hdf5_refused_" + name);
    words.push_back("byte ");
    return throws_with<FormatError>([&] { open("refused_" + name); }, words);
  };
  CHECK(refuses("extensible", {"/x", "extensible array"}));
  CHECK(refuses("lzf", {"/x", "32000", "lzf", "not supported"}));
  CHECK(refuses("unwritten", {"/x", "never written"}));
  CHECK(refuses("hole", {"/x", "1 chunks are there, 2"}));
  CHECK(refuses("twice", {"/y", "two names"}));
  CHECK(refuses("deep", {"/g/g/g", "64 deep"}));
  CHECK(refuses("cycle", {"/g/again", "cycle"}));
  CHECK_THROWS_AS(Hdf5::open("/none/a.h5"), kfer::IoError);
  CHECK(throws_with<FormatError>([] { Hdf5::parse(io::as_bytes("no file of HDF5")); }, {"not an HDF5 file"}));
  CHECK_THROWS_AS(Hdf5::parse({}), FormatError);
}

TEST_CASE("hdf5: copies share what they hold, and outlive the first") {
  std::optional<Hdf5> first = open("chunked");
  const Hdf5 copy = *first;
  const auto* view = copy.find("all");
  first.reset();
  check(copy, "all", "F32", {3, 4, 5});
  CHECK(view == copy.find("all"));
}

TEST_CASE(
    "hdf5: a file with checksums: cut anywhere it is refused, with any bit flipped refused or the same") {
  const auto bytes = test::data("hdf5_checked.h5");
  const auto expected = summary(Hdf5::parse(bytes));
  std::size_t refused = 0, same = 0;
  test::damage(bytes, [&](const std::vector<std::byte>& damaged) {
    try {
      const auto got = summary(Hdf5::parse(damaged));
      REQUIRE(damaged.size() == bytes.size());  // no prefix passes
      REQUIRE(got == expected);
      ++same;
    } catch (const FormatError&) {
      ++refused;
    }
  });
  CHECK(refused + same == 9 * bytes.size());
  CHECK(refused > 4 * bytes.size());  // the rest are flips of bytes that nothing uses
}

TEST_CASE(
    "hdf5: a file without checksums: cut anywhere it is refused, with any bit flipped never of other "
    "shapes") {
  const auto bytes = test::data("hdf5_plain.h5");
  const auto whole = Hdf5::parse(bytes);
  const auto expected = summary(whole);
  std::size_t refused = 0, same = 0, other_data = 0, other_names = 0;
  test::damage(bytes, [&](const std::vector<std::byte>& damaged) {
    try {
      const auto file = Hdf5::parse(damaged);
      REQUIRE(damaged.size() == bytes.size());
      bool names = file.datasets().size() == whole.datasets().size() && file.groups() == whole.groups();
      for (const auto& [path, view] : file.datasets()) {
        const auto* before = whole.find(path);
        names = names && before != nullptr;
        REQUIRE(view.data.size() ==
                static_cast<std::size_t>(view.shape.numel()) * io::safetensors_item_size(view.dtype));
        if (before == nullptr) continue;
        REQUIRE(view.dtype == before->dtype);
        REQUIRE(view.shape == before->shape);
      }
      ++(!names ? other_names : summary(file) == expected ? same : other_data);
    } catch (const FormatError&) {
      ++refused;
    }
  });
  // Nothing in such a file tells that an element, or a letter of a name, was another.
  CHECK(other_data > 0);
  CHECK(refused > bytes.size());
}

TEST_CASE("hdf5: all kinds of file, damaged: an answer or a typed error") {
  for (const char* name : {"chunked", "version2", "others"}) {
    CAPTURE(name);
    const auto bytes = test::data(text("hdf5_", name, ".h5"));
    auto copy = bytes;
    for (std::size_t bit = 0; bit < bytes.size() * 8; bit += 3) {  // every third bit: a few seconds
      const auto mask = static_cast<std::byte>(1u << bit % 8);
      copy[bit / 8] ^= mask;
      REQUIRE(test::survives([&] { summary(Hdf5::parse(copy)); }));
      copy[bit / 8] ^= mask;
    }
    for (std::size_t n = 0; n < bytes.size(); n += 7)
      REQUIRE(test::survives([&] { Hdf5::parse(io::Bytes(bytes).first(n)); }));
  }
}

TEST_CASE("hdf5: the checksums are those of their definitions") {
  // lookup3 of nothing and of a text, as its author's own test program prints them.
  CHECK(io::hdf5::lookup3({}) == 0xdeadbeef);
  CHECK(io::hdf5::lookup3(io::as_bytes("Four score and seven years ago")) == 0x17770551);
  // Of the words 6162 6364 6566: 6162 + 6364 + 6566 and 3 * 6162 + 2 * 6364 + 6566, modulo ffff.
  CHECK(io::hdf5::fletcher32(io::as_bytes("abcdef")) == 0x50562a2d);
}
