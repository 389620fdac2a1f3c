// Predictions as text for people, CSV, or JSON Lines.
#pragma once

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kfer/io/csv.hpp"
#include "kfer/io/json.hpp"
#include "kfer/train/prediction.hpp"

namespace predict {

/// Which labels of a prediction count as predicted.
struct Selection {
  bool exclusive = false;           ///< classes: the most probable one, unless the rest says otherwise
  std::optional<float> threshold;   ///< those of at least this probability; of labels, 0.5 unless given
  std::optional<std::int64_t> top;  ///< the so many most probable ones

  std::vector<kfer::Score> operator()(const kfer::Prediction& p) const {
    const float least = threshold.value_or(exclusive || top ? 0.0f : 0.5f);
    auto scores = p.at_least(least);
    const auto most = top ? static_cast<std::size_t>(*top) : exclusive && !threshold ? 1 : scores.size();
    if (scores.size() > most) scores.resize(most);
    return scores;
  }
};

/// Writes predictions as rows of one format: "text", "csv" or "json".
class PredictionRows {
 public:
  PredictionRows(std::string format, Selection selection, const std::vector<std::string>& labels)
      : format_(std::move(format)), selection_(selection), labels_(labels) {}

  /// What stands before the first row.
  std::string header() const {
    if (format_ != "csv") return "";
    std::vector<std::string> cells{"image"};
    cells.insert(cells.end(), labels_.begin(), labels_.end());
    cells.emplace_back("error");
    return kfer::io::csv_row(cells);
  }

  std::string row(const kfer::Prediction& p) const {
    return format_ == "csv" ? csv(p) : format_ == "json" ? json(p) : plain(p);
  }

  /// A line for people: control characters become '?', so that a file's name commands no terminal.
  static std::string printable(std::string line) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(line[at]); };
      if (byte(i) < 0x20 || byte(i) == 0x7f) line[i] = '?';
      if (i > 0 && byte(i - 1) == 0xc2 && byte(i) >= 0x80 && byte(i) < 0xa0)
        line.replace(--i, 2, "?");  // U+0080 to U+009F
    }
    return line;
  }

  /// Why an image is broken, without its path in front.
  static std::string reason(const kfer::Prediction& p) {
    std::string message = p.error();
    const auto path = kfer::text('\'', p.path(), "': ");
    if (message.starts_with(path)) message.erase(0, path.size());
    return message;
  }

 private:
  static std::string list(const std::vector<kfer::Score>& scores) {
    std::string out;
    for (const auto& [label, probability] : scores) {
      char digits[16];
      std::snprintf(digits, sizeof digits, "%.2f", static_cast<double>(probability));
      out += kfer::text(out.empty() ? "" : ", ", label, ' ', digits);
    }
    return out;
  }

  std::string plain(const kfer::Prediction& p) const {
    std::string out = p.path() + ": ";
    if (!p)
      out += "error: " + reason(p);
    else if (const auto labels = list(selection_(p)); !labels.empty())
      out += labels;
    else
      out += kfer::text("none (most probable: ", list(p.top(1)), ')');
    return printable(std::move(out)) += '\n';
  }

  std::string csv(const kfer::Prediction& p) const {
    std::vector<std::string> cells{p.path()};
    for (const float probability : p.probabilities()) cells.push_back(kfer::text(probability));
    cells.resize(labels_.size() + 1);
    cells.push_back(p ? "" : reason(p));
    return kfer::io::csv_row(cells);
  }

  /// A string in JSON; bytes that are not UTF-8 become U+FFFD.
  static std::string quoted(std::string_view s) {
    std::string valid;
    while (!s.empty()) {
      const auto n = kfer::io::detail::utf8_sequence(s);
      valid += n > 0 ? s.substr(0, n) : std::string_view("\xef\xbf\xbd");
      s.remove_prefix(std::max<std::size_t>(n, 1));
    }
    return to_string(kfer::io::Json(std::move(valid)));
  }

  std::string json(const kfer::Prediction& p) const {
    std::string out = kfer::text("{\"image\": ", quoted(p.path()));
    if (!p) return out += kfer::text(", \"error\": ", quoted(reason(p)), "}\n");
    const char* comma = ", \"labels\": [";
    const auto predicted = selection_(p);
    if (predicted.empty()) out += comma;
    for (const auto& score : predicted) {
      out += kfer::text(comma, quoted(score.label));
      comma = ", ";
    }
    comma = "], \"probabilities\": {";
    for (std::size_t i = 0; i < labels_.size(); ++i) {
      out += kfer::text(comma, quoted(labels_[i]), ": ", p.probabilities()[i]);
      comma = ", ";
    }
    return out += "}}\n";
  }

  std::string format_;
  Selection selection_;
  std::vector<std::string> labels_;
};

}  // namespace predict
