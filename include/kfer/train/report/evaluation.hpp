// What the test images say: headline figures, confusions, thresholds, precision and recall, each label.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "kfer/metrics/metrics.hpp"
#include "kfer/train/report/contents.hpp"
#include "kfer/train/report/line_chart.hpp"
#include "kfer/train/report/tables.hpp"

namespace kfer::report {

/// The test images' metrics, computed once for all sections.
struct Evaluation {
  std::vector<std::string> names;
  bool multi_label;
  float threshold;
  metrics::Predictions predictions;
  std::vector<float> decisions = {};  ///< one-label: the strongest class as a row of 0 and 1
  std::vector<metrics::LabelCounts> counts = {};
  std::optional<metrics::ConfusionMatrix> confusion = {};                 ///< one-label
  std::vector<std::optional<metrics::PrecisionRecallCurve>> curves = {};  ///< of labels that occur
  std::optional<metrics::MajorityBaseline> baseline = {};
  std::vector<std::int64_t> train_support = {};  ///< empty: not known
  std::size_t train_images = 0;                  ///< 0: not known

  std::int64_t classes() const { return predictions.classes(); }
  /// Mean over the labels that occur.
  double mean_average_precision() const {
    double sum = 0;
    int n = 0;
    for (const auto& curve : curves)
      if (curve) sum += curve->average_precision(), ++n;
    return n ? sum / n : 0;
  }
};

/// Throws as the metrics do; ShapeError unless there is a name for each column.
inline Evaluation evaluate(const RunReport& run) {
  const auto classes = static_cast<std::int64_t>(run.label_names.size());
  require<ShapeError>(classes > 0, "report: ", run.probabilities.size(),
                      " probabilities, but no label names");
  Evaluation e{.names = run.label_names,
               .multi_label = run.multi_label,
               .threshold = run.threshold,
               .predictions = {run.probabilities, run.labels, classes},
               .train_images = run.train_labels.size() / run.label_names.size()};
  if (run.multi_label) {
    e.counts = metrics::count_labels(e.predictions, run.threshold);
  } else {
    e.confusion.emplace(e.predictions);
    for (std::int64_t row = 0; row < e.predictions.rows(); ++row) {
      const auto strongest = metrics::argmax(e.predictions.scores(row));
      for (std::int64_t c = 0; c < classes; ++c) e.decisions.push_back(c == strongest);
    }
    e.counts = metrics::count_labels({e.decisions, run.labels, classes}, 0.5f);
  }
  for (std::int64_t c = 0; c < classes; ++c) {
    auto& curve = e.curves.emplace_back();
    if (e.counts[static_cast<std::size_t>(c)].support() > 0)
      curve = metrics::precision_recall_curve(e.predictions, c);
  }
  if (!run.train_labels.empty()) {
    e.baseline = metrics::majority_baseline(run.train_labels, run.labels, classes);
    const metrics::Cooccurrence together(run.train_labels, classes);
    for (std::int64_t c = 0; c < classes; ++c) e.train_support.push_back(together.support(c));
  }
  return e;
}

/// One large figure.
struct Headline {
  std::string name, value, aside;
};

inline Html headline_html(const std::vector<Headline>& figures) {
  if (figures.empty()) return {};
  Html out("\n<dl class=\"headline\">"_html);
  for (const auto& figure : figures) {
    out.add("<div><dt>"_html, figure.name, "</dt><dd class=\"value\">"_html, figure.value, "</dd>"_html);
    if (!figure.aside.empty()) out.add("<dd class=\"aside\">"_html, figure.aside, "</dd>"_html);
    out.add("</div>"_html);
  }
  return out.add("</dl>"_html);
}

inline std::vector<Headline> headline(const Evaluation& e) {
  const auto beside = [&](double metrics::MajorityBaseline::*value, bool in_percent) -> std::string {
    if (!e.baseline) return "";
    const double v = *e.baseline.*value;
    return text("majority baseline: ", in_percent ? percent(v) : fixed(v, 4));
  };
  const Headline images{"test images", text(e.predictions.rows()),
                        e.train_images ? text(e.train_images, " for training") : ""};
  if (!e.multi_label)
    return {{"accuracy", percent(e.confusion->accuracy()),
             beside(&metrics::MajorityBaseline::argmax_accuracy, true)},
            {"mean recall (UAR)", percent(e.confusion->uar()), "of classes that occur"},
            {"macro F1", fixed(metrics::macro_f1(e.counts), 4), "of all labels"},
            {"mean AP", fixed(e.mean_average_precision(), 4), "of labels that occur"},
            images};
  const std::string at = text(" at ", fixed(e.threshold, 2));
  return {{text("exact match", at), percent(metrics::exact_match(e.predictions, e.threshold)),
           beside(&metrics::MajorityBaseline::exact_match, true)},
          {text("micro F1", at), fixed(metrics::micro_f1(e.counts), 4),
           beside(&metrics::MajorityBaseline::micro_f1, false)},
          {text("macro F1", at), fixed(metrics::macro_f1(e.counts), 4), "of all labels"},
          {"mean AP", fixed(e.mean_average_precision(), 4), "of labels that occur"},
          images};
}

/// Counts of (true, predicted), coloured by the share of the true class; and the most frequent confusions.
inline Html confusion_section(const Evaluation& e) {
  if (!e.confusion) return {};
  const auto& matrix = *e.confusion;
  HeatMap map{.title = "Confusion matrix",
              .row_kind = "true",
              .column_kind = "predicted",
              .share_kind = "of the true class (row)",
              .names = e.names,
              .cells = {},
              .totals = {}};
  struct Confusion {
    std::int64_t truth, predicted, count;
  };
  std::vector<Confusion> wrong;
  for (std::int64_t i = 0; i < e.classes(); ++i) {
    const auto all = matrix.support(i);
    map.totals.push_back(text(all));
    for (std::int64_t j = 0; j < e.classes(); ++j) {
      const auto n = matrix.at(i, j);
      const double share = all ? static_cast<double>(n) / static_cast<double>(all) : 0;
      map.cells.push_back({text(n), share,
                           text("true ", e.names[static_cast<std::size_t>(i)], ", predicted ",
                                e.names[static_cast<std::size_t>(j)], ": ", n, " of ", all),
                           e.classes() <= 8 && n > 0 ? percent(share, 0) : ""});
      if (i != j && n > 0) wrong.push_back({i, j, n});
    }
  }
  Html out("<p>Counts of test images; a row is a true class, a column what was predicted.</p>"_html,
           heat_map(map));
  std::stable_sort(wrong.begin(), wrong.end(), [](auto a, auto b) { return a.count > b.count; });
  if (wrong.empty()) return out;
  Html table("<table class=\"confused\">"_html, table_head({"true", "predicted", "images", "of the class"}),
             "<tbody>"_html);
  for (std::size_t i = 0; i < std::min<std::size_t>(wrong.size(), 8); ++i) {
    const auto [truth, predicted, count] = wrong[i];
    table.add("<tr><th scope=\"row\">"_html, e.names[static_cast<std::size_t>(truth)], "</th><td>"_html,
              e.names[static_cast<std::size_t>(predicted)], "</td><td>"_html, count, "</td><td>"_html,
              percent(static_cast<double>(count) / static_cast<double>(matrix.support(truth)), 1),
              "</td></tr>"_html);
  }
  return out.add("<h3>Most frequent confusions</h3>"_html,
                 scrolling("Most frequent confusions", table.add("</tbody></table>"_html)));
}

/// Exact match, micro and macro F1 at thresholds 0.1 to 0.9; the highest of a column is marked.
inline Html threshold_section(const Evaluation& e) {
  if (!e.multi_label) return {};
  constexpr std::array thresholds{0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f, 0.7f, 0.8f, 0.9f};
  const auto rows = metrics::threshold_table(e.predictions, thresholds);
  double best[3] = {0, 0, 0};
  for (const auto& row : rows) {
    best[0] = std::max(best[0], row.exact_match);
    best[1] = std::max(best[1], row.micro_f1);
    best[2] = std::max(best[2], row.macro_f1);
  }
  Html table("<table>"_html, table_head({"threshold", "exact match", "micro F1", "macro F1"}),
             "<tbody>"_html);
  std::vector<Series> series{{"exact match", {}}, {"micro F1", {}}, {"macro F1", {}}};
  for (const auto& row : rows) {
    table.add("<tr><th scope=\"row\">"_html, fixed(row.threshold, 1), "</th>"_html);
    const double values[] = {row.exact_match, row.micro_f1, row.macro_f1};
    for (int i = 0; i < 3; ++i) {
      const bool highest = values[i] == best[i] && best[i] > 0;
      table.add(highest ? "<td class=\"best\">"_html : "<td>"_html,
                i == 0 ? percent(values[i]) : fixed(values[i], 4), "</td>"_html);
      series[static_cast<std::size_t>(i)].points.emplace_back(std::round(row.threshold * 10.0) / 10,
                                                              values[i]);
    }
    table.add("</tr>"_html);
  }
  const LineChart chart{.title = "Scores by threshold", .x_name = "threshold", .series = series};
  return Html(
      "<p>A label is predicted where its probability is at least the threshold. Exact match: all labels of "
      "an "
      "image are right. The highest of each column is bold and marked \u25c2.</p><div class=\"two\">"_html,
      scrolling("Scores by threshold", table.add("</tbody></table>"_html)), line_chart(chart), "</div>"_html);
}

/// (recall, precision) as steps, the area under which is the average precision; steps too small to be seen
/// are taken together.
inline std::vector<std::pair<double, double>> recall_precision(const metrics::PrecisionRecallCurve& curve,
                                                               double resolution) {
  std::vector<std::pair<double, double>> out{{0, curve.points.front().precision}};
  for (const auto& point : curve.points) {
    const auto [recall, precision] = out.back();
    if (point.recall == recall) continue;  // nothing found, nothing gained
    if (point.recall < 1 && point.recall - recall < resolution &&
        std::abs(point.precision - precision) < 2 * resolution)
      continue;
    out.emplace_back(recall, point.precision);
    out.emplace_back(point.recall, point.precision);
    if (point.recall == 1) break;  // what follows finds no more
  }
  return out;
}

/// The curve of all decisions, and a small one for each label.
inline Html precision_recall_section(const Evaluation& e) {
  const auto occurring = static_cast<std::size_t>(
      std::count_if(e.curves.begin(), e.curves.end(), [](const auto& c) { return c.has_value(); }));
  if (occurring == 0) return {};
  const auto micro = metrics::micro_precision_recall_curve(e.predictions);
  const LineChart chart{
      .title = text("All decisions: average precision ", fixed(micro.average_precision(), 4)),
      .x_name = "recall",
      .y_name = "precision",
      .series = {{"all decisions", recall_precision(micro, 0.004)}},
      .unit_square = true};
  Html small;
  for (std::size_t c = 0; c < e.curves.size(); ++c) {
    if (!e.curves[c]) continue;
    const double ap = e.curves[c]->average_precision();
    small.add("<figure>"_html,
              small_curve(recall_precision(*e.curves[c], 0.01), e.curves[c]->prevalence(),
                          text("Precision by recall of ", e.names[c], ", average precision ", fixed(ap, 4))),
              "<figcaption><span>"_html, e.names[c], "</span><span>"_html, fixed(ap, 3),
              "</span></figcaption></figure>\n"_html);
  }
  Html out(
      "<p>Precision (upwards) by recall (to the right), both from 0 to 1, over all thresholds, with average "
      "precision. The dotted level is the part of the images that carry the label: what scores that say "
      "nothing would reach."_html);
  if (!e.multi_label) out.add(" Each class against all others.");
  if (occurring < e.curves.size())
    out.add(" ", e.curves.size() - occurring, " of ", e.curves.size(),
            " labels occur in no test image and have no curve.");
  return out.add("</p><div class=\"plot\">"_html, line_chart(chart),
                 "</div><h3>By label</h3><div class=\"small\">"_html, small, "</div>"_html);
}

/// Support, decisions, precision, recall, F1 and average precision of each label.
inline Html label_section(const Evaluation& e) {
  std::vector<std::string> names{"label"};
  if (!e.train_support.empty()) names.push_back("training images");
  for (const char* name : {"test images", "TP", "FP", "FN", "TN", "precision", "recall", "F1", "AP", ""})
    names.push_back(name);
  Html table("<table>"_html, table_head(names), "<tbody>"_html);
  for (std::size_t c = 0; c < e.counts.size(); ++c) {
    const auto& n = e.counts[c];
    table.add("<tr><th scope=\"row\">"_html, e.names[c], "</th>"_html);
    if (!e.train_support.empty()) table.add("<td>"_html, e.train_support[c], "</td>"_html);
    for (const std::int64_t count :
         {n.support(), n.true_positives, n.false_positives, n.false_negatives,
          e.predictions.rows() - n.true_positives - n.false_positives - n.false_negatives})
      table.add("<td>"_html, count, "</td>"_html);
    // A ratio of nothing is not 0: a dash.
    const auto ratio = [&](double value, std::int64_t of) {
      table.add("<td>"_html, of > 0 ? fixed(value, 3) : "\u2013", "</td>"_html);
    };
    ratio(n.precision(), n.predicted());
    ratio(n.recall(), n.support());
    ratio(n.f1(), n.predicted() + n.support());
    ratio(e.curves[c] ? e.curves[c]->average_precision() : 0, n.support());
    table.add("<td class=\"bar\" aria-hidden=\"true\"><span style=\"width:"_html,
              text(std::lround(100 * n.f1())), "%\"></span></td></tr>"_html);
  }
  Html out("<p>"_html);
  if (e.multi_label)
    out.add("Predicted where the probability is at least ", fixed(e.threshold, 2), ". ");
  else
    out.add("The strongest class is predicted. ");
  return out.add(
      "True and false positives and negatives (TP, FP, FN, TN) count test images; AP is average "
      "precision; the bar is F1.</p>"_html,
      scrolling("Each label", table.add("</tbody></table>"_html)));
}

/// How often labels occur together, coloured by the share of the row's label.
inline Html cooccurrence_section(const RunReport& run) {
  const bool of_training = !run.train_labels.empty();
  const auto& labels = of_training ? run.train_labels : run.labels;
  if (!run.multi_label || labels.empty() || run.label_names.size() < 2) return {};
  const metrics::Cooccurrence together(labels, static_cast<std::int64_t>(run.label_names.size()));
  HeatMap map{.title = "Label co-occurrence",
              .row_kind = "label",
              .column_kind = "with",
              .share_kind = "of the images with the row's label",
              .names = run.label_names,
              .cells = {},
              .totals = {}};
  for (std::int64_t i = 0; i < together.classes(); ++i)
    for (std::int64_t j = 0; j < together.classes(); ++j) {
      const auto n = together.at(i, j), all = together.support(i);
      map.cells.push_back({text(n), all ? static_cast<double>(n) / static_cast<double>(all) : 0,
                           text(run.label_names[static_cast<std::size_t>(i)], " with ",
                                run.label_names[static_cast<std::size_t>(j)], ": ", n, " of ", all)});
    }
  return Html("<p>"_html, of_training ? "Training" : "Test",
              " images that carry both labels; on the diagonal, all images with the label.</p>"_html,
              heat_map(map));
}

}  // namespace kfer::report
