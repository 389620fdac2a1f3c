#include "kfer/io/safetensors.hpp"

#include <doctest/doctest.h>

#include "io/support.hpp"

namespace io = kfer::io;
using io::NamedTensor;
using io::Safetensors;
using kfer::FormatError;
using kfer::Shape;
using test::TemporaryDirectory;
using test::throws_with;

namespace {

std::vector<std::byte> file_of(std::string_view header, std::size_t data_bytes) {
  std::vector<std::byte> out;
  io::append_le(out, static_cast<std::uint64_t>(header.size()));
  io::append(out, io::as_bytes(header));
  out.resize(out.size() + data_bytes);
  return out;
}

}  // namespace

TEST_CASE("what the safetensors package wrote is read") {
  const auto file = Safetensors::open(test::data_path("model.safetensors"));
  CHECK(file.tensors().size() == 7);
  CHECK(file.at("layer1.0.conv1.weight").shape == Shape{2, 3});
  CHECK(file.values<float>("layer1.0.conv1.weight") == std::vector<float>{0, 0.25f, 0.5f, 0.75f, 1, 1.25f});
  CHECK(file.at("scalar").shape == Shape{});
  CHECK(file.values<double>("scalar") == std::vector<double>{2.5});
  CHECK(file.values<std::int64_t>("steps") == std::vector<std::int64_t>{1, -(std::int64_t{1} << 62)});
  CHECK(file.values<std::uint8_t>("bytes") == std::vector<std::uint8_t>{0, 255, 7});
  CHECK(file.at("half").dtype == "F16");
  CHECK(io::load_le<std::uint16_t>(file.at("half").data.data() + 4) == 0x7bff);  // 65504, the largest half
  CHECK(file.at("empty").shape == Shape{3, 0});
  CHECK(file.at("empty").data.empty());
  CHECK(file.at("mask").dtype == "BOOL");
  CHECK(file.metadata("format") == "pt");
  CHECK(file.metadata("note") == "quotes \" and \xc3\xbc");
  CHECK_FALSE(file.metadata("none"));
  CHECK(throws_with<FormatError>([&] { file.at("layer9"); }, {"model.safetensors", "'layer9'"}));
  CHECK(throws_with<FormatError>([&] { file.values<double>("bytes"); }, {"'bytes' is U8", "expected F64"}));
}

TEST_CASE("views live as long as any copy of the file") {
  std::optional<Safetensors> copy;
  {
    const auto file = Safetensors::open(test::data_path("model.safetensors"));
    copy = file;
  }
  CHECK(copy->values<double>("scalar") == std::vector<double>{2.5});
}

TEST_CASE("what is written reads back, in the order given, and the same bytes each time") {
  const TemporaryDirectory dir;
  const std::vector<float> weight = {1, -2, 3.5f, 0, 5, 6};
  const std::vector<std::int64_t> step = {42};
  const std::vector<NamedTensor> tensors = {
      {"z.weight", io::tensor_view<float>(weight, {3, 2})},
      {"a.step", io::tensor_view<std::int64_t>(step, {})},
      {"none", io::tensor_view<float>({}, {0, 4})},
      {"name with \"quotes\" \xc3\xbc", io::tensor_view<float>(weight, {6})}};
  const io::Metadata metadata = {{"epoch", "3"}, {"args", "{\"lr\": 0.1}"}};
  io::write_safetensors(dir / "a", tensors, metadata);
  io::write_safetensors(dir / "b", tensors, metadata);
  const auto bytes = io::read_file(dir / "a");
  CHECK(bytes == io::read_file(dir / "b"));
  CHECK(io::load_le<std::uint64_t>(bytes.data()) % 8 == 0);

  const auto file = Safetensors::open(dir / "a");
  REQUIRE(file.tensors().size() == 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(file.tensors()[i].first == tensors[i].first);
  CHECK(file.values<float>("z.weight") == weight);
  CHECK(file.at("z.weight").shape == Shape{3, 2});
  CHECK(file.values<std::int64_t>("a.step") == step);
  CHECK(file.at("none").shape == Shape{0, 4});
  CHECK(file.metadata() == metadata);

  io::write_safetensors(dir / "empty", {});
  CHECK(Safetensors::open(dir / "empty").tensors().empty());
}

TEST_CASE("what cannot be a file is not written") {
  const TemporaryDirectory dir;
  const std::vector<float> one = {1};
  const auto view = io::tensor_view<float>(one, {1});
  const auto write = [&](std::vector<NamedTensor> tensors) { io::write_safetensors(dir / "a", tensors); };
  CHECK_THROWS_AS(write({{"a", view}, {"a", view}}), kfer::ValueError);
  CHECK_THROWS_AS(write({{"__metadata__", view}}), kfer::ValueError);
  CHECK_THROWS_AS(write({{"a", {"F99", {1}, view.data}}}), kfer::ValueError);
  CHECK_THROWS_AS(write({{"a", {"F32", {2}, view.data}}}), kfer::ShapeError);
  CHECK_THROWS_AS(write({{"\xff", view}}), kfer::ValueError);
  CHECK_THROWS_AS(io::tensor_view<float>(one, {2}), kfer::ShapeError);
  CHECK(dir.list().empty());
  CHECK_THROWS_AS(io::write_safetensors(dir / "none/a", {}), kfer::IoError);
  CHECK_THROWS_AS(Safetensors::open(dir / "none"), kfer::IoError);
}

TEST_CASE("the format's rules are checked one by one") {
  struct Case {
    const char* header;
    std::size_t data;
    const char* message;
  };
  const Case cases[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 8, nullptr},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   )", 8, nullptr},
      {R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
       3, nullptr},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9, "take 8 bytes of data, got 9"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7, "not within the 7"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "takes 12 bytes, got 8"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "not within"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12, "begin at byte 4"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
       3, "begin at byte 1"},
      {R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})",
       2, "begin at byte 0"},
      {R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8, "unknown dtype 'F33'"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8, "no natural number"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "no natural number"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", 8, "no natural number"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8, "no pair"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0, "64 bits"},
      {R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1, "rank 9"},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "data_offsets"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,8]}})", 8, "no shape"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8, "no dtype"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}})", 8, "members other than"},
      {R"({"a":7})", 0, "no dtype"},
      {R"({"__metadata__":{"a":1}})", 0, "metadata 'a'"},
      {R"({"__metadata__":[]})", 0, "__metadata__"},
      {R"([])", 0, "'{'"},
      {R"( {})", 0, "'{'"},
      {R"({}x)", 0, "text after"},
      {R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
       0, "a second member 'a'"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.header);
    const auto parse = [&] { Safetensors::parse(file_of(c.header, c.data), "m.safetensors"); };
    if (c.message == nullptr)
      CHECK_NOTHROW(parse());
    else
      CHECK(throws_with<FormatError>(parse, {"m.safetensors", c.message}));
  }
}

TEST_CASE("a header size is believed only as far as the file goes") {
  for (const std::uint64_t size : {std::uint64_t{1}, std::uint64_t{100'000'000}, std::uint64_t{100'000'001},
                                   std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    std::vector<std::byte> bytes(8);
    io::store_le(bytes.data(), size);
    CHECK_THROWS_AS(Safetensors::parse(bytes), FormatError);
  }
  for (std::size_t n = 0; n < 8; ++n)
    CHECK_THROWS_AS(Safetensors::parse(std::vector<std::byte>(n)), FormatError);
}

TEST_CASE("every truncation of a file of other software is found, and no flipped bit crashes the reader") {
  const auto bytes = test::data("model.safetensors");
  CHECK_FALSE(Safetensors::parse(bytes).has_checksum());
  test::damage(bytes, [&](const std::vector<std::byte>& bad) {
    if (bad.size() < bytes.size())
      REQUIRE_THROWS_AS(Safetensors::parse(bad), FormatError);
    else
      REQUIRE(test::survives([&] { Safetensors::parse(bad); }));
  });
}

namespace {

std::vector<std::byte> small_file() {
  const std::vector<float> weight = {1, -2, 3.5f, 0, 5, 6};
  const std::vector<std::uint8_t> labels = {1, 0, 1};
  const std::vector<NamedTensor> tensors = {{"fc.weight", io::tensor_view<float>(weight, {3, 2})},
                                            {"labels", io::tensor_view<std::uint8_t>(labels, {3})},
                                            {"none", io::tensor_view<float>({}, {0})}};
  const TemporaryDirectory dir;
  io::write_safetensors(dir / "a", tensors, {{"model", "conv_net"}, {"epoch", "7"}});
  return io::read_file(dir / "a");
}

}  // namespace

TEST_CASE("the checksum is the CRC-32C of the file with its digits as zeros") {
  auto bytes = small_file();
  const std::string_view text = io::as_text(bytes);
  const std::string_view place = R"({"__metadata__": {"kfer.crc32c": ")";
  REQUIRE(text.substr(8).starts_with(place));
  const std::string digits(text.substr(8 + place.size(), 8));
  CHECK(text.substr(8 + place.size() + 8).starts_with(R"(", "writer": "kfer", "model": "conv_net")"));
  for (std::size_t i = 0; i < 8; ++i) bytes[8 + place.size() + i] = std::byte{'0'};
  const auto crc = ~io::detail::crc32c_software(~0u, bytes);
  char expected[16];
  std::snprintf(expected, sizeof expected, "%08x", crc);
  CHECK(digits == expected);
  const auto file = Safetensors::parse(small_file());
  CHECK(file.has_checksum());
  CHECK(file.metadata() == io::Metadata{{"model", "conv_net"}, {"epoch", "7"}});
  CHECK(throws_with<FormatError>([&] { Safetensors::parse(bytes, "m.safetensors"); },
                                 {"m.safetensors", "damaged", digits, "stored is 00000000"}));
  for (const char* key : {"kfer.crc32c", "writer"})
    CHECK_THROWS_AS(io::safetensors_header({}, {{key, "x"}}), kfer::ValueError);
}

TEST_CASE("every truncation and every flipped bit of a file that kfer wrote is found") {
  const auto bytes = small_file();
  std::size_t found = 0;
  test::damage(bytes, [&](const std::vector<std::byte>& bad) {
    REQUIRE_THROWS_AS(Safetensors::parse(bad), FormatError);
    ++found;
  });
  CHECK(found == bytes.size() * 9);
}

TEST_CASE("bursts of up to eight bytes are found too: they cannot reach both marks") {
  const auto bytes = small_file();
  for (const std::size_t burst : {2, 4, 8})
    for (std::size_t at = 0; at + burst <= bytes.size(); ++at)
      for (const int value : {0x00, 0x20, 0x30, 0xff}) {
        auto bad = bytes;
        std::fill_n(bad.begin() + static_cast<std::ptrdiff_t>(at), burst, static_cast<std::byte>(value));
        if (bad != bytes) REQUIRE_THROWS_AS(Safetensors::parse(bad), FormatError);
      }
}

TEST_CASE("a file rewritten by other software needs no checksum, but no stale one either") {
  const std::string tensors = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  const auto parse = [&](const std::string& metadata) {
    return Safetensors::parse(file_of("{\"__metadata__\":{" + metadata + "}," + tensors, 1));
  };
  CHECK_FALSE(parse(R"("model":"conv_net")").has_checksum());
  CHECK(parse(R"("writer":"someone")").metadata("writer") == "someone");
  for (const char* stale : {R"("kfer.crc32c":"00000000")", R"("writer":"kfer")",
                            R"("writer":"kfer","kfer.crc32c":"00000000")", R"("kfer.crc32c":"")"})
    CHECK(throws_with<FormatError>([&] { parse(stale); }, {"kfer.crc32c", "rewritten by software"}));
}
