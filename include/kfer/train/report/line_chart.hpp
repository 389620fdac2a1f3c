// A line chart as inline SVG: axes with round ticks, up to four series that differ by hue and dashes, values
// under the pointer without a script.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kfer/train/progress.hpp"
#include "kfer/train/report/html.hpp"

namespace kfer::report {

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< (x, y), x ascending; what is not finite is a gap
};

struct LineChart {
  std::string title;
  std::string x_name, y_name = "";
  std::vector<Series> series;
  std::optional<double> mark = {};  ///< an x with a line of its own ...
  std::string mark_name = "";       ///< ... and what is written there
  bool whole_x = false;             ///< x counts something: its ticks are whole numbers
  bool unit_square = false;         ///< both axes from 0 to 1
};

/// Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], about `count` of them.
inline std::vector<double> ticks(double low, double high, int count, bool whole = false) {
  const double raw = (high - low) / count;
  if (!(raw > 0) || !std::isfinite(raw)) return {};
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = raw <= power * 1.000001 ? power
                : raw <= 2 * power      ? 2 * power
                : raw <= 5 * power      ? 5 * power
                                        : 10 * power;
  if (whole) step = std::max(step, 1.0);
  std::vector<double> out;
  const double slack = step * 1e-6;
  for (double i = std::ceil((low - slack) / step); i * step <= high + slack && out.size() < 64; ++i)
    out.push_back(i * step);
  return out;
}

/// Labels of equidistant ticks: as many digits as tell them apart.
inline std::vector<std::string> tick_labels(const std::vector<double>& values) {
  std::vector<std::string> out;
  if (values.empty()) return out;
  const double step = values.size() > 1 ? values[1] - values[0] : std::max(std::abs(values[0]), 1e-30);
  const double largest = std::max(std::abs(values.front()), std::abs(values.back()));
  const bool plain = largest < 99999.5 && step >= 0.0009999;
  const int digits = plain ? std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)))
                           : std::clamp(static_cast<int>(std::ceil(std::log10(largest / step) - 1e-9)), 0, 9);
  for (const double value : values) {
    if (plain || value == 0) {
      out.push_back(fixed(value, plain ? digits : 0));
      continue;
    }
    char buffer[48];  // 2.5e-05 becomes 2.5e-5
    std::snprintf(buffer, sizeof buffer, "%.*e", digits, std::abs(value));
    std::string label = buffer;
    const auto e = label.find('e');
    std::string mantissa = label.substr(0, e);
    if (mantissa.find('.') != std::string::npos) {
      mantissa.erase(mantissa.find_last_not_of('0') + 1);
      if (mantissa.back() == '.') mantissa.pop_back();
    }
    out.push_back(text(value < 0 ? "\u2212" : "", mantissa, 'e', std::stoi(label.substr(e + 1))));
  }
  return out;
}

/// At most about `limit` points with the same outline: the lowest and the highest of each group of
/// neighbours. Groups without a finite value stay a gap.
inline std::vector<std::pair<double, double>> thinned(const std::vector<std::pair<double, double>>& points,
                                                      std::size_t limit) {
  if (points.size() <= limit) return points;
  std::vector<std::pair<double, double>> out;
  const std::size_t groups = std::max<std::size_t>(limit / 2, 1);
  for (std::size_t g = 0; g < groups; ++g) {
    const std::size_t begin = g * points.size() / groups, end = (g + 1) * points.size() / groups;
    std::size_t low = end, high = end;
    for (std::size_t i = begin; i < end; ++i) {
      if (!std::isfinite(points[i].second)) continue;
      if (low == end || points[i].second < points[low].second) low = i;
      if (high == end || points[i].second > points[high].second) high = i;
    }
    if (low == end) {
      out.push_back(points[begin]);
      continue;
    }
    out.push_back(points[std::min(low, high)]);
    if (low != high) out.push_back(points[std::max(low, high)]);
  }
  return out;
}

namespace detail {

/// Lengths of an SVG: pixels with one digit after the point.
inline std::string px(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", std::clamp(value, -1e5, 1e5));
  return buffer;
}

inline constexpr double drawable = 1e100;  ///< beyond it differences of values could overflow
inline bool is_drawable(double value) {
  return std::abs(value) < drawable;  // false for NaN
}

/// [lowest, highest] of some values, widened where that is nothing.
struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();

  void include(double value) { low = std::min(low, value), high = std::max(high, value); }
  bool empty() const { return low > high; }
  void widen() {
    if (empty()) low = 0, high = 1;
    const double least = std::max(std::abs(low), std::abs(high)) * 1e-6;
    if (high - low <= least) {
      const double pad = high == 0 ? 1 : std::abs(high) * 0.05;
      low -= pad, high += pad;
    }
  }
};

/// The path through points given in pixels; a NaN lifts the pen. A point between two gaps is a dot, through a
/// line too short to see with round ends.
inline std::string path(const std::vector<std::pair<double, double>>& points) {
  std::string out;
  bool down = false;
  for (const auto& [x, y] : points) {
    if (!is_drawable(x) || !is_drawable(y)) {
      down = false;
      continue;
    }
    out += text(down ? 'L' : 'M', px(x), ' ', px(y), down ? "" : "h.1");
    down = true;
  }
  return out;
}

}  // namespace detail

/// The chart as a `<figure>`. A chart of nothing has axes and says so.
inline Html line_chart(const LineChart& chart) {
  using detail::px, detail::is_drawable;
  constexpr int hues = 4;
  const double width = 480, height = chart.unit_square ? 400 : 280;
  const double left = 66, right = 16, top = 26, bottom = 48;
  detail::Range xs, ys;
  std::size_t missing = 0;
  for (const auto& series : chart.series)
    for (const auto& [x, y] : series.points) {
      if (is_drawable(x)) xs.include(x);
      if (is_drawable(y))
        ys.include(y);
      else
        ++missing;
    }
  const bool nothing = ys.empty();
  if (chart.unit_square) xs = ys = {0, 1};
  if (chart.whole_x && xs.low == xs.high) xs.low -= 0.5, xs.high += 0.5;
  xs.widen(), ys.widen();
  if (!chart.unit_square) {
    const double pad = 0.04 * (ys.high - ys.low);
    ys.low -= ys.low == 0 ? 0 : pad, ys.high += pad;
  }
  const auto to_x = [&](double x) {
    return left + (x - xs.low) / (xs.high - xs.low) * (width - left - right);
  };
  const auto to_y = [&](double y) {
    return height - bottom - (y - ys.low) / (ys.high - ys.low) * (height - top - bottom);
  };

  Html svg("<svg viewBox=\"0 0 "_html, px(width), " "_html, px(height), "\" role=\"img\" aria-label=\""_html,
           chart.title);
  for (const auto& series : chart.series)
    if (!series.points.empty())
      svg.add("; "_html, series.name, " from "_html, format_number(series.points.front().second), " to "_html,
              format_number(series.points.back().second));
  if (chart.mark) svg.add("; "_html, chart.mark_name);
  svg.add("\">"_html);

  const auto y_ticks = ticks(ys.low, ys.high, chart.unit_square ? 5 : 7),
             x_ticks = ticks(xs.low, xs.high, 6, chart.whole_x);
  const auto y_labels = tick_labels(y_ticks), x_labels = tick_labels(x_ticks);
  Html grid, labels;
  for (std::size_t i = 0; i < y_ticks.size(); ++i) {
    const auto y = to_y(y_ticks[i]);
    grid.add("M"_html, px(left), " "_html, px(y), "H"_html, px(width - right));
    labels.add("<text text-anchor=\"end\" x=\""_html, px(left - 8), "\" y=\""_html, px(y + 4.5), "\">"_html,
               y_labels[i], "</text>"_html);
  }
  for (std::size_t i = 0; i < x_ticks.size(); ++i) {
    const auto x = to_x(x_ticks[i]);
    labels.add("<text text-anchor=\""_html);
    if (x > width - right - 14)  // a long number at the edge
      labels.add("end\" x=\""_html, px(width - 2));
    else
      labels.add("middle\" x=\""_html, px(x));
    labels.add("\" y=\""_html, px(height - bottom + 20), "\">"_html, x_labels[i], "</text>"_html);
  }
  labels.add("<text text-anchor=\"middle\" x=\""_html, px((left + width - right) / 2), "\" y=\""_html,
             px(height - 7), "\">"_html, chart.x_name, "</text>"_html);
  if (!chart.y_name.empty()) labels.add("<text x=\"4\" y=\"16\">"_html, chart.y_name, "</text>"_html);
  svg.add("<path class=\"grid\" d=\""_html, grid, "\"/><path class=\"frame\" d=\"M"_html, px(left), " "_html,
          px(height - bottom), "H"_html, px(width - right), "\"/>"_html, labels);

  if (chart.mark && is_drawable(*chart.mark)) {
    const double x = to_x(*chart.mark);
    const bool before = x > width / 2;
    svg.add("<path class=\"mark\" d=\"M"_html, px(x), " "_html, px(height - bottom), "V"_html, px(top - 16),
            "\"/><text text-anchor=\""_html, before ? "end" : "start", "\" x=\""_html,
            px(x + (before ? -6 : 6)), "\" y=\""_html, px(top - 9), "\">"_html, chart.mark_name,
            "</text>"_html);
  }
  for (std::size_t s = 0; s < chart.series.size(); ++s) {
    const auto points = thinned(chart.series[s].points, 480);
    std::vector<std::pair<double, double>> at;
    std::size_t shown = 0;
    for (const auto& [x, y] : points) {
      const bool ok = is_drawable(x) && is_drawable(y);
      shown += ok;
      at.emplace_back(ok ? to_x(x) : NAN, ok ? to_y(y) : NAN);
    }
    const auto hue = text('s', s % hues);
    svg.add("<path class=\"line "_html, hue, "\" d=\""_html, detail::path(at), "\"/>"_html);
    if (shown <= 24 && !chart.unit_square)  // few: show where they are
      for (const auto& [x, y] : at)
        if (is_drawable(x) && is_drawable(y))
          svg.add("<circle class=\"dot "_html, hue, "\" r=\"3\" cx=\""_html, px(x), "\" cy=\""_html, px(y),
                  "\"/>"_html);
  }
  if (nothing)
    svg.add("<text text-anchor=\"middle\" x=\""_html, px((left + width - right) / 2), "\" y=\""_html,
            px(height / 2), "\">no finite value</text>"_html);

  // One column a position of the first series, its values as the browser's own tooltip.
  if (!chart.unit_square && !chart.series.empty() && !chart.series[0].points.empty()) {
    const auto& first = chart.series[0].points;
    const std::size_t columns = std::min<std::size_t>(first.size(), 120);
    const double wide = (width - left - right) / static_cast<double>(columns);
    for (std::size_t c = 0; c < columns; ++c) {
      const std::size_t i = columns == 1 ? 0 : c * (first.size() - 1) / (columns - 1);
      const double x = std::clamp(to_x(first[i].first) - wide / 2, left, width - right - wide);
      svg.add("<rect class=\"hit\" x=\""_html, px(x), "\" y=\""_html, px(top), "\" width=\""_html, px(wide),
              "\" height=\""_html, px(height - top - bottom), "\"><title>"_html, chart.x_name, ' ',
              format_number(first[i].first, 6));
      for (const auto& series : chart.series)
        if (i < series.points.size())
          svg.add('\n', series.name, ' ', format_number(series.points[i].second, 6));
      svg.add("</title></rect>"_html);
    }
  }
  svg.add("</svg>"_html);

  Html figure("<figure><h3>"_html, chart.title, "</h3>"_html);
  if (chart.series.size() > 1) {
    figure.add("<ul class=\"legend\">"_html);
    for (std::size_t s = 0; s < chart.series.size(); ++s)
      figure.add("<li><svg viewBox=\"0 0 30 8\" aria-hidden=\"true\"><path class=\"line "_html,
                 text('s', s % hues), "\" d=\"M1 4H29\"/></svg>"_html, chart.series[s].name, "</li>"_html);
    figure.add("</ul>"_html);
  }
  figure.add(svg);
  if (missing > 0)
    figure.add("<figcaption>"_html, missing, missing == 1 ? " value is" : " values are",
               " left out: not finite, or beyond 1e100.</figcaption>"_html);
  return figure.add("</figure>\n"_html);
}

/// A square without axes or text, for many side by side: a curve in [0, 1] x [0, 1], and a level.
inline Html small_curve(const std::vector<std::pair<double, double>>& points, double level,
                        std::string_view description) {
  const auto at = [](double v) { return 2 + 96 * std::clamp(v, 0.0, 1.0); };
  std::vector<std::pair<double, double>> pixels;
  for (const auto& [x, y] : points) pixels.emplace_back(at(x), at(1 - y));
  return Html(
      "<svg viewBox=\"0 0 100 100\" role=\"img\" aria-label=\""_html, description,
      "\"><path class=\"grid\" d=\"M2 2H98V98H2ZM2 50H98M50 2V98\"/><path class=\"mark\" d=\"M2 "_html,
      detail::px(at(1 - level)), "H98\"/><path class=\"line s0\" d=\""_html, detail::path(pixels),
      "\"/></svg>"_html);
}

}  // namespace kfer::report
