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
#include "kfer/train/report/html.hpp"

namespace kfer {

/// The page. Throws ShapeError for parts that do not fit each other (probabilities, labels and label names; a
/// table's rows and columns; an image's pixels and size), ValueError for labels that are neither 0 nor 1 or,
/// unless multi-label, not one a row, and NumericError for a probability that is NaN.
inline std::string report_html(const RunReport& run) {
  using namespace report;
  return Html("<!doctype html><title>"_html, run.title, "</title>"_html).str();
}

/// The page of a summary. Throws ShapeError as above, ValueError for a link that is not relative.
inline std::string summary_html(const SummaryReport& summary) {
  using namespace report;
  return Html("<!doctype html><title>"_html, summary.title, "</title>"_html).str();
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
