// How often labels occur together.
#pragma once

#include <vector>

#include "kfer/metrics/predictions.hpp"

namespace kfer::metrics {

/// Counts of rows that carry two labels: symmetric, each label's own count on the diagonal.
class Cooccurrence {
 public:
  /// Counts over rows of `classes` labels, each 0 or 1. Throws ShapeError unless the span holds whole rows of
  /// 1 to 65536 classes (no row is fine), ValueError for another label.
  Cooccurrence(std::span<const float> labels, std::int64_t classes) : classes_(classes) {
    require<ShapeError>(classes > 0 && classes <= 65536, "co-occurrence of 1 to 65536 classes, got ",
                        classes);
    const auto width = static_cast<std::size_t>(classes);
    require<ShapeError>(labels.size() % width == 0, "co-occurrence: ", labels.size(),
                        " labels are no whole rows of ", classes, " classes");
    counts_.resize(width * width);
    std::vector<std::size_t> present;
    for (std::size_t row = 0; row < labels.size() / width; ++row) {
      present.clear();
      for (std::size_t c = 0; c < width; ++c) {
        const float label = labels[row * width + c];
        require(label == 0.f || label == 1.f, "co-occurrence: the label of row ", row, ", class ", c, " is ",
                label, ", expected 0 or 1");
        if (label == 1.f) present.push_back(c);
      }
      for (const auto a : present)
        for (const auto b : present) ++counts_[a * width + b];
    }
  }

  std::int64_t classes() const { return classes_; }
  /// Rows that carry both labels.
  std::int64_t at(std::int64_t a, std::int64_t b) const {
    require(a >= 0 && a < classes_ && b >= 0 && b < classes_, "co-occurrence of ", classes_,
            " classes: no cell (", a, ", ", b, ")");
    return counts_[static_cast<std::size_t>(a * classes_ + b)];
  }
  /// Rows that carry label `c`.
  std::int64_t support(std::int64_t c) const { return at(c, c); }

 private:
  std::int64_t classes_;
  std::vector<std::int64_t> counts_;
};

}  // namespace kfer::metrics
