#include "kfer/io/csv.hpp"

#include <doctest/doctest.h>

#include "io/support.hpp"

namespace io = kfer::io;
using io::CsvTable;
using kfer::FormatError;
using test::throws_with;

TEST_CASE("cells: plain, empty, quoted, with delimiters, line ends and quotes within") {
  const auto table = CsvTable::parse(
      "img_id,clip,note\r\n03_1,5,plain\n\"a,b\",,\"say \"\"hi\"\"\"\n\"two\r\nlines\",7,\"\"");
  CHECK(table.columns() == 3);
  CHECK(table.size() == 3);
  CHECK(table.header() == std::vector<std::string>{"img_id", "clip", "note"});
  CHECK(table.column("note") == 2);
  CHECK(table.cell(0, 0) == "03_1");
  CHECK(table.as_int(0, 1) == 5);
  CHECK(table.cell(1, 0) == "a,b");
  CHECK(table.cell(1, 1) == "");
  CHECK(table.cell(1, 2) == "say \"hi\"");
  CHECK(table.cell(2, 0) == "two\r\nlines");
  CHECK(table.as_double(2, 1) == 7);
  CHECK(table.cell(2, 2) == "");
  CHECK(table.line(2) == 4);
}

TEST_CASE("ends: with and without a last line end, a byte order mark, one column, no rows") {
  for (const char* text : {"a,b\n1,2", "a,b\n1,2\n", "a,b\r\n1,2\r\n",
                           "\xef\xbb\xbf"
                           "a,b\n1,2\n"}) {
    const auto table = CsvTable::parse(text);
    CHECK(table.size() == 1);
    CHECK(table.column("a") == 0);
    CHECK(table.cell(0, 1) == "2");
  }
  CHECK(CsvTable::parse("a,b\n").size() == 0);
  CHECK(CsvTable::parse("a\n\nx\n").size() == 2);
  CHECK(CsvTable::parse("a,b\n1,\n").cell(0, 1) == "");
  CHECK(CsvTable::parse("", "x", {.header = false}).size() == 0);
}

TEST_CASE("another delimiter, and no header") {
  const auto table =
      CsvTable::parse("train_00001.jpg 5\ntrain_00002.jpg 7\n", "list", {.delimiter = ' ', .header = false});
  CHECK(table.size() == 2);
  CHECK(table.cell(1, 0) == "train_00002.jpg");
  CHECK(table.as_int(0, 1) == 5);
}

TEST_CASE("errors name file, line and column") {
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n1,2\n3\n", "l.csv"); },
                                 {"l.csv", "line 3", "1 columns", "expected 2"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n\"x\n\ny\",2\n3,4,5\n", "l.csv"); },
                                 {"line 5", "3 columns"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n1,\"x\n", "l.csv"); },
                                 {"line 2, column 2", "never closed"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n1,x\"y\n", "l.csv"); },
                                 {"line 2, column 2", "quote"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n\"1\"x,2\n", "l.csv"); },
                                 {"line 2", "expected a delimiter"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("a,b\n1,x\ry\n", "l.csv"); },
                                 {"line 2", "expected a delimiter"}));
  CHECK(throws_with<FormatError>([] { CsvTable::parse("", "l.csv"); }, {"l.csv", "empty"}));
  const auto table = CsvTable::parse("a,b,a\n1,x,9\n2.5,,inf\n", "l.csv");
  CHECK(throws_with<FormatError>([&] { table.as_int(0, 1); },
                                 {"l.csv", "line 2", "column 2 (b)", "an integer", "'x'"}));
  CHECK(throws_with<FormatError>([&] { table.as_int(1, 0); }, {"line 3", "'2.5'"}));
  CHECK(throws_with<FormatError>([&] { table.as_double(1, 1); }, {"line 3", "a number"}));
  CHECK(throws_with<FormatError>([&] { table.as_double(1, 2); }, {"line 3", "a finite number"}));
  CHECK(throws_with<FormatError>([&] { table.column("z"); }, {"l.csv", "0 columns", "'z'"}));
  CHECK(throws_with<FormatError>([&] { table.column("a"); }, {"l.csv", "2 columns", "'a'"}));
  CHECK_THROWS_AS(table.cell(2, 0), kfer::ValueError);
  CHECK_THROWS_AS(table.cell(0, 3), kfer::ValueError);
  CHECK_THROWS_AS(CsvTable::open("/none/l.csv"), kfer::IoError);
}

TEST_CASE("rows written are rows read") {
  const std::vector<std::vector<std::string>> rows = {
      {"a", "b,c", ""}, {"say \"hi\"", "two\nlines", "cr\r"}, {" space ", "\"", "\",\""}};
  std::string text;
  for (const auto& row : rows) text += io::csv_row(row);
  const auto table = CsvTable::parse(text, "w", {.header = false});
  REQUIRE(table.size() == rows.size());
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t c = 0; c < 3; ++c) CHECK(table.cell(r, c) == rows[r][c]);
  CHECK(io::csv_row_of("epoch", 3, 0.25, true) == "epoch,3,0.25,true\n");
  CHECK(CsvTable::parse(io::csv_row_of(""), "w", {.header = false}).size() == 1);
}

TEST_CASE("no truncation and no flipped bit crashes the reader") {
  const std::string_view text = "a,b\r\n\"x\"\"y\",1\n2,\"z\nw\"\n";
  const auto bytes = io::as_bytes(text);
  test::damage({bytes.begin(), bytes.end()}, [](const std::vector<std::byte>& bad) {
    REQUIRE(test::survives([&] { CsvTable::parse(io::as_text(bad)); }));
  });
}
