#include "kfer/io/tf_example.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "io/support.hpp"
#include "kfer/io/tfrecord.hpp"

namespace io = kfer::io;
using io::TfExample;
using kfer::FormatError;
using test::throws_with;

namespace {

io::Bytes raw(std::string_view text) {
  return io::as_bytes(text);
}
using std::string_view_literals::operator""sv;

}  // namespace

TEST_CASE("what TensorFlow serialised is decoded, and encoded again byte for byte") {
  const io::TfRecordReader records(test::data_path("examples.tfrecords"));
  const char* images[] = {"rgb.png", "rgb.jpg", "gray.png"};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto record = records.read(i);
    const auto example = TfExample::parse(record);
    CHECK(example.int64("height") == 13);
    CHECK(example.int64("width") == 17);
    CHECK(example.int64("depth") == 3);
    std::vector<std::int64_t> label(6, 0);
    label[i] = label[5] = 1;
    const auto got = example.int64_list("label");
    CHECK(std::vector(got.begin(), got.end()) == label);
    const auto image = example.bytes("image_raw"), expected = io::Bytes(test::data(images[i]));
    CHECK(io::as_text(image) == io::as_text(test::data(images[i])));
    CHECK(image.data() >= record.data());  // a view, not a copy
    CHECK(image.data() + image.size() <= record.data() + record.size());
    CHECK(expected.size() == image.size());
    CHECK(example.encode() == record);
  }
  const auto record = records.read(3);
  const auto example = TfExample::parse(record);
  const auto ints = example.int64_list("negative");
  CHECK(std::vector(ints.begin(), ints.end()) ==
        std::vector<std::int64_t>{-1, std::numeric_limits<std::int64_t>::min(),
                                  std::numeric_limits<std::int64_t>::max(), 0, 300});
  const auto floats = example.float_list("floats");
  REQUIRE(floats.size() == 4);
  CHECK(floats[0] == 1.5f);
  CHECK((floats[1] == 0 && std::signbit(floats[1])));
  CHECK((std::isinf(floats[2]) && floats[2] > 0));
  CHECK(floats[3] == std::numeric_limits<float>::denorm_min());
  const auto names = example.bytes_list("names");
  REQUIRE(names.size() == 3);
  CHECK(names[0].empty());
  CHECK(io::as_text(names[1]) == "a");
  CHECK(names[2].size() == 256);
  CHECK(example.int64_list("empty").empty());
  CHECK(example.contains("nothing"));
  CHECK_THROWS_AS(example.int64_list("nothing"), FormatError);
  CHECK(example.encode() == record);
  CHECK(TfExample::parse(records.read(4)).features().empty());
}

TEST_CASE("an example is built, encoded, and decoded") {
  const std::string text = "pixels";
  TfExample example;
  example.set_int64("height", 64);
  example.set_int64("height", 65);
  example.set_bytes("image", raw(text));
  example.set_float32("x", 0.5f);
  example.set("label", TfExample::Int64List{1, 0, -1});
  const auto bytes = example.encode();
  const auto back = TfExample::parse(bytes);
  CHECK(back.int64("height") == 65);
  CHECK(io::as_text(back.bytes("image")) == text);
  CHECK(back.float32("x") == 0.5f);
  CHECK(back.int64_list("label")[2] == -1);
  CHECK(back.features().size() == 4);
}

TEST_CASE("errors name the feature") {
  TfExample example;
  example.set_int64("height", 64);
  example.set("label", TfExample::Int64List{1, 2});
  CHECK(throws_with<FormatError>([&] { example.int64("width"); }, {"'width'", "present: height, label"}));
  CHECK(throws_with<FormatError>([&] { example.bytes("height"); },
                                 {"'height' holds int64s", "expected bytes"}));
  CHECK(
      throws_with<FormatError>([&] { example.int64("label"); }, {"'label' holds 2 values", "expected one"}));
}

TEST_CASE("the wire format's freedoms: unpacked, in parts, unknown fields, the last of a name") {
  // "a": int64 1, not packed; then 2 and 3 packed in a second list.
  const auto unpacked =
      TfExample::parse(raw("\x0a\x12\x0a\x10\x0a\x01"
                           "a"
                           "\x12\x0b\x1a\x02\x08\x01\x1a\x05\x08\x02\x0a\x01\x03"sv));
  const auto list = unpacked.int64_list("a");
  CHECK(std::vector(list.begin(), list.end()) == std::vector<std::int64_t>{1, 2, 3});

  const auto floats =
      TfExample::parse(raw("\x0a\x0e\x0a\x0c\x0a\x01"
                           "a"
                           "\x12\x07\x12\x05\x0d\x00\x00\x80\x3f"sv));
  CHECK(floats.float32("a") == 1.0f);

  // A float list, then an int64 list in the same feature: the last kind counts.
  const auto oneof =
      TfExample::parse(raw("\x0a\x12\x0a\x10\x0a\x01"
                           "a"
                           "\x12\x0b\x12\x05\x0d\x00\x00\x80\x3f\x1a\x02\x08\x07"sv));
  CHECK(oneof.int64("a") == 7);

  // Twice "a" (1, then 2), around unknown fields of every wire type in the example.
  const auto twice =
      TfExample::parse(raw("\x10\x96\x01"                          // field 2: varint 150
                           "\x19\x01\x02\x03\x04\x05\x06\x07\x08"  // field 3: fixed64
                           "\x22\x02hi"                            // field 4: bytes
                           "\x2d\x01\x02\x03\x04"                  // field 5: fixed32
                           "\x33\x3b\x08\x01\x3c\x34"              // field 6: a group with a group in it
                           "\x0a\x0b\x0a\x09\x0a\x01"
                           "a"
                           "\x12\x04\x1a\x02\x08\x01"
                           "\x0a\x0b\x0a\x09\x0a\x01"
                           "a"
                           "\x12\x04\x1a\x02\x08\x02"sv));
  CHECK(twice.features().size() == 1);
  CHECK(twice.int64("a") == 2);
}

TEST_CASE("malformed messages are FormatErrors") {
  for (const auto bad :
       {"\x0a"sv, "\x0a\x05"sv, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"sv,
        "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"sv, "\x00"sv, "\x0e"sv, "\x0c"sv, "\x13"sv,
        "\x13\x1c"sv, "\x08\x01"sv, "\x0a\x02\x08\x01"sv, "\x11\x01"sv, "\x15\x01"sv,
        "\x0a\x0c\x0a\x0a\x0a\x01"
        "a"
        "\x12\x05\x12\x03\x0a\x01\x00"sv})
    CHECK_THROWS_AS(TfExample::parse(raw(bad)), FormatError);
  CHECK_THROWS_AS(TfExample::parse(raw(std::string(200, '\x13'))), FormatError);  // groups without end
  std::string nested(100000, '\x13');
  nested.append(100000, '\x14');
  CHECK(throws_with<FormatError>([&] { TfExample::parse(raw(nested)); }, {"nested too deeply"}));
}

TEST_CASE("no truncation and no flipped bit crashes the parser") {
  const auto record = io::TfRecordReader(test::data_path("examples.tfrecords")).read(3);
  test::damage(record, [](const std::vector<std::byte>& bad) {
    REQUIRE(test::survives([&] {
      const auto example = TfExample::parse(bad);
      const auto again = example.encode();
      REQUIRE(TfExample::parse(again).encode() == again);
    }));
  });
}
