// The report of a run as one self-contained page of HTML: figures against published ones, curves, confusions,
// thresholds, precision and recall, samples, arguments. And a page that sums up many runs.
//
//   RunReport report{.title = "ConvNN, multi-label", .summary = "Synthetic faces", .label_names = labels};
//   report.history = trainer.history();
//   write_report(directory + "/report.html", report);
//
// Charts are inline SVG; nothing is fetched and nothing needs a script.
#pragma once

#include "kfer/train/report/contents.hpp"
#include "kfer/train/report/curves.hpp"
#include "kfer/train/report/evaluation.hpp"
#include "kfer/train/report/html.hpp"
#include "kfer/train/report/page.hpp"
#include "kfer/train/report/pictures.hpp"
#include "kfer/train/report/tables.hpp"

namespace kfer {

namespace report {

inline Html comparison_section(const std::vector<ReportComparison>& comparisons) {
  Html out;
  for (const auto& comparison : comparisons)
    if (!comparison.rows.empty()) out.add(comparison_table(comparison));
  return out.empty() ? out : Html("<div class=\"tables\">"_html, out, "</div>"_html);
}

/// A value of args.json, as one would write it.
inline std::string argument_text(const io::Json& value) {
  if (value.is_string()) return value.as_string();
  std::string out;
  if (value.is_array()) {
    for (const auto& item : value.as_array()) out += text(out.empty() ? "" : ", ", argument_text(item));
  } else if (value.is_object()) {
    for (const auto& [name, item] : value.as_object())
      out += text(out.empty() ? "" : ", ", name, ": ", argument_text(item));
  } else {
    out = to_string(value);
  }
  return out;
}

inline Html argument_section(const io::Json& arguments) {
  if (arguments.is_null()) return {};
  ReportFacts pairs;
  for (const auto& [name, value] : arguments.as_object()) pairs.emplace_back(name, argument_text(value));
  return pairs.empty() ? Html() : pairs_table("Arguments", pairs);
}

inline Html facts_section(const ReportFacts& facts) {
  return facts.empty() ? Html() : pairs_table("Facts", facts);
}

}  // namespace report

/// The page. Throws ShapeError for parts that do not fit each other (probabilities, labels and label names; a
/// table's rows and columns; an image's pixels and size), ValueError for labels that are neither 0 nor 1 or,
/// unless multi-label, not one a row, and NumericError for a probability that is NaN.
inline std::string report_html(const RunReport& run) {
  using namespace report;
  Page page(run.title, run.summary);
  std::vector<Headline> figures;
  std::optional<Evaluation> evaluation;
  if (!run.probabilities.empty() || !run.labels.empty()) {
    evaluation = evaluate(run);
    figures = headline(*evaluation);
  }
  require(run.best_epoch >= 0, "report: the best epoch is ", run.best_epoch);
  if (run.history.size() > 0)
    figures.push_back({"epochs", text(run.history.size()),
                       best_epoch(run) > 0 ? text("best: epoch ", best_epoch(run)) : ""});
  page.set_headline(headline_html(figures));
  page.add_section("results"_html, "Results", comparison_section(run.comparisons));
  page.add_section("curves"_html, "Curves", curves(run));
  if (evaluation) {
    page.add_section("confusion"_html, "Confusion matrix", confusion_section(*evaluation));
    page.add_section("thresholds"_html, "Thresholds", threshold_section(*evaluation));
    page.add_section("precision-recall"_html, "Precision and recall", precision_recall_section(*evaluation));
    page.add_section("labels"_html, "Each label", label_section(*evaluation));
  }
  page.add_section("cooccurrence"_html, "Label co-occurrence", cooccurrence_section(run));
  page.add_section("samples"_html, "Samples", sample_section(run));
  page.add_section("figures"_html, "Images", figure_section(run));
  page.add_section("arguments"_html, "Arguments", argument_section(run.arguments));
  page.add_section("facts"_html, "Device, data and time", facts_section(run.facts));
  return page.str();
}

/// The page of a summary. Throws ShapeError as above, ValueError for a link that is not relative.
inline std::string summary_html(const SummaryReport& summary) {
  using namespace report;
  Page page(summary.title, summary.summary);
  page.add_section("results"_html, "Results", comparison_section(summary.tables));
  Html links, notes;
  if (!summary.links.empty()) {
    links.add("<ul>"_html);
    for (const auto& link : summary.links) {
      // Neither a scheme nor a host: "javascript:...", "//host", and what browsers read as such.
      require(!link.href.empty() && std::string_view("/ \t\r\n").find(link.href[0]) == std::string::npos &&
                  link.href.find_first_of(":\\") == std::string::npos,
              "report: the link '", link.href, "' is not relative");
      links.add("<li><a href=\""_html, link.href, "\">"_html, link.text, "</a></li>"_html);
    }
    links.add("</ul>"_html);
  }
  for (const auto& note : summary.notes) notes.add("<p>"_html, note, "</p>"_html);
  page.add_section("runs"_html, "Runs", links);
  page.add_section("notes"_html, "Notes", notes);
  page.add_section("facts"_html, "Device, data and time", facts_section(summary.facts));
  return page.str();
}

/// Writes the page to `path`: what is there is the old page or the new one, at any moment. Throws IoError,
/// and what making the page throws.
inline void write_report(const std::string& path, const RunReport& run) {
  io::atomic_write(path, report_html(run));
}
inline void write_report(const std::string& path, const SummaryReport& summary) {
  io::atomic_write(path, summary_html(summary));
}

}  // namespace kfer
