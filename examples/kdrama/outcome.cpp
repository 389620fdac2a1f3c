#include "kdrama/outcome.hpp"

#include <algorithm>
#include <filesystem>

#include "kfer/core/config.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/io/file.hpp"
#include "kfer/train/report.hpp"

namespace kdrama {

using namespace kfer;

namespace {

constexpr const char* result_file = "/result.json";

io::Json to_json(const Scores& s) {
  io::Json out = io::Json::object(), exact = io::Json::array(), f1 = io::Json::array();
  for (const double x : s.exact_match) exact.push_back(x);
  for (const double x : s.micro_f1) f1.push_back(x);
  out["accuracy"] = s.accuracy;
  out["exact_match"] = exact;
  out["micro_f1"] = f1;
  return out;
}

Scores scores_from(const io::Json& json) {
  Scores s{.accuracy = json.at("accuracy").as_double()};
  const auto read = [&](const char* name, std::array<double, 5>& into) {
    const auto& values = json.at(name).as_array();
    require<FormatError>(values.size() == into.size(), name, " has ", values.size(), " values, expected ",
                         into.size());
    for (std::size_t i = 0; i < into.size(); ++i) into[i] = values[i].as_double();
  };
  read("exact_match", s.exact_match);
  read("micro_f1", s.micro_f1);
  return s;
}

/// Arguments that do not change what comes out.
io::Json deciding(io::Json arguments) {
  io::Json::Object kept;
  constexpr std::string_view others[] = {"resume", "overwrite", "save-every", "workers", "output-dir", "name",
                                         "test-only", "test-weights", "eager",
                                         // "files" says what these hold.
                                         "data-path", "weights", "autoencoder"};
  for (const auto& [name, value] : arguments.as_object())
    if (std::ranges::find(others, name) == std::end(others)) kept.emplace_back(name, value);
  return io::Json(std::move(kept));
}

std::string fixed(double value, int decimals) {
  char out[64];
  std::snprintf(out, sizeof out, "%.*f", decimals, value);
  return out;
}

/// What `read` makes of the result of the run with these options, if it has finished.
template <class O, class Read>
auto result_of(const O& options, const Read& read) -> std::optional<decltype(read(io::Json()))> {
  const std::string path = options.directory() + result_file;
  if (!std::filesystem::exists(path)) return std::nullopt;
  const io::Json wanted = deciding(arguments_of(options));
  try {
    const io::Json json = io::parse_json(io::read_text(path), path);
    if (to_string(json.at("arguments")) != to_string(wanted)) return std::nullopt;
    return read(json);
  } catch (const FormatError& error) {
    std::fprintf(stderr, "'%s' is damaged (%s): the run is tested again\n", path.c_str(), error.what());
    return std::nullopt;
  }
}

/// "training time", as far as it is known.
std::string training_time(bool resumed, bool pretrained_elsewhere = false) {
  return text("training time", resumed ? " since the run was resumed" : "",
              pretrained_elsewhere ? ", without pre-training" : "");
}

std::string task_title(const Options& o) {
  return o.multi_label() ? "multi-label" : o.task + " classes";
}

std::string origin(const std::string& data_path) {
  return data::is_synthetic_kdrama(data_path)
             ? "Synthetic faces: drawn, not photographed. Not comparable with published figures."
             : "K-drama face images under '" + data_path + "'.";
}

}  // namespace

Outcome outcome_of(const Result& r) {
  return {.scores = r.scores,
          .baseline = r.baseline,
          .test_loss = r.test_loss,
          .leakage = r.leakage,
          .train_seconds = r.train_seconds,
          .train_images = r.train_images,
          .valid_images = r.valid_images,
          .test_images = r.test_images,
          .epochs = r.training.epochs,
          .best_epoch = r.training.best_epoch,
          .pretrained = r.pretrained,
          .resumed = r.resumed,
          .device = r.device};
}

void save_outcome(const Options& options, const Result& result) {
  const Outcome o = outcome_of(result);
  io::Json json = io::Json::object();
  json["arguments"] = deciding(result.arguments);
  json["scores"] = to_json(o.scores);
  json["baseline"] = to_json(o.baseline);
  json["test_loss"] = o.test_loss;
  json["leakage"] = o.leakage;
  json["train_seconds"] = o.train_seconds;
  json["train_images"] = o.train_images;
  json["valid_images"] = o.valid_images;
  json["test_images"] = o.test_images;
  json["epochs"] = o.epochs;
  json["best_epoch"] = o.best_epoch;
  json["pretrained"] = o.pretrained;
  json["resumed"] = o.resumed;
  json["device"] = o.device;

  RunReport report;
  report.title = text(title_of(options.model), ", ", task_title(options));
  report.summary = origin(options.data.data_path);
  report.facts = {{"device", o.device},
                  {"kfer", std::string(version)},
                  {"training images", text(o.train_images)},
                  {"validation images", text(o.valid_images)},
                  {"test images", text(o.test_images)},
                  {"split", options.data.split},
                  {"test images with an image of the same clip in train", fixed(o.leakage, 1) + " %"},
                  {"schedule", describe_schedule(options)},
                  {"epochs", text(o.epochs, result.training.stopped_early ? ", stopped early" : "")},
                  {"best epoch", text(o.best_epoch)},
                  {training_time(o.resumed, !options.autoencoder.empty()), fixed(o.train_seconds, 1) + " s"},
                  {"of which waiting for data", fixed(result.wait_seconds, 2) + " s"},
                  {"test loss", fixed(o.test_loss, 4)}};
  if (options.model == "resnet50")
    report.facts.emplace_back("backbone",
                              o.pretrained ? options.weights : "random numbers: no --weights were given");
  report.arguments = result.arguments;
  for (const auto label : options.set().names) report.label_names.emplace_back(label);
  report.multi_label = options.multi_label();
  report.history = result.history;
  report.best_epoch = o.best_epoch;
  report.probabilities = result.probabilities;
  report.labels = result.labels;
  report.train_labels = result.train_labels;
  report.comparisons = comparisons(options, o);
  for (const auto& s : result.samples)
    report.samples.push_back(
        {s.pixels, data::kdrama_image_size, data::kdrama_image_size, s.id, s.labels, s.probabilities});
  write_report(options.directory() + "/report.html", report);
  io::atomic_write(options.directory() + result_file,
                   to_string(json) + "\n");  // last: it says that all is there
}

void save_outcome(const PretrainOptions& options, const PretrainResult& result) {
  RunReport report;
  report.title = text("Autoencoder, reconstruction of ", options.set);
  report.summary = origin(options.data.data_path);
  report.facts = {
      {"device", result.device},
      {"kfer", std::string(version)},
      {"training images", text(result.train_images)},
      {"held-out images", text(result.held_out_images)},
      {"test images", text(result.test_images)},
      {"epochs", text(result.training.epochs)},
      {training_time(result.resumed), fixed(result.train_seconds, 1) + " s"},
      {"test loss (binary cross-entropy)", fixed(result.test_loss, 4)},
      {"PSNR of reconstructions", fixed(result.psnr, 2) + " dB"},
      {text("PSNR of images under noise of deviation ", options.noise), fixed(result.noisy_psnr, 2) + " dB"},
      {"PSNR of those, reconstructed", fixed(result.denoised_psnr, 2) + " dB"}};
  report.arguments = result.arguments;
  report.history = result.history;
  const auto pairs = [&](const char* title, const char* from, const char* to, auto first, auto second) {
    ReportFigures figures{.title = title, .rows = {}};
    constexpr int size = data::kdrama_image_size;
    for (const auto& e : result.examples)
      figures.rows.push_back({{first(e), size, size, from}, {second(e), size, size, to}});
    if (!figures.rows.empty()) report.figures.push_back(std::move(figures));
  };
  pairs(
      "Reconstruction", "image", "reconstruction", [](const auto& e) { return e.image; },
      [](const auto& e) { return e.reconstructed; });
  pairs(
      "Denoising", "with noise", "denoised", [](const auto& e) { return e.noisy; },
      [](const auto& e) { return e.denoised; });
  write_report(options.directory() + "/report.html", report);
  io::Json json = io::Json::object();
  json["arguments"] = deciding(result.arguments);
  json["test_loss"] = result.test_loss;
  json["psnr"] = result.psnr;
  json["noisy_psnr"] = result.noisy_psnr;
  json["denoised_psnr"] = result.denoised_psnr;
  json["train_seconds"] = result.train_seconds;
  json["device"] = result.device;
  io::atomic_write(options.directory() + result_file, to_string(json) + "\n");
}

bool has_outcome(const PretrainOptions& options) {
  return result_of(options, [](const io::Json& json) { return json.at("test_loss").as_double(); })
      .has_value();
}

std::optional<Outcome> load_outcome(const Options& options) {
  return result_of(options, [](const io::Json& json) {
    return Outcome{.scores = scores_from(json.at("scores")),
                   .baseline = scores_from(json.at("baseline")),
                   .test_loss = json.at("test_loss").as_double(),
                   .leakage = json.at("leakage").as_double(),
                   .train_seconds = json.at("train_seconds").as_double(),
                   .train_images = json.at("train_images").as_int(),
                   .valid_images = json.at("valid_images").as_int(),
                   .test_images = json.at("test_images").as_int(),
                   .epochs = json.at("epochs").as_int(),
                   .best_epoch = json.at("best_epoch").as_int(),
                   .pretrained = json.at("pretrained").as_bool(),
                   .resumed = json.at("resumed").as_bool(),
                   .device = json.at("device").as_string()};
  });
}

std::vector<ReportComparison> comparisons(const Options& options, const Outcome& outcome) {
  const Scores published = published_scores(options.set(), options.model);
  ReportComparison table{.title = text(title_of(options.model), ", ", task_title(options), ", % of ",
                                       outcome.test_images, " test images"),
                         .columns = {{"published"}, {"obtained"}, {"difference", 2, true}, {"majority"}},
                         .rows = {}};
  const auto line = [&](const std::string& what, double p, double o, double majority) {
    table.rows.push_back({what, {p * 100, o * 100, (o - p) * 100, majority * 100}});
  };
  if (options.multi_label()) {
    for (std::size_t i = 0; i < thresholds.size(); ++i)
      line(text("exact match at ", fixed(thresholds[i], 1)), published.exact_match[i],
           outcome.scores.exact_match[i], outcome.baseline.exact_match[i]);
    for (std::size_t i = 0; i < thresholds.size(); ++i)
      line(text("micro-F1 at ", fixed(thresholds[i], 1)), published.micro_f1[i], outcome.scores.micro_f1[i],
           outcome.baseline.micro_f1[i]);
    line("argmax accuracy", published.accuracy, outcome.scores.accuracy, outcome.baseline.accuracy);
  } else {
    line("accuracy", published.accuracy, outcome.scores.accuracy, outcome.baseline.accuracy);
  }
  return {table};
}

std::string as_text(const ReportComparison& table) {
  std::size_t first = 0;
  for (const auto& row : table.rows) first = std::max(first, row.name.size());
  std::string out = table.title + "\n";
  if (!table.note.empty()) out += table.note + "\n";
  std::vector<std::size_t> widths;
  out += std::string(first, ' ');
  for (const auto& column : table.columns) {
    widths.push_back(std::max<std::size_t>(column.name.size(), 8) + 2);
    out += std::string(widths.back() - column.name.size(), ' ') + column.name;
  }
  out += '\n';
  for (const auto& row : table.rows) {
    out += row.name + std::string(first - row.name.size(), ' ');
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      std::string cell = "-";
      if (row.cells[i]) {
        cell = fixed(*row.cells[i], table.columns[i].decimals);
        if (table.columns[i].is_signed && *row.cells[i] >= 0) cell.insert(0, "+");
      }
      out += std::string(widths[i] - std::min(widths[i], cell.size()), ' ') + cell;
    }
    out += '\n';
  }
  return out;
}

}  // namespace kdrama
