// TensorFlow's checkpoints, against files that TensorFlow wrote (tools/make_tf_checkpoint_test_data.py).
#include "kfer/io/tf_checkpoint.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "io/support.hpp"

namespace io = kfer::io;
using io::TfCheckpoint;
using kfer::FormatError;
using kfer::IoError;
using kfer::Shape;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

struct Files {
  std::vector<std::byte> index = test::data("checkpoint.index");
  std::vector<std::byte> shards[2] = {test::data("checkpoint.data-00000-of-00002"),
                                      test::data("checkpoint.data-00001-of-00002")};

  TfCheckpoint parse() const {
    const io::Bytes parts[] = {shards[0], shards[1]};
    return TfCheckpoint::parse(index, parts, "c");
  }
};

/// The tensors that the script saved.
void check_content(const TfCheckpoint& file) {
  CHECK(file.tensors().size() == 17);
  CHECK(file.values<float>("float") == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.25f});
  CHECK(file.at("float").shape == Shape{2, 3});
  CHECK(file.values<double>("double") == std::vector<double>{-0.1, 0.9, 1.9, 2.9, 3.9, 4.9});
  CHECK(file.values<std::int8_t>("int8") == std::vector<std::int8_t>{-128, 127});
  CHECK(file.values<std::int16_t>("int16") == std::vector<std::int16_t>{-32768, 32767});
  CHECK(file.values<std::int32_t>("int32") == std::vector<std::int32_t>{INT32_MIN, INT32_MAX});
  CHECK(file.values<std::int64_t>("int64") == std::vector<std::int64_t>{INT64_MIN, INT64_MAX, 7});
  CHECK(file.values<std::uint8_t>("uint8") == std::vector<std::uint8_t>{0, 255, 7});
  CHECK(file.values<std::uint16_t>("uint16") == std::vector<std::uint16_t>{65535});
  CHECK(file.values<std::uint32_t>("uint32") == std::vector<std::uint32_t>{UINT32_MAX});
  CHECK(file.values<std::uint64_t>("uint64") == std::vector<std::uint64_t>{UINT64_MAX});
  CHECK(file.at("half").dtype == "F16");
  CHECK(io::load_le<std::uint16_t>(file.at("half").data.data() + 4) == 0x7bff);  // 65504, the largest half
  CHECK(file.at("bfloat16").dtype == "BF16");
  CHECK(io::load_le<std::uint16_t>(file.at("bfloat16").data.data() + 2) == 0xbf00);  // -0.5
  CHECK(file.at("bool").dtype == "BOOL");
  CHECK(file.at("bool").data[2] == std::byte{1});
  CHECK(file.at("complex64").dtype == "C64");
  CHECK(io::load_le<float>(file.at("complex64").data.data() + 4) == 2);
  CHECK(file.at("scalar").shape == Shape{});
  CHECK(file.values<float>("scalar") == std::vector<float>{2.5f});
  CHECK(file.at("empty").shape == Shape{3, 0});
  CHECK(file.at("layer/kernel/.ATTRIBUTES/VARIABLE_VALUE").shape == Shape{2, 3, 2, 2});
  std::vector<float> ramp(24);
  std::iota(ramp.begin(), ramp.end(), 0.0f);
  CHECK(file.values<float>("layer/kernel/.ATTRIBUTES/VARIABLE_VALUE") == ramp);
  REQUIRE(file.strings() == std::vector<std::string>{"strings"});
  std::string long_one;
  for (int i = 0; i < 100; ++i) long_one += "\xc3\xbc";
  CHECK(file.strings("strings") == std::vector<std::string_view>{"", "one", long_one});
}

/// The same content, tensor by tensor and byte by byte.
bool same(const TfCheckpoint& a, const TfCheckpoint& b) {
  if (a.tensors().size() != b.tensors().size() || a.strings() != b.strings()) return false;
  for (std::size_t i = 0; i < a.tensors().size(); ++i) {
    const auto& [name, x] = a.tensors()[i];
    const auto& [other, y] = b.tensors()[i];
    if (name != other || x.dtype != y.dtype || x.shape != y.shape || !std::ranges::equal(x.data, y.data))
      return false;
  }
  return std::ranges::all_of(a.strings(), [&](const auto& n) { return a.strings(n) == b.strings(n); });
}

}  // namespace

TEST_CASE("what TensorFlow saved is read, of every type, from two shards") {
  check_content(TfCheckpoint::open(test::data_path("checkpoint.index")));
  check_content(TfCheckpoint::open(test::data_path("checkpoint")));
  check_content(Files().parse());
}

TEST_CASE("an index in snappy blocks holds the same") {
  Files files;
  files.index = test::data("checkpoint_snappy.index");
  check_content(files.parse());
}

TEST_CASE("a directory's file `checkpoint` names the newest one") {
  const TemporaryDirectory dir;
  const Files files;
  test::write(dir / "m.index", files.index);
  test::write(dir / "m.data-00000-of-00002", files.shards[0]);
  const auto list = [&](std::string_view content) { test::write(dir / "checkpoint", io::as_bytes(content)); };
  CHECK_THROWS_AS(TfCheckpoint::open(dir.path()), IoError);
  list("model_checkpoint_path: \"m\"\nall_model_checkpoint_paths: \"old\"\n");
  CHECK(throws_with<IoError>([&] { TfCheckpoint::open(dir.path()); }, {"m.data-00001-of-00002"}));
  test::write(dir / "m.data-00001-of-00002", files.shards[1]);
  check_content(TfCheckpoint::open(dir.path()));
  list("all_model_checkpoint_paths: \"old\"\nmodel_checkpoint_path: \"" + dir.path() + "/m\"\n");
  check_content(TfCheckpoint::open(dir.path()));
  for (const char* bad : {"", "all_model_checkpoint_paths: \"m\"", "model_checkpoint_path: \"\"",
                          "model_checkpoint_path: \"m", "model_checkpoint_path: \"a\\n\""}) {
    list(bad);
    CHECK(throws_with<FormatError>([&] { TfCheckpoint::open(dir.path()); }, {"model_checkpoint_path"}));
  }
}

TEST_CASE("views live as long as any copy, and what is missing or of another type is named") {
  std::optional<TfCheckpoint> copy;
  {
    const auto file = TfCheckpoint::open(test::data_path("checkpoint"));
    copy = file;
  }
  check_content(*copy);
  CHECK(copy->find("nothing") == nullptr);
  CHECK(throws_with<FormatError>([&] { copy->at("nothing"); }, {"checkpoint.index", "'nothing'"}));
  CHECK(throws_with<FormatError>([&] { copy->values<double>("float"); }, {"'float' is F32", "expected F64"}));
  CHECK(throws_with<FormatError>([&] { copy->strings("float"); }, {"no tensor of strings 'float'"}));
  const std::vector<std::byte> nothing;
  CHECK(throws_with<FormatError>([&] { TfCheckpoint::parse(nothing, {}); }, {"too few"}));
  CHECK(throws_with<FormatError>([&] { TfCheckpoint::parse(Files().index, {}); }, {"2 shards, got 0"}));
  CHECK(throws_with<FormatError>([&] { TfCheckpoint::parse(test::data("model.safetensors"), {}); },
                                 {"SSTable", "magic"}));
}

TEST_CASE("every truncation is found, and a flipped bit is found or changes nothing") {
  const auto whole = Files().parse();
  Files files;
  for (const char* name : {"checkpoint.index", "checkpoint_snappy.index"}) {
    CAPTURE(name);
    const auto index = test::data(name);
    std::size_t unseen = 0;
    test::damage(index, [&](const std::vector<std::byte>& bad) {
      files.index = bad;
      try {
        const bool unchanged = same(files.parse(), whole);
        REQUIRE(unchanged);
        ++unseen;
      } catch (const FormatError&) {
      }
    });
    CHECK(unseen == 1);  // the top bit of the footer's last number, which the zeros after it then continue
    files.index = index;
  }
  for (auto& shard : files.shards) {
    const auto good = shard;
    std::size_t found = 0;
    test::damage(good, [&](const std::vector<std::byte>& bad) {
      shard = bad;
      try {
        files.parse();
      } catch (const FormatError&) {
        ++found;
      }
    });
    CHECK(found == good.size() * 9);  // all truncations, all bits
    shard = good;
  }
}

namespace {

/// A table of one block, as a writer would lay it out; `entries` need no order.
std::vector<std::byte> table(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::vector<std::byte> out;
  const auto varint = [](std::string& to, std::uint64_t n) {
    for (; n >= 0x80; n >>= 7) to += static_cast<char>(n | 0x80);
    to += static_cast<char>(n);
  };
  const auto block = [&](const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::string data;
    for (const auto& [key, value] : pairs) {
      for (const auto n : {std::size_t{0}, key.size(), value.size()}) varint(data, n);
      data += key + value;
    }
    data.append(8, '\0');
    data[data.size() - 4] = 1;
    std::string handle;
    varint(handle, out.size());
    varint(handle, data.size());
    data += '\0';
    io::append(out, io::as_bytes(data));
    io::append_le(out, io::masked_crc32c(io::as_bytes(data)));
    return handle;
  };
  const auto data = block(entries);
  std::string footer = block({});
  footer += block({{"\xff", data}});
  footer.resize(40);
  io::append(out, io::as_bytes(footer));
  io::append_le(out, io::sstable_magic);
  return out;
}

std::string message(std::initializer_list<std::pair<std::uint32_t, std::uint64_t>> fields) {
  io::ProtoWriter writer;
  for (const auto& [field, value] : fields) writer.varint(field, value);
  return std::string(io::as_text(writer.view()));
}

std::string entry(std::uint64_t type, std::vector<std::int64_t> shape, std::uint64_t size,
                  std::uint64_t offset = 0) {
  io::ProtoWriter writer, dims;
  for (const auto extent : shape) {
    io::ProtoWriter dim;
    dim.varint(1, static_cast<std::uint64_t>(extent));
    dims.message(2, dim);
  }
  writer.varint(1, type);
  writer.message(2, dims);
  writer.varint(4, offset);
  writer.varint(5, size);
  return std::string(io::as_text(writer.view()));
}

}  // namespace

TEST_CASE("what the index claims is checked against the data and what is supported") {
  const std::vector<std::byte> eight(8);
  const std::string one_shard = message({{1, 1}});
  struct Case {
    std::vector<std::pair<std::string, std::string>> entries;
    const char* what;
  };
  const Case cases[] = {
      {{}, "no header"},
      {{{"a", entry(1, {2}, 8)}}, "no header"},
      {{{"", ""}}, "0 shards"},
      {{{"", message({{1, 100'000}})}}, "100000 shards"},
      {{{"", message({{1, 1}, {2, 1}})}}, "big-endian"},
      {{{"", one_shard}, {"a", entry(1, {3}, 8)}}, "'a': F32 of shape [3] takes 12 bytes, got 8"},
      {{{"", one_shard}, {"a", entry(1, {3}, 12)}}, "'a': 12 bytes at byte 0 are not within the 8"},
      {{{"", one_shard}, {"a", entry(1, {2}, 8, 1)}}, "not within the 8"},
      {{{"", one_shard}, {"a", entry(1, {2}, 8)}}, "'a': its CRC is wrong"},
      {{{"", one_shard}, {"a", entry(1, {2}, 8)}, {"b", entry(1, {1}, 4, 4)}}, "overlap"},
      {{{"", one_shard}, {"a", entry(1, {-1}, 8)}}, "no natural number"},
      {{{"", one_shard}, {"a", entry(1, {1ll << 40, 1ll << 40}, 8)}}, "64 bits"},
      {{{"", one_shard}, {"a", entry(1, {1, 1, 1, 1, 1, 1, 1, 1, 1}, 4)}}, "dimensions"},
      {{{"", one_shard}, {"a", entry(21, {}, 8)}}, "type 21"},
      {{{"", one_shard}, {"a", message({{1, 1}, {3, 1}, {5, 4}})}}, "'a': in shard 1 of 1"},
      {{{"", one_shard}, {"a", entry(7, {1ll << 40}, 8)}}, "cannot hold"},
      {{{"", one_shard}, {"a", entry(7, {4}, 8)}}, "'a': the CRC of its lengths is wrong"},
      {{{"", one_shard}, {"a", entry(7, {3}, 8)}}, "do not take 5"},
      {{{"", one_shard}, {"b", entry(1, {1}, 4)}, {"a", entry(1, {1}, 4, 4)}}, "order"},
      {{{"", one_shard}, {"a", "\x3a\x02hi"}}, "slices"},
  };
  const io::Bytes shards[] = {eight};
  for (const auto& c : cases) {
    CAPTURE(c.what);
    CHECK(throws_with<FormatError>([&] { TfCheckpoint::parse(table(c.entries), shards, "the file"); },
                                   {"the file", c.what}));
  }
  CHECK(TfCheckpoint::parse(table({{"", one_shard}}), shards).tensors().empty());
}

TEST_CASE("snappy: literals and copies, and what is malformed") {
  const auto inflate = [](std::string_view block) {
    return std::string(io::as_text(io::snappy_decompress(io::as_bytes(block), "s")));
  };
  using namespace std::string_view_literals;
  CHECK(inflate("\0"sv).empty());
  CHECK(inflate("\x03\x08"
                "abc"sv) == "abc");
  CHECK(inflate("\x0a\x04"
                "ab\x11\x02"sv) == "ababababab");  // 8 bytes from 2 back, over itself
  CHECK(inflate("\x0a\x04"
                "ab\x1e\x02\0"sv) == "ababababab");  // the same by a two-byte offset
  CHECK(inflate("\x0a\x04"
                "ab\x1f\x02\0\0\0"sv) == "ababababab");  // by a four-byte offset
  CHECK(inflate("\x04\xf0\x03"
                "abcd"sv) == "abcd");  // length in a byte of its own
  for (const auto bad : {""sv, "\x80"sv, "\x01"sv,
                         "\x03\x08"
                         "ab"sv,
                         "\x02\x08"
                         "abc"sv,
                         "\x04\x08"
                         "abc"sv,
                         "\x0a\x04"
                         "ab\x11\0"sv,
                         "\x0a\x04"
                         "ab\x11\x03"sv,
                         "\x09\x04"
                         "ab\x11\x02"sv,
                         "\x0a\x04"
                         "ab\x1e\x02"sv,
                         "\x04\xf4\x03"sv,
                         "\xff\xff\xff\xff\x0f\x08"
                         "abc"sv}) {
    CAPTURE(std::string(bad));
    CHECK(throws_with<FormatError>([&] { inflate(bad); }, {"s: snappy"}));
  }
}
