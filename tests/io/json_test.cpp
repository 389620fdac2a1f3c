#include "kfer/io/json.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "io/support.hpp"

namespace io = kfer::io;
using io::Json;
using io::parse_json;
using kfer::FormatError;
using test::throws_with;

TEST_CASE("values are parsed") {
  const auto json = parse_json(R"( { "a" : [ 1, -2.5e3, true, false, null, "x" ], "b": {}, "c": [] } )");
  const auto& a = json.at("a").as_array();
  REQUIRE(a.size() == 6);
  CHECK(a[0].as_int() == 1);
  CHECK(a[1].as_double() == -2500);
  CHECK(a[2].as_bool());
  CHECK_FALSE(a[3].as_bool());
  CHECK(a[4].is_null());
  CHECK(a[5].as_string() == "x");
  CHECK(json.at("b").as_object().empty());
  CHECK(json.find("z") == nullptr);
  CHECK(throws_with<FormatError>([&] { json.at("z"); }, {"'z'"}));
  CHECK(throws_with<FormatError>([&] { json.at("a").as_int(); }, {"an integer", "an array"}));
  CHECK(a[0].as_double() == 1);
  CHECK_THROWS_AS(a[1].as_int(), FormatError);
}

TEST_CASE("numbers keep what they can") {
  CHECK(parse_json("9223372036854775807").as_int() == std::numeric_limits<std::int64_t>::max());
  CHECK(parse_json("-9223372036854775808").as_int() == std::numeric_limits<std::int64_t>::min());
  CHECK(parse_json("9223372036854775808").as_double() == 9223372036854775808.0);
  CHECK(parse_json("1E2").as_double() == 100);
  CHECK(parse_json("0.1").as_double() == 0.1);
  CHECK(std::signbit(parse_json("-0").as_double()));
  for (const char* bad :
       {"01", "+1", "1.", ".5", "1e", "1e+", "-", "0x1", "1e999", "NaN", "Infinity", "1 2", "--1"})
    CHECK_THROWS_AS(parse_json(bad), FormatError);
}

TEST_CASE("strings: escapes, UTF-8, and what is neither") {
  CHECK(parse_json(R"("\"\\\/\b\f\n\r\t")").as_string() == "\"\\/\b\f\n\r\t");
  CHECK(parse_json(R"("\u0041\u00fc\u20ac\ud83d\ude00\u0000")").as_string() ==
        std::string("A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\0", 11));
  CHECK(parse_json("\"\xed\x95\x9c\xea\xb5\xad\"").as_string() == "\xed\x95\x9c\xea\xb5\xad");
  for (const char* bad : {"\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83d\"",
                          "\"\\ud83d\\u0041\"", "\"\\ude00\"", "\"\n\"", "\"\x80\"", "\"\xc0\x80\"",
                          "\"\xc3\"", "\"\xe0\x80\x80\"", "\"\xed\xa0\x80\"", "\"\xf0\x80\x80\x80\"",
                          "\"\xf4\x90\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "'a'"})
    CHECK_THROWS_AS(parse_json(bad), FormatError);
}

TEST_CASE("what RFC 8259 does not allow is refused, with the byte") {
  for (const char* bad : {"",
                          " ",
                          "[1,]",
                          "[,1]",
                          "[1 2]",
                          "{\"a\":1,}",
                          "{\"a\" 1}",
                          "{a:1}",
                          "{\"a\":}",
                          "[",
                          "{",
                          "]",
                          "{\"a\"",
                          "tru",
                          "nul",
                          "truex",
                          "[1]x",
                          "//c\n1",
                          "\xef\xbb\xbf"
                          "1",
                          "{1:2}"})
    CHECK_THROWS_AS(parse_json(bad), FormatError);
  CHECK(throws_with<FormatError>([] { parse_json("[1, x]", "a.json"); }, {"a.json", "byte 4"}));
  CHECK(throws_with<FormatError>([] { parse_json(R"({"a":1,"b":2,"a":3})"); },
                                 {"byte 13", "a second member 'a'"}));
  CHECK_THROWS_AS(parse_json(std::string_view("1\0", 2)), FormatError);
}

TEST_CASE("nesting is bounded") {
  const auto nested = [](int n) { return std::string(n, '[') + std::string(n, ']'); };
  CHECK(parse_json(nested(64)).is_array());
  CHECK(throws_with<FormatError>([&] { parse_json(nested(65)); }, {"too deeply"}));
  CHECK_THROWS_AS(parse_json(std::string(1000000, '[')), FormatError);
  CHECK_THROWS_AS(parse_json(std::string(1000000, '{')), FormatError);
}

TEST_CASE("what is written reads back the same") {
  Json json;
  json["int"] = -5;
  json["max"] = std::numeric_limits<std::int64_t>::max();
  json["third"] = 1.0 / 3;
  json["whole"] = 2.0;
  json["tiny"] = 5e-324;
  json["text"] = std::string("quote \" backslash \\ line\nnull\0 bell\a \xc3\xbc", 39);
  json["list"].push_back(true);
  json["list"].push_back(nullptr);
  json["list"].push_back(Json::object());
  json["empty"] = Json::array();
  for (const int indent : {0, 2}) {
    const auto text = to_string(json, indent);
    CHECK(parse_json(text) == json);
    CHECK(to_string(parse_json(text), indent) == text);
  }
  CHECK(to_string(json.at("whole")) == "2.0");
  CHECK(to_string(json.at("text")).find("\\u0000 bell\\u0007") != std::string::npos);
  CHECK(to_string(Json(std::numeric_limits<double>::quiet_NaN())) == "null");
  CHECK(to_string(Json(std::numeric_limits<double>::infinity())) == "null");
  CHECK_THROWS_AS(to_string(Json("\xff")), kfer::ValueError);
  CHECK_THROWS_AS(Json(~std::uint64_t{0}), kfer::ValueError);
  Json pretty;
  pretty["a"].push_back(1);
  CHECK(to_string(pretty, 2) == "{\n  \"a\": [\n    1\n  ]\n}");
  CHECK(to_string(pretty) == "{\"a\": [1]}");
}

TEST_CASE("no truncation and no flipped bit crashes the parser; what it accepts it can write") {
  const std::string text = R"({"a": [1, -2.5e3, true, null, "\u00fc\n\ud83d\ude00"], "b": {"c": {}}})";
  const auto bytes = io::as_bytes(text);
  test::damage({bytes.begin(), bytes.end()}, [](const std::vector<std::byte>& bad) {
    REQUIRE(test::survives([&] {
      const auto json = parse_json(io::as_text(bad));
      REQUIRE(parse_json(to_string(json)) == json);
    }));
  });
}
