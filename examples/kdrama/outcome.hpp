// What a finished training leaves behind: result.json, report.html, and the lines that a program prints.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kdrama/experiment.hpp"
#include "kfer/train/report/contents.hpp"

namespace kdrama {

/// The figures of a finished run, as result.json keeps them.
struct Outcome {
  Scores scores, baseline;
  double test_loss = 0, leakage = 0, train_seconds = 0;
  std::int64_t train_images = 0, valid_images = 0, test_images = 0, epochs = 0, best_epoch = 0;
  bool pretrained = false, resumed = false;
  std::string device = "";
};
Outcome outcome_of(const Result& result);

/// Writes result.json and report.html into the run's directory. The report says whether the images
/// are synthetic. result.json has null for what is not finite.
void save_outcome(const Options& options, const Result& result);
void save_outcome(const PretrainOptions& options, const PretrainResult& result);
/// The outcome of the run that began with these options, but for those that do not change what comes out
/// (paths, workers, how often it saves), and has finished; nothing if there is none,
/// or (standard error says it) if its result.json is damaged: the run can then be resumed, and is tested
/// again.
std::optional<Outcome> load_outcome(const Options& options);
/// Whether the pre-training with these options, but for the same ones, has finished.
bool has_outcome(const PretrainOptions& options);

/// "published | obtained | difference | majority": percent.
std::vector<kfer::ReportComparison> comparisons(const Options& options, const Outcome& outcome);

/// A table as text: the title, then aligned columns.
std::string as_text(const kfer::ReportComparison& table);

}  // namespace kdrama
