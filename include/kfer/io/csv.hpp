// Comma-separated values after RFC 4180: quoted cells, doubled quotes, LF or CRLF, the last line with or
// without an end.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/file.hpp"

namespace kfer::io {

struct CsvOptions {
  char delimiter = ',';
  bool header = true;  ///< the first line names the columns; otherwise they have numbers only
};

/// A table of text cells; every row has as many as the first line. Errors name file, line and column.
class CsvTable {
 public:
  /// Reads a whole file. Throws IoError, FormatError.
  static CsvTable open(const std::string& path, const CsvOptions& options = {}) {
    return parse(read_text(path), path, options);
  }

  /// Parses `content`; `name` is what messages call it. Throws FormatError.
  static CsvTable parse(std::string_view content, std::string name = "csv", const CsvOptions& options = {}) {
    CsvTable table;
    table.name_ = std::move(name);
    if (content.starts_with("\xef\xbb\xbf")) content.remove_prefix(3);
    std::vector<std::string> row;
    bool first = true;
    for (std::size_t line = 1; !content.empty();) {
      const auto start = line;
      table.parse_row(content, options.delimiter, line, row);
      if (first) table.columns_ = row.size();
      require<FormatError>(row.size() == table.columns_, "'", table.name_, "', line ", start, ": ",
                           row.size(), " columns, expected ", table.columns_);
      if (first && options.header)
        table.header_ = row;
      else
        table.add(row, start);
      first = false;
    }
    require<FormatError>(!first || !options.header, "'", table.name_, "': empty, expected a header line");
    return table;
  }

  const std::string& name() const { return name_; }
  /// Rows below the header.
  std::size_t size() const { return lines_.size(); }
  std::size_t columns() const { return columns_; }
  const std::vector<std::string>& header() const { return header_; }

  /// The number of the column called `title`. Throws FormatError if there is none or are several.
  std::size_t column(std::string_view title) const {
    const auto count = std::count(header_.begin(), header_.end(), title);
    require<FormatError>(count == 1, "'", name_, "': ", count, " columns are called '", title,
                         "', expected one");
    return static_cast<std::size_t>(std::find(header_.begin(), header_.end(), title) - header_.begin());
  }

  /// The cell's text. Throws ValueError outside of the table.
  std::string_view cell(std::size_t row, std::size_t column) const {
    require<ValueError>(row < size() && column < columns_, "'", name_, "' has ", size(), " rows of ",
                        columns_, " columns, row ", row, ", column ", column, " was asked for");
    const auto i = row * columns_ + column;
    const auto begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  /// The cell as an integer or a finite number, all of it. Throws FormatError.
  std::int64_t as_int(std::size_t row, std::size_t column) const {
    return number<std::int64_t>(row, column, "an integer");
  }
  double as_double(std::size_t row, std::size_t column) const {
    const auto value = number<double>(row, column, "a number");
    if (!std::isfinite(value)) fail(row, column, "a finite number");
    return value;
  }
  /// Where the row begins in the file, from 1.
  std::size_t line(std::size_t row) const { return lines_.at(row); }

 private:
  void parse_row(std::string_view& content, char delimiter, std::size_t& line,
                 std::vector<std::string>& row) const {
    const auto check = [&](bool ok, std::string_view problem) {
      require<FormatError>(ok, "'", name_, "', line ", line, ", column ", row.size() + 1, ": ", problem);
    };
    const auto end_of_line = [&]() -> std::size_t {
      return content.starts_with('\n') ? 1 : content.starts_with("\r\n") ? 2 : 0;
    };
    row.clear();
    for (;;) {
      std::string cell;
      if (content.starts_with('"')) {
        content.remove_prefix(1);
        const auto opened = line;
        for (;;) {
          const auto quote = content.find('"');
          if (quote == std::string_view::npos) line = opened, check(false, "a quote that is never closed");
          cell += content.substr(0, quote);
          line += static_cast<std::size_t>(std::count(content.begin(), content.begin() + quote, '\n'));
          content.remove_prefix(quote + 1);
          if (!content.starts_with('"')) break;
          cell += '"';
          content.remove_prefix(1);
        }
      } else {
        const char stops[] = {delimiter, '\n', '\r', '"'};
        const auto stop = std::min(content.find_first_of(std::string_view(stops, 4)), content.size());
        cell = content.substr(0, stop);
        content.remove_prefix(stop);
        check(!content.starts_with('"'), "a quote within a cell that does not begin with one");
      }
      row.push_back(std::move(cell));
      if (content.starts_with(delimiter)) {
        content.remove_prefix(1);
        continue;
      }
      const auto n = end_of_line();
      check(n > 0 || content.empty(), "expected a delimiter or the end of the line");
      content.remove_prefix(n);
      ++line;
      return;
    }
  }

  void add(const std::vector<std::string>& row, std::size_t line) {
    for (const auto& cell : row) {
      text_ += cell;
      ends_.push_back(text_.size());
    }
    lines_.push_back(line);
  }

  [[noreturn]] void fail(std::size_t row, std::size_t column, std::string_view wanted) const {
    std::string title = text(column + 1);
    if (!header_.empty()) title += text(" (", header_[column], ')');
    throw FormatError(text("'", name_, "', line ", line(row), ", column ", title, ": expected ", wanted,
                           ", got '", cell(row, column).substr(0, 60), "'"));
  }

  template <class T>
  T number(std::size_t row, std::size_t column, std::string_view wanted) const {
    const auto digits = cell(row, column);
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail(row, column, wanted);
    return value;
  }

  std::string name_, text_;
  std::vector<std::string> header_;
  std::vector<std::size_t> ends_, lines_;
  std::size_t columns_ = 0;
};

/// One line of a CSV file, with its LF: cells that need it are quoted.
inline std::string csv_row(std::span<const std::string> cells) {
  std::string out;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (i > 0) out += ',';
    const auto& cell = cells[i];
    if (cell.find_first_of(",\"\r\n") == std::string::npos && !(cell.empty() && cells.size() == 1)) {
      out += cell;
      continue;
    }
    out += '"';
    for (const char c : cell) out.append(c == '"' ? 2 : 1, c);
    out += '"';
  }
  return out += '\n';
}

/// The same from anything that `text` prints: csv_row(epoch, loss, "note").
template <class... Cells>
requires(sizeof...(Cells) > 0) std::string csv_row_of(const Cells&... cells) {
  const std::string row[] = {text(cells)...};
  return csv_row(row);
}

}  // namespace kfer::io
