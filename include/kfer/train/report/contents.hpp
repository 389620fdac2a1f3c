// What a report is made of: plain data that a program fills in. Parts left empty are left out of the page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kfer/io/json.hpp"
#include "kfer/train/history.hpp"

namespace kfer {

/// (name, value) pairs in the order in which they are shown: device, threads, time, images, split ...
using ReportFacts = std::vector<std::pair<std::string, std::string>>;

/// A column of figures.
struct ReportColumn {
  std::string name;
  int decimals = 2;        ///< digits after the point, 0 to 12
  bool is_signed = false;  ///< shown with + or -: a difference
};

/// A row of figures; a cell without a value is shown as a dash.
struct ReportRow {
  std::string name;
  std::vector<std::optional<double>> cells;
};

/// A table of figures: published | obtained | difference, models by baseline ... Each row has one cell a
/// column.
struct ReportComparison {
  std::string title;
  std::string note = "";  ///< one sentence above the table
  std::vector<ReportColumn> columns;
  std::vector<ReportRow> rows;
};

/// An image with what is written under it. `pixels`: height x width x 3 bytes, RGB, from top to bottom.
struct ReportImage {
  std::vector<std::uint8_t> pixels;
  int height = 0, width = 0;
  std::string caption = "";
};

/// A test image, its labels and what the model says: one value a label each, labels 0 or 1.
struct ReportSample {
  std::vector<std::uint8_t> pixels;  ///< height x width x 3, RGB
  int height = 0, width = 0;
  std::string id = "";
  std::vector<float> labels, probabilities;
};

/// Images that belong together, in rows: (input, reconstruction), (noisy, denoised) ...
struct ReportFigures {
  std::string title;
  std::string note = "";
  std::vector<std::vector<ReportImage>> rows;
};

/// The report of one training run.
struct RunReport {
  std::string title, summary;                 ///< one line each
  ReportFacts facts = {};                     ///< device, threads, time, images, split ...
  io::Json arguments = io::Json::object();    ///< of the run, an object
  std::vector<std::string> label_names = {};  ///< of the C labels
  bool multi_label = false;                   ///< else every row has exactly one label
  float threshold = 0.5f;       ///< multi-label: a label is predicted where its probability >= threshold
  History history = {};         ///< a chart for each column, "x" together with "val_x"
  std::int64_t best_epoch = 0;  ///< from 1, marked in the charts; 0: the lowest "val_loss", if there is one
  std::vector<float> probabilities = {}, labels = {};  ///< of the test images, rows x C
  std::vector<float> train_labels = {};  ///< rows x C: for support, co-occurrence and the baseline
  std::vector<ReportComparison> comparisons = {};
  std::vector<ReportSample> samples = {};
  std::vector<ReportFigures> figures = {};
};

/// A page of a report's folder, or one beside it.
struct ReportLink {
  std::string text;
  std::string href;  ///< relative
};

/// The summary of many runs.
struct SummaryReport {
  std::string title, summary;  ///< one line each
  ReportFacts facts = {};
  std::vector<ReportComparison> tables = {};
  std::vector<ReportLink> links = {};   ///< the reports of the runs
  std::vector<std::string> notes = {};  ///< a paragraph each
};

}  // namespace kfer
