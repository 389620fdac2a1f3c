// A table that is printed for people, or written as CSV or JSON.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/io/csv.hpp"
#include "kfer/io/json.hpp"

namespace inspect {

using kfer::io::Json;

struct Table {
  std::string name;   ///< as a JSON member and a CSV file's stem
  std::string title;  ///< for people; empty: not printed for them
  std::vector<std::string> columns;
  std::vector<std::vector<Json>> rows;  ///< as wide as `columns`
  std::size_t columns_for_people = 99;  ///< print only the first so many
};

/// File names and the like may hold anything: control characters and what is no UTF-8 become \xNN.
inline std::string printable(std::string_view raw) {
  std::string out;
  while (!raw.empty()) {
    const auto n = kfer::io::detail::utf8_sequence(raw);
    const auto byte = static_cast<unsigned char>(raw[0]);
    if (n == 0 || byte < 0x20 || byte == 0x7f) {
      constexpr char digits[] = "0123456789abcdef";
      ((out += "\\x") += digits[byte >> 4]) += digits[byte & 15];
      raw.remove_prefix(1);
    } else {
      out += raw.substr(0, n);
      raw.remove_prefix(n);
    }
  }
  return out;
}

/// A cell without quotes; nothing for null.
inline std::string cell_text(const Json& cell) {
  if (cell.is_null()) return {};
  return cell.is_string() ? cell.as_string() : kfer::io::to_string(cell);
}

/// Aligned columns under the title: text to the left, numbers to the right; at most `limit` rows (0: all).
inline std::string to_text(const Table& table, std::size_t limit = 0) {
  const auto shown = limit == 0 ? table.rows.size() : std::min(limit, table.rows.size());
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < std::min(table.columns.size(), table.columns_for_people); ++c) {
    widths.push_back(table.columns[c].size());
    for (std::size_t r = 0; r < shown; ++r)
      widths[c] = std::max(widths[c], cell_text(table.rows[r][c]).size());
  }
  std::string out = kfer::text("\n  ", table.title, '\n');
  const auto line = [&](const auto& cell, const auto& is_text) {
    std::string row;
    for (std::size_t c = 0; c < widths.size(); ++c) {
      const std::string content = cell(c), fill(widths[c] - content.size(), ' ');
      row += "  " + (is_text(c) ? content + fill : fill + content);
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += "  " + row + '\n';
  };
  const auto text_column = [&](std::size_t c) { return !table.rows.empty() && table.rows[0][c].is_string(); };
  line([&](std::size_t c) { return table.columns[c]; }, text_column);
  for (std::size_t r = 0; r < shown; ++r)
    line([&](std::size_t c) { return cell_text(table.rows[r][c]); }, text_column);
  if (shown < table.rows.size()) out += kfer::text("    ... and ", table.rows.size() - shown, " more rows\n");
  return out;
}

/// An array of objects.
inline Json to_json(const Table& table) {
  Json out = Json::array();
  for (const auto& row : table.rows) {
    Json::Object members;
    for (std::size_t c = 0; c < row.size(); ++c) members.emplace_back(table.columns[c], row[c]);
    out.push_back(std::move(members));
  }
  return out;
}

/// CSV lines, each led by `set`.
inline std::string to_csv(const Table& table, std::string_view set, bool with_header) {
  std::string out;
  std::vector<std::string> cells{"set"};
  cells.insert(cells.end(), table.columns.begin(), table.columns.end());
  if (with_header) out += kfer::io::csv_row(cells);
  for (const auto& row : table.rows) {
    cells.assign(1, std::string(set));
    for (const auto& cell : row) cells.push_back(cell_text(cell));
    out += kfer::io::csv_row(cells);
  }
  return out;
}

}  // namespace inspect
