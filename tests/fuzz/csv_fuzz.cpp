// CSV: what is accepted must be written as rows that read back the same.
#include "fuzz.hpp"
#include "kfer/io/csv.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kfer::io;
  const auto content = as_text(fuzz::bytes(data, size));
  fuzz::run([&] { CsvTable::parse(content, "csv", {.delimiter = ' ', .header = true}); });
  fuzz::run([&] {
    const auto table = CsvTable::parse(content, "csv", {.header = false});
    std::string text;
    for (std::size_t r = 0; r < table.size(); ++r) {
      std::vector<std::string> row;
      for (std::size_t c = 0; c < table.columns(); ++c) row.emplace_back(table.cell(r, c));
      text += csv_row(row);
    }
    if (text.starts_with("\xef\xbb\xbf")) return;  // a mark that the next reader would take off
    try {
      const auto again = CsvTable::parse(text, "csv", {.header = false});
      fuzz::check(again.size() == table.size() && again.columns() == table.columns());
      for (std::size_t r = 0; r < table.size(); ++r)
        for (std::size_t c = 0; c < table.columns(); ++c) fuzz::check(again.cell(r, c) == table.cell(r, c));
    } catch (const kfer::Error&) {
      fuzz::check(false);
    }
  });
  return 0;
}
