// The record of a run: one row of metrics an epoch, kept in memory and as results.csv.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "kfer/io/file.hpp"

namespace kfer {

/// (name, value) pairs, in the order in which they are shown.
using Metrics = std::vector<std::pair<std::string, double>>;

/// The value called `name`. Throws ValueError listing what there is.
inline double metric(const Metrics& metrics, std::string_view name) {
  std::string known;
  for (const auto& [key, value] : metrics) {
    if (key == name) return value;
    known += text(known.empty() ? "" : ", ", key);
  }
  throw ValueError(text("there is no metric '", name, "'; there are: ", known));
}

class History {
 public:
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::vector<double>>& rows() const { return rows_; }
  std::size_t size() const { return rows_.size(); }

  /// Adds a row. Throws ValueError unless its names are those of the rows before.
  void append(const Metrics& row) {
    std::vector<std::string> names;
    std::vector<double> values;
    for (const auto& [name, value] : row) {
      names.push_back(name);
      values.push_back(value);
    }
    if (rows_.empty()) columns_ = names;
    require(names == columns_, "the metrics of epoch ", rows_.size() + 1, " are [", joined(names),
            "], those of the epochs before are [", joined(columns_), "]");
    rows_.push_back(std::move(values));
  }
  /// Rows that a training state has kept.
  void restore(std::vector<std::string> columns, std::vector<std::vector<double>> rows) {
    for (const auto& row : rows)
      require<FormatError>(row.size() == columns.size(), "a history of ", columns.size(),
                           " columns has a row of ", row.size());
    columns_ = std::move(columns);
    rows_ = std::move(rows);
  }

  /// "epoch,loss,val_loss" and one line an epoch, numbers in full precision.
  std::string csv() const {
    std::string out = "epoch";
    for (const auto& name : columns_) out += text(',', name);
    out += '\n';
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      out += text(i + 1);
      for (const double value : rows_[i]) out += std::isnan(value) ? ",nan" : text(',', value);
      out += '\n';
    }
    return out;
  }
  /// Writes the whole table: what is at `path` is the old table or the new one, at any moment.
  void save(const std::string& path) const { io::atomic_write(path, csv()); }

 private:
  static std::string joined(const std::vector<std::string>& names) {
    std::string out;
    for (const auto& name : names) out += text(out.empty() ? "" : ", ", name);
    return out;
  }

  std::vector<std::string> columns_;
  std::vector<std::vector<double>> rows_;
};

}  // namespace kfer
