// Tables: figures by row and column, pairs of names and values, and heat maps, which are tables too, so that
// every cell can be read aloud, copied and searched.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kfer/train/report/contents.hpp"
#include "kfer/train/report/html.hpp"

namespace kfer::report {

/// Lets wide content scroll by itself, by keyboard too, instead of widening the page.
inline Html scrolling(std::string_view name, const Html& content) {
  return Html("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\""_html, name, "\">"_html,
              content, "</div>\n"_html);
}

/// A row of column headings.
inline Html table_head(const std::vector<std::string>& names) {
  Html head("<thead><tr>"_html);
  for (const auto& name : names) head.add("<th scope=\"col\">"_html, name, "</th>"_html);
  return head.add("</tr></thead>"_html);
}

/// Names with values.
inline Html pairs_table(std::string_view name, const ReportFacts& pairs) {
  Html table("<table class=\"pairs\"><tbody>"_html);
  for (const auto& [key, value] : pairs)
    table.add("<tr><th scope=\"row\">"_html, key, "</th><td>"_html, value, "</td></tr>"_html);
  return scrolling(name, table.add("</tbody></table>"_html));
}

/// Throws ShapeError unless every row has one cell a column.
inline Html comparison_table(const ReportComparison& comparison) {
  std::vector<std::string> names{""};
  for (const auto& column : comparison.columns) names.push_back(column.name);
  Html table("<table>"_html, table_head(names), "<tbody>"_html);
  for (const auto& row : comparison.rows) {
    require<ShapeError>(row.cells.size() == comparison.columns.size(), "report: the row '", row.name,
                        "' of table '", comparison.title, "' has ", row.cells.size(), " cells, the table ",
                        comparison.columns.size(), " columns");
    table.add("<tr><th scope=\"row\">"_html, row.name, "</th>"_html);
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const auto& column = comparison.columns[i];
      table.add("<td>"_html,
                row.cells[i] ? fixed(*row.cells[i], column.decimals, column.is_signed) : "\u2013",
                "</td>"_html);
    }
    table.add("</tr>"_html);
  }
  Html out("<div><h3>"_html, comparison.title, "</h3>"_html);
  if (!comparison.note.empty()) out.add("<p class=\"note\">"_html, comparison.note, "</p>"_html);
  return out.add(scrolling(comparison.title, table.add("</tbody></table>"_html)), "</div>"_html);
}

/// A cell of a heat map.
struct HeatCell {
  std::string value;        ///< what is written in it; a dot if the share is 0
  double share;             ///< 0 to 1: its colour
  std::string tip = "";     ///< a sentence shown under the pointer
  std::string detail = "";  ///< a second, smaller line
};

/// A square table of counts, coloured by their share of something.
struct HeatMap {
  std::string title;
  std::string row_kind, column_kind;  ///< what rows and columns are: "true", "predicted"
  std::string share_kind;             ///< of what the colour is the share
  std::vector<std::string> names;
  std::vector<HeatCell> cells;      ///< row by row
  std::vector<std::string> totals;  ///< of the rows; empty: no such column
};

/// The heat map and the scale of its colours.
inline Html heat_map(const HeatMap& map) {
  constexpr int shades = 9;
  const std::size_t n = map.names.size();
  const bool large = n <= 8;
  Html table(large ? "<table class=\"heat large\">"_html : "<table class=\"heat\">"_html,
             "<thead><tr><th scope=\"col\">"_html, map.row_kind, " \u2193 \u00a0", map.column_kind,
             " \u2192</th>"_html);
  for (const auto& name : map.names)
    table.add(large ? "<th scope=\"col\"><div>"_html : "<th scope=\"col\" class=\"turned\"><div>"_html, name,
              "</div></th>"_html);
  if (!map.totals.empty()) table.add("<th scope=\"col\" class=\"total\">all</th>"_html);
  table.add("</tr></thead><tbody>"_html);
  for (std::size_t i = 0; i < n; ++i) {
    table.add("<tr><th scope=\"row\">"_html, map.names[i], "</th>"_html);
    for (std::size_t j = 0; j < n; ++j) {
      const auto& cell = map.cells[i * n + j];
      const double share = std::isfinite(cell.share) ? std::clamp(cell.share, 0.0, 1.0) : 0;
      table.add("<td class=\"h"_html, static_cast<int>(std::lround(share * (shades - 1))),
                share == 0 ? " none" : "", i == j ? " same" : "", "\" title=\""_html, cell.tip, "\">"_html,
                share == 0 ? "\u00b7" : cell.value);
      if (!cell.detail.empty()) table.add("<small>"_html, cell.detail, "</small>"_html);
      table.add("</td>"_html);
    }
    if (!map.totals.empty()) table.add("<td class=\"total\">"_html, map.totals[i], "</td>"_html);
    table.add("</tr>"_html);
  }
  Html out("<div class=\"scale\">0\u00a0% <span aria-hidden=\"true\">"_html);
  for (int s = 0; s < shades; ++s) out.add("<i class=\"h"_html, s, "\"></i>"_html);
  out.add("</span> 100\u00a0% "_html, map.share_kind, "</div>"_html);
  return out.add(scrolling(map.title, table.add("</tbody></table>"_html)));
}

}  // namespace kfer::report
