// Reports with every part in them, of synthetic faces and made-up predictions: what the tests of the page
// look at, here and in a browser.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kfer/data/counter_random.hpp"
#include "kfer/data/label_sets.hpp"
#include "kfer/data/synthetic_faces.hpp"
#include "kfer/train/report.hpp"

namespace pages {

using namespace kfer;

/// Labels that are attacks on a page: tags, quotes, references, bytes that are not UTF-8.
inline const std::string hostile =
    "<script>alert('x')</script> \"&amp;\" \xff\xc3 <img src=x onerror=alert(1)>";

inline History made_history(std::int64_t epochs, bool multi_label) {
  History history;
  data::CounterRandom random{7};
  for (std::int64_t e = 0; e < epochs; ++e) {
    const double t = static_cast<double>(e) / 12, noise = 0.004 * random.normal();
    history.append({{"loss", 0.12 + 0.5 * std::exp(-t)},
                    {"val_loss", 0.2 + 0.36 * std::exp(-t) + 0.01 * t * t + noise},
                    {"accuracy", 0.85 - 0.5 * std::exp(-t)},
                    {"val_accuracy", 0.76 - 0.4 * std::exp(-t) + noise},
                    {multi_label ? "val_exact_match" : "val_uar", 0.68 - 0.5 * std::exp(-t) - noise},
                    {"lr", 1e-5 * std::pow(0.95, static_cast<double>(e) / 10)}});
  }
  return history;
}

/// A score near its label, more often than not.
inline float made_score(bool present, data::CounterRandom& random) {
  return 1 / (1 + std::exp(-(present ? 1.4f : -2.4f) - 1.5f * random.normal()));
}

/// A run of `set` on `images` synthetic faces, every fourth of them a test image.
inline RunReport made_report(const data::LabelSet& set, bool multi_label, std::int64_t images) {
  const data::SyntheticFaces faces({.images = images});
  RunReport report{.title = text("ConvNN, ", set.name), .summary = "Synthetic faces, made-up predictions."};
  report.multi_label = multi_label;
  for (const auto name : set.names) report.label_names.emplace_back(name);
  const std::size_t classes = set.width();
  data::CounterRandom random{11};
  for (std::int64_t i = 0; i < images; ++i) {
    std::vector<float> labels(classes), scores;
    if (multi_label)
      for (std::size_t c = 0; c < classes; ++c) labels[c] = faces.labels(i) >> c & 1;
    else
      labels[std::min(classes - 1, static_cast<std::size_t>(std::pow(random.uniform(), 1.6f) *
                                                            static_cast<float>(classes)))] = 1;
    if (i % 4 != 3) {
      report.train_labels.insert(report.train_labels.end(), labels.begin(), labels.end());
      continue;
    }
    for (std::size_t c = 0; c < classes; ++c) scores.push_back(made_score(labels[c] == 1, random));
    report.labels.insert(report.labels.end(), labels.begin(), labels.end());
    report.probabilities.insert(report.probabilities.end(), scores.begin(), scores.end());
    if (report.samples.size() < 40) {
      ReportSample sample{.pixels = std::vector<std::uint8_t>(faces.image_bytes()),
                          .height = 64,
                          .width = 64,
                          .id = faces.image_id(i),
                          .labels = labels,
                          .probabilities = scores};
      faces.draw(i, sample.pixels);
      report.samples.push_back(std::move(sample));
    }
  }
  report.history = made_history(34, multi_label);
  report.comparisons = {
      {.title = "Exact match at thresholds, %",
       .note =
           "Synthetic faces are an easier problem than photographs: published and obtained do not compare.",
       .columns = {{"0.1"}, {"0.2"}, {"0.3"}, {"0.4"}, {"0.5"}},
       .rows = {{"published", {48.82, 60.82, 65.30, 67.65, 68.03}},
                {"obtained", {34.58, 53.75, 63.75, 68.33, std::nullopt}}}},
      {.title = "Published, obtained, difference",
       .columns = {{"published"}, {"obtained"}, {"difference", 2, true}, {"majority answer"}},
       .rows = {{"exact match at 0.5, %", {68.03, 71.25, 3.22, 19.58}},
                {"argmax accuracy, %", {60.61, 72.92, -12.31, std::nullopt}}}}};
  report.arguments["data-path"] = "kdrama";
  report.arguments["model"] = "conv_net";
  report.arguments["lr"] = 1e-5;
  report.arguments["epochs"] = 1000;
  report.arguments["amp"] = false;
  report.arguments["note"] = std::string(70, 'x');
  report.facts = {{"device", "cpu, 2 threads"},
                  {"training images", text(images * 3 / 4)},
                  {"test images", text(images - images * 3 / 4)},
                  {"split", "published: images of one clip are on both sides"},
                  {"time", "12:34"}};
  return report;
}

/// A pre-training: no labels, but images beside their reconstructions.
inline RunReport made_autoencoder_report() {
  const data::SyntheticFaces faces({.images = 60});
  RunReport report{.title = "Autoencoder, pre-training", .summary = "Synthetic faces."};
  for (int e = 0; e < 20; ++e)
    report.history.append({{"epoch", e + 1.0},
                           {"loss", 0.53 + 0.02 * std::exp(-e / 4.0)},
                           {"val_loss", 0.56 + 0.01 * std::exp(-e / 4.0)}});
  ReportFigures group{.title = "Input and reconstruction", .note = "Held-out images.", .rows = {}};
  for (std::int64_t i = 0; i < 8; ++i) {
    ReportImage input{std::vector<std::uint8_t>(faces.image_bytes()), 64, 64, "input"};
    faces.draw(i, input.pixels);
    auto output = input;
    output.caption = "reconstruction";
    for (auto& pixel : output.pixels) pixel = static_cast<std::uint8_t>(pixel / 32 * 32 + 16);
    group.rows.push_back({input, output});
  }
  report.figures = {group};
  return report;
}

/// Every text of a report is an attack, some epochs have no number, some labels no image.
inline RunReport made_hostile_report() {
  RunReport report{.title = hostile, .summary = hostile};
  report.multi_label = true;
  report.label_names = {hostile, std::string(90, 'w'), "", "never"};
  for (int e = 0; e < 9; ++e)
    report.history.append({{hostile, e == 3 ? NAN : 1e9 * e},
                           {"val_loss", e % 2 ? NAN : INFINITY},
                           {"acc", e == 5 ? 1e308 : -1e308},
                           {"constant", 7},
                           {"tiny", 1e-12 * e}});
  report.probabilities = {0.9f, 0.1f, 0.8f, 0, 0.2f, 0.3f, 0.4f, 0, 0.5f, 0.6f, 0.1f, 0.7f};
  report.labels = {1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0};
  report.train_labels = {1, 1, 0, 0, 0, 0, 1, 0};
  report.comparisons = {{hostile, hostile, {{hostile}, {"b"}}, {{hostile, {NAN, -INFINITY}}}}};
  report.samples = {
      {std::vector<std::uint8_t>(3, 200), 1, 1, hostile, {1, 0, 0, 0}, {0.1f, 0.9f, 0.6f, 0.5f}},
      {std::vector<std::uint8_t>(30, 99), 2, 5, std::string(80, 'i'), {}, {}}};
  report.figures = {{hostile, hostile, {{{std::vector<std::uint8_t>(12, 1), 2, 2, hostile}}}}};
  report.arguments[hostile] = hostile;
  report.arguments["nested"]["list"].push_back(hostile);
  report.facts = {{hostile, hostile}};
  return report;
}

inline SummaryReport made_summary() {
  return {.title = "Every experiment",
          .summary = "Synthetic faces: 1920 for training, 240 for testing.",
          .facts = {{"device", "cpu, 2 threads"}, {"time", "1:02:03"}},
          .tables = made_report(data::basic6, false, 200).comparisons,
          .links = {{"ConvNN, multi-label", "multi-label/report.html"}, {"22 classes", "emo22.html"}},
          .notes = {"Rows \u201chere\u201d and \u201cpublished\u201d do not compare: the data differ."}};
}

/// File name and page.
inline std::map<std::string, std::string> all_pages() {
  auto one_epoch = made_report(data::basic6, false, 800);
  one_epoch.title = "One epoch, 6 classes";
  one_epoch.history = made_history(1, false);
  auto long_run = made_report(data::multi_label, true, 400);
  long_run.title = "1000 epochs";
  long_run.history = made_history(1000, true);
  long_run.samples.clear();
  RunReport one_label{.title = "One label, nothing trained", .summary = "Made-up predictions."};
  one_label.label_names = {"smile"};
  one_label.multi_label = true;
  one_label.probabilities = {0.2f, 0.8f, 0.6f};
  one_label.labels = {0, 1, 0};
  return {{"multi_label.html", report_html(made_report(data::multi_label, true, 2400))},
          {"emo22.html", report_html(made_report(data::emo22, false, 2400))},
          {"basic6.html", report_html(one_epoch)},
          {"long.html", report_html(long_run)},
          {"autoencoder.html", report_html(made_autoencoder_report())},
          {"one_label.html", report_html(one_label)},
          {"hostile.html", report_html(made_hostile_report())},
          {"summary.html", summary_html(made_summary())}};
}

}  // namespace pages
