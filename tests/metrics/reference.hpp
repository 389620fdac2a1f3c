// Random scores and what scikit-learn says of them (tests/data/metrics/make_reference.py).
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kfer/io/csv.hpp"
#include "kfer/metrics/predictions.hpp"

namespace reference {

struct Sample {
  std::vector<float> scores, labels;
  std::int64_t classes;
  kfer::metrics::Predictions view() const { return {scores, labels, classes}; }
};

inline Sample read_sample(const std::string& name) {
  const auto table = kfer::io::CsvTable::open(std::string(KFER_TEST_DATA) + "/metrics/" + name);
  Sample s;
  s.classes = static_cast<std::int64_t>(table.columns() / 2);
  for (std::size_t i = 0; i < table.size(); ++i)
    for (std::size_t c = 0; c < table.columns(); ++c)
      (c < table.columns() / 2 ? s.scores : s.labels).push_back(static_cast<float>(table.as_double(i, c)));
  return s;
}

inline const std::map<std::string, double>& all_expected() {
  static const auto values = [] {
    std::map<std::string, double> out;
    const auto table = kfer::io::CsvTable::open(std::string(KFER_TEST_DATA) + "/metrics/expected.csv");
    for (std::size_t i = 0; i < table.size(); ++i) out[std::string(table.cell(i, 0))] = table.as_double(i, 1);
    return out;
  }();
  return values;
}
inline double expected(const std::string& name) {
  return all_expected().at(name);
}

/// False for a NaN on either side.
inline bool near(double a, double b) {
  return std::abs(a - b) <= 1e-12;
}

}  // namespace reference
