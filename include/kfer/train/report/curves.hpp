// The history of a run as charts: each column beside its "val_" twin, and the table behind them.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kfer/train/progress.hpp"
#include "kfer/train/report/contents.hpp"
#include "kfer/train/report/line_chart.hpp"
#include "kfer/train/report/tables.hpp"

namespace kfer::report {

/// The epoch to mark, from 1: the run's best, or that of the lowest finite "val_loss"; 0: none.
inline std::int64_t best_epoch(const RunReport& run) {
  const auto& history = run.history;
  if (run.best_epoch > 0) return run.best_epoch;
  const auto& columns = history.columns();
  const auto at = std::find(columns.begin(), columns.end(), "val_loss") - columns.begin();
  if (static_cast<std::size_t>(at) == columns.size()) return 0;
  std::int64_t best = 0;
  for (std::size_t i = 0; i < history.size(); ++i) {
    const double value = history.rows()[i][static_cast<std::size_t>(at)];
    if (std::isfinite(value) &&
        (best == 0 ||
         value < history.rows()[static_cast<std::size_t>(best - 1)][static_cast<std::size_t>(at)]))
      best = static_cast<std::int64_t>(i) + 1;
  }
  return best;
}

/// A chart for each metric, "x" and "val_x" in one, the loss first and the learning rate last.
inline Html curves(const RunReport& run) {
  const auto& history = run.history;
  if (history.size() == 0) return {};
  const auto best = best_epoch(run);
  std::vector<LineChart> charts;
  for (std::size_t c = 0; c < history.columns().size(); ++c) {
    const std::string& name = history.columns()[c];
    if (name == "epoch") continue;  // it would be its own axis
    Series series{name, {}};
    for (std::size_t i = 0; i < history.size(); ++i)
      series.points.emplace_back(static_cast<double>(i + 1), history.rows()[i][c]);
    const std::string metric = name.starts_with("val_") ? name.substr(4) : name;
    auto chart = std::find_if(charts.begin(), charts.end(), [&](const auto& x) { return x.title == metric; });
    if (chart == charts.end()) {
      chart =
          charts.insert(charts.end(), {.title = metric, .x_name = "epoch", .series = {}, .whole_x = true});
      if (best > 0) {
        chart->mark = static_cast<double>(best);
        chart->mark_name = text("best epoch ", best);
      }
    }
    chart->series.push_back(std::move(series));
  }
  std::stable_partition(charts.begin(), charts.end(), [](const auto& x) { return x.title != "lr"; });
  Html out("<div class=\"two\">"_html);
  for (auto& chart : charts) {
    if (chart.series.size() == 1) chart.title = chart.series[0].name;
    if (chart.title == "lr") chart.title = "learning rate";
    out.add(line_chart(chart));
  }
  out.add("</div>"_html);

  // The table behind the charts; of a long run every k-th epoch, and the best.
  constexpr std::size_t most = 200;
  const std::size_t stride = (history.size() + most - 1) / most;
  std::vector<std::string> names{"epoch"};
  for (const auto& name : history.columns())
    if (name != "epoch") names.push_back(name);
  Html table("<table>"_html, table_head(names), "<tbody>"_html);
  for (std::size_t i = 0; i < history.size(); ++i) {
    const bool is_best = static_cast<std::int64_t>(i) + 1 == best;
    if (i % stride != 0 && i + 1 != history.size() && !is_best) continue;
    table.add("<tr><th scope=\"row\">"_html, i + 1, is_best ? " (best)" : "", "</th>"_html);
    for (std::size_t c = 0; c < history.columns().size(); ++c)
      if (history.columns()[c] != "epoch")
        table.add("<td>"_html, format_number(history.rows()[i][c], 6), "</td>"_html);
    table.add("</tr>"_html);
  }
  out.add("<details><summary>Values"_html);
  if (stride > 1) out.add(" of every ", stride, stride == 2 ? "nd" : stride == 3 ? "rd" : "th", " epoch");
  return out.add("</summary>"_html, scrolling("Values by epoch", table.add("</tbody></table>"_html)),
                 "</details>"_html);
}

}  // namespace kfer::report
