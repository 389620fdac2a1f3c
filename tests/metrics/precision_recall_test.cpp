// Precision-recall curves, average precision and co-occurrence against scikit-learn and closed forms.
#include "kfer/metrics/precision_recall.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "kfer/metrics/cooccurrence.hpp"
#include "metrics/reference.hpp"

using namespace kfer;
using namespace kfer::metrics;
using namespace reference;

namespace {

void check_curve(const PrecisionRecallCurve& curve, const std::string& name) {
  CAPTURE(name);
  CHECK(near(curve.average_precision(), expected("average_precision/" + name)));
  for (std::size_t i = 0; i < curve.points.size(); ++i) {
    CAPTURE(i);
    const std::string point = "curve/" + name + "/" + std::to_string(i);
    CHECK(curve.points[i].threshold == static_cast<float>(expected(point + "/threshold")));
    CHECK(near(curve.points[i].precision, expected(point + "/precision")));
    CHECK(near(curve.points[i].recall, expected(point + "/recall")));
  }
  CHECK(!all_expected().contains("curve/" + name + "/" + std::to_string(curve.points.size()) + "/recall"));
}

}  // namespace

TEST_CASE("precision-recall curves and average precision agree with scikit-learn, over tied scores") {
  const auto sample = read_sample("multilabel.csv");
  for (std::int64_t c = 0; c < 5; ++c)
    check_curve(precision_recall_curve(sample.view(), c), std::to_string(c));
  check_curve(micro_precision_recall_curve(sample.view()), "micro");
}

TEST_CASE("average precision of perfect, reversed and constant scores") {
  const std::vector<float> labels{1, 0, 1, 0, 0}, reversed{0, 1, 0, 1, 1}, constant(5, 0.3f);
  CHECK(precision_recall_curve(labels, labels).average_precision() == 1.0);
  CHECK(precision_recall_curve(reversed, labels).average_precision() == 0.4);
  const auto same = precision_recall_curve(constant, labels);
  CHECK(same.points.size() == 1);
  CHECK(same.average_precision() == same.prevalence());
  CHECK(same.prevalence() == 0.4);
}

TEST_CASE("a curve needs a positive label, and numbers") {
  const std::vector<float> scores{0.5f, 0.2f}, none{0, 0}, one{1, 0}, half{0.5f, 1},
      nan{std::numeric_limits<float>::quiet_NaN(), 0};
  CHECK_THROWS_WITH_AS(precision_recall_curve(scores, none), "precision_recall_curve: none of 2 labels is 1",
                       ValueError);
  CHECK_THROWS_AS(precision_recall_curve(scores, half), ValueError);
  CHECK_THROWS_AS(precision_recall_curve(nan, one), NumericError);
  CHECK_THROWS_AS(precision_recall_curve({}, {}), ShapeError);
  CHECK_THROWS_AS(precision_recall_curve(Predictions(scores, one, 2), 2), ValueError);
  CHECK_THROWS_AS(precision_recall_curve(Predictions(scores, one, 2), -1), ValueError);
}

TEST_CASE("co-occurrence is the product of the label matrix with itself") {
  const auto sample = read_sample("multilabel.csv");
  const Cooccurrence together(sample.labels, sample.classes);
  for (std::int64_t i = 0; i < 7; ++i)
    for (std::int64_t j = 0; j < 7; ++j)
      CHECK(static_cast<double>(together.at(i, j)) ==
            expected("together/" + std::to_string(i) + "/" + std::to_string(j)));
  CHECK(together.support(5) == 0);
  CHECK(Cooccurrence({}, 3).at(2, 2) == 0);
  CHECK_THROWS_AS(Cooccurrence(sample.labels, 6), ShapeError);
  CHECK_THROWS_AS(Cooccurrence(sample.labels, 0), ShapeError);
  CHECK_THROWS_AS(Cooccurrence(sample.scores, sample.classes), ValueError);
  CHECK_THROWS_AS(together.at(7, 0), ValueError);
}
