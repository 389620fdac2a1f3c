// Metrics against scikit-learn (tests/data/metrics/make_reference.py) and against results known in closed
// form.
#include "kfer/metrics/metrics.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>
#include <vector>

#include "metrics/reference.hpp"

using namespace kfer;
using namespace kfer::metrics;
using namespace reference;

TEST_CASE("multi-label metrics agree with scikit-learn at every published threshold") {
  const auto sample = read_sample("multilabel.csv");
  const auto p = sample.view();
  CHECK(p.rows() == 37);
  CHECK(p.classes() == 7);
  for (const std::string digits : {"0.1", "0.2", "0.3", "0.4", "0.5"}) {
    CAPTURE(digits);
    const float threshold = std::stof(digits);
    const std::string suffix = "@" + digits;
    CHECK(near(exact_match(p, threshold), expected("exact_match" + suffix)));
    CHECK(near(micro_f1(p, threshold), expected("micro_f1" + suffix)));
    CHECK(near(macro_f1(p, threshold), expected("macro_f1" + suffix)));
    const auto counts = count_labels(p, threshold);
    for (std::size_t c = 0; c < counts.size(); ++c) {
      const std::string label = suffix + "/" + std::to_string(c);
      CHECK(near(counts[c].precision(), expected("precision" + label)));
      CHECK(near(counts[c].recall(), expected("recall" + label)));
      CHECK(near(counts[c].f1(), expected("f1" + label)));
      CHECK(near(static_cast<double>(counts[c].support()), expected("support" + label)));
    }
  }
  CHECK(near(argmax_accuracy(p), expected("argmax_accuracy")));
}

TEST_CASE("the threshold table holds what the single metrics say") {
  const auto sample = read_sample("multilabel.csv");
  const std::array thresholds{0.1f, 0.5f};
  const auto table = threshold_table(sample.view(), thresholds);
  REQUIRE(table.size() == 2);
  CHECK(table[1].threshold == 0.5f);
  CHECK(near(table[0].exact_match, expected("exact_match@0.1")));
  CHECK(near(table[1].micro_f1, expected("micro_f1@0.5")));
  CHECK(near(table[1].macro_f1, expected("macro_f1@0.5")));
}

TEST_CASE("the confusion matrix agrees with scikit-learn, with a class that never occurs") {
  const auto sample = read_sample("multiclass.csv");
  const ConfusionMatrix matrix(sample.view());
  CHECK(matrix.total() == 41);
  for (std::int64_t i = 0; i < 5; ++i)
    for (std::int64_t j = 0; j < 5; ++j)
      CHECK(static_cast<double>(matrix.at(i, j)) ==
            expected("confusion/" + std::to_string(i) + "/" + std::to_string(j)));
  CHECK(near(matrix.accuracy(), expected("accuracy")));
  CHECK(near(matrix.uar(), expected("balanced_accuracy")));
  CHECK(near(argmax_accuracy(sample.view()), expected("accuracy")));
  CHECK_THROWS_AS(matrix.recall(4), ValueError);
}

TEST_CASE("a score equal to the threshold counts as predicted") {
  const std::vector<float> scores{0.5f, 0.4999f}, labels{1, 0};
  CHECK(exact_match({scores, labels, 2}, 0.5f) == 1.0);
  CHECK(exact_match({scores, labels, 2}, std::nextafter(0.5f, 1.f)) == 0.0);
}

TEST_CASE("argmax accuracy of several labels looks at the first, and at the first of equal scores") {
  const std::vector<float> labels{0, 1, 1}, second{0.1f, 0.8f, 0.9f}, tie{0.1f, 0.8f, 0.8f};
  CHECK(argmax_accuracy({second, labels, 3}) == 0.0);
  CHECK(argmax_accuracy({tie, labels, 3}) == 1.0);
}

TEST_CASE("extremes: all right, all wrong, nothing predicted") {
  const std::vector<float> labels{1, 0, 0, 1}, opposite{0, 1, 1, 0}, none{0, 0, 0, 0};
  CHECK(exact_match({labels, labels, 2}, 0.5f) == 1.0);
  CHECK(micro_f1({labels, labels, 2}, 0.5f) == 1.0);
  CHECK(exact_match({opposite, labels, 2}, 0.5f) == 0.0);
  CHECK(micro_f1({opposite, labels, 2}, 0.5f) == 0.0);
  CHECK(micro_f1({none, labels, 2}, 0.5f) == 0.0);
  CHECK(micro_f1({none, none, 2}, 0.5f) == 0.0);
}

TEST_CASE("the majority baseline answers with the most frequent label set of the training rows") {
  //                              {0,1}    {0}     {0,1}   {1}
  const std::vector<float> train{1, 1, 1, 0, 1, 1, 0, 1};
  const std::vector<float> test{1, 1, 1, 0, 0, 0};  // one exact; TP 3, FP 3, FN 0
  const auto baseline = majority_baseline(train, test, 2);
  CHECK(baseline.labels == std::vector<float>{1, 1});
  CHECK(near(baseline.exact_match, 1.0 / 3));
  CHECK(near(baseline.micro_f1, 6.0 / 9));
  CHECK(near(baseline.argmax_accuracy, 1.0));
  const std::vector<float> tie{0, 1, 1, 0};
  CHECK(majority_labels(tie, 2) == std::vector<float>{0, 1});  // the earlier of equals
  CHECK_THROWS_AS(majority_labels(train, 3), ShapeError);
  CHECK_THROWS_AS(majority_labels({}, 2), ShapeError);
  CHECK_THROWS_AS(majority_baseline(train, std::vector<float>{1}, 2), ShapeError);
}

TEST_CASE("metrics refuse what they cannot judge") {
  const std::vector<float> four{0, 0, 1, 1}, three{0, 1, 0}, half{0, 0.5f, 1, 1};
  std::vector<float> nan = four;
  nan[2] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_AS(Predictions(four, three, 1), ShapeError);
  CHECK_THROWS_AS(Predictions(three, three, 2), ShapeError);
  CHECK_THROWS_AS(Predictions(four, four, 0), ShapeError);
  CHECK_THROWS_AS(Predictions({}, {}, 2), ShapeError);
  CHECK_THROWS_AS(Predictions(four, half, 2), ValueError);
  CHECK_THROWS_WITH_AS(Predictions(nan, four, 2), "metrics: the score of row 1, class 0 is NaN",
                       NumericError);
  CHECK_THROWS_AS(argmax(std::span<const float>(nan)), NumericError);
  CHECK_THROWS_AS(argmax({}), ValueError);
  CHECK_THROWS_AS(exact_match({four, four, 2}, nan[2]), NumericError);
  CHECK_THROWS_AS(count_labels({four, four, 2}, nan[2]), NumericError);
  CHECK_THROWS_AS(macro_f1(std::span<const LabelCounts>{}), ValueError);
}

TEST_CASE("a confusion matrix refuses rows without exactly one label, and cells that do not exist") {
  const std::vector<float> scores{1, 0, 0, 1}, two{1, 1, 0, 1}, none{1, 0, 0, 0};
  CHECK_THROWS_AS(ConfusionMatrix(Predictions(scores, two, 2)), ValueError);
  CHECK_THROWS_AS(ConfusionMatrix(Predictions(scores, none, 2)), ValueError);
  CHECK_THROWS_AS(ConfusionMatrix(0), ShapeError);
  ConfusionMatrix matrix(2);
  CHECK_THROWS_AS(matrix.add(2, 0), ValueError);
  CHECK_THROWS_AS(matrix.add(0, -1), ValueError);
  CHECK_THROWS_AS(matrix.uar(), ValueError);
  CHECK_THROWS_AS(matrix.accuracy(), ValueError);
  matrix.add(1, 1, 3);
  matrix.add(1, 0);
  CHECK(matrix.uar() == 0.75);  // class 0 never occurs and does not count
}
