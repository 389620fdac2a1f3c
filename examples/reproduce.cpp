// Every K-drama experiment of Cho et al. (BigComp 2022): nine trainings, on the published split and on the
// honest one, and Tables 1, 2 and 3 as published | obtained | difference, in one report.
//
//   reproduce                            synthetic faces, a quick schedule: minutes to an hour on two cores
//   reproduce --data-path kdrama         the files given, the published schedule: for a GPU
//
// What has finished is not done again: after an interruption or a crash, the same command goes on.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>

#include "kdrama/outcome.hpp"
#include "kdrama/synthetic.hpp"
#include "kfer/core/config.hpp"
#include "kfer/core/parallel.hpp"
#include "kfer/data/kdrama_files.hpp"
#include "kfer/device/with_device.hpp"
#include "kfer/models/identify.hpp"
#include "kfer/train/report.hpp"
#include "kfer/train/run.hpp"

namespace {

using namespace kdrama;
using kfer::text;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// What the program was asked for.
struct Request {
  DataOptions data;
  DeviceOptions device;
  std::string output_dir = "reproduction";
  std::string schedule = "auto", splits = "published,by-clip", tasks = "6,22,multi-label";
  std::string models = "autoencoder,conv_net,resnet50";
  std::string weights = "";
  std::int64_t images = 2400, seeds = 1;
  std::uint64_t seed = 46;
  bool overwrite = false;
};

/// The words of "a,b,c", each one of `known`, none twice. Throws UsageError.
std::vector<std::string> words(const char* flag, std::string_view list,
                               const std::vector<std::string>& known) {
  std::vector<std::string> out;
  for (std::size_t comma = 0; comma != std::string_view::npos; list.remove_prefix(comma + 1)) {
    comma = list.find(',');
    const auto word = list.substr(0, comma);
    kfer::require<kfer::UsageError>(std::ranges::find(out, word) == out.end(), flag, ": '", word,
                                    "' is named twice");
    out.emplace_back(word);
    std::string all;
    for (const auto& one : known) all += text(all.empty() ? "" : ", ", one);
    kfer::require<kfer::UsageError>(std::ranges::find(known, out.back()) != known.end(), flag, ": unknown '",
                                    out.back(), "'; known: ", all);
    if (comma == std::string_view::npos) break;
  }
  return out;
}

/// One training among all.
struct Job {
  std::string split;
  std::uint64_t seed;
  Options options;
};

/// The outcomes of one model on one task and split, one a seed.
using Key = std::tuple<std::string, std::string, std::string>;  // split, task, model
using Outcomes = std::map<Key, std::vector<Outcome>>;

struct Spread {
  double mean = 0, deviation = 0;
};
template <class Figure>
Spread spread(const std::vector<Outcome>& outcomes, const Figure& figure) {
  Spread s;
  const auto n = static_cast<double>(outcomes.size());
  for (const auto& o : outcomes) s.mean += figure(o) / n;
  for (const auto& o : outcomes) s.deviation += std::pow(figure(o) - s.mean, 2);
  s.deviation = outcomes.size() > 1 ? std::sqrt(s.deviation / (n - 1)) : 0;
  return s;
}

std::string suffix(const std::string& split, std::uint64_t seed, const Request& request) {
  return text(split == "published" ? "" : "-by-clip", seed == request.seed ? "" : text("-seed", seed));
}

bool quick(const Request& request) {
  return request.schedule == "quick" ||
         (request.schedule == "auto" && kfer::data::is_synthetic_kdrama(request.data.data_path));
}

/// The pre-training of a split and seed: of the multi-label images, as published; on the honest split of each
/// task's own images, since a clip may be on another side in another set.
PretrainOptions pretraining(const Request& request, const Job& job) {
  PretrainOptions o = quick(request) ? quick_pretraining() : PretrainOptions();
  o.data = request.data;
  o.data.split = job.split;
  o.device = request.device;
  o.seed = job.seed == request.seed ? o.seed : job.seed;
  if (job.split == "by-clip") o.set = std::string(job.options.set().name);
  o.run.output_dir = request.output_dir;
  o.run.name = o.set + suffix(job.split, job.seed, request);
  return o;
}

/// The weights of an autoencoder, trained unless they are there. Nothing if interrupted.
std::optional<std::string> autoencoder(PretrainOptions o, const std::string& command) {
  const std::string weights = o.directory() + "/weights/best.safetensors";
  if (has_outcome(o)) return weights;
  o.run.resume = kfer::holds_run(o.directory());
  std::printf("autoencoder, reconstruction of %s (%s split)\n", o.set.c_str(), o.data.split.c_str());
  std::fflush(stdout);
  const auto result = pretrain(o, command);
  if (result.training.interrupted) return std::nullopt;
  save_outcome(o, result);
  return weights;
}

/// Of the run in `directory` nothing is left that says it was begun or finished.
void forget(const std::string& directory) {
  for (const char* file : {"/result.json", "/state.safetensors"}) {
    std::error_code code;
    std::filesystem::remove(directory + file, code);
    kfer::require<kfer::IoError>(!code, "cannot remove '", directory, file, "': ", code.message());
  }
}

std::vector<Job> jobs(const Request& request) {
  const auto splits = words("--splits", request.splits, {"published", "by-clip"});
  const auto tasks = words("--tasks", request.tasks, {"6", "22", "multi-label"});
  const auto models = words("--models", request.models, {"autoencoder", "conv_net", "resnet50"});
  std::vector<Job> out;
  for (const auto& split : splits)
    for (std::int64_t i = 0; i < request.seeds; ++i)
      for (const auto& task : tasks)
        for (const auto& model : models) {
          Job job{split, request.seed + static_cast<std::uint64_t>(i),
                  quick(request) ? quick_recipe(task, model) : published_recipe(task, model)};
          job.options.data = request.data;
          job.options.data.split = split;
          job.options.device = request.device;
          job.options.seed = job.seed;
          job.options.weights = model == "resnet50" ? request.weights : "";
          job.options.run.output_dir = request.output_dir;
          job.options.run.name = model + suffix(split, job.seed, request);
          out.push_back(std::move(job));
        }
  return out;
}

bool has_resnet(const std::vector<Job>& all) {
  return std::ranges::any_of(all, [](const Job& job) { return job.options.model == "resnet50"; });
}

std::string task_title(const std::string& task) {
  return task == "multi-label" ? "multi-label" : task + "-class";
}

/// Images in each part of each set.
kfer::ReportComparison table1(const Outcomes& outcomes, const std::string& split) {
  kfer::ReportComparison table{.title = text("Table 1. Images, ", split, " split"),
                               .columns = {{"published", 0}, {"here", 0}, {"difference", 0, true}},
                               .rows = {}};
  for (const std::string task : {"6", "22", "multi-label"}) {
    const auto run = std::ranges::find_if(outcomes, [&](const auto& one) {
      return std::get<0>(one.first) == split && std::get<1>(one.first) == task;
    });
    if (run == outcomes.end()) continue;
    const Outcome& first = run->second.front();
    Options o;
    o.task = task;
    const auto line = [&](const char* name, std::int64_t published, std::int64_t here) {
      table.rows.push_back({text(task_title(task), ", ", name),
                            {static_cast<double>(published), static_cast<double>(here),
                             static_cast<double>(here - published)}});
    };
    using kfer::data::Split;
    line("train", o.set().images(Split::train), first.train_images);
    line("validation", o.set().images(Split::valid), first.valid_images);
    line("test", o.set().images(Split::test), first.test_images);
    line("total", o.set().images(), first.train_images + first.valid_images + first.test_images);
  }
  return table;
}

/// A table of figures in percent, a row a model and figure.
class Table {
 public:
  Table(std::string title, bool seeds) : seeds_(seeds) {
    table_.title = std::move(title);
    table_.columns = {{"published"}, {"obtained"}, {"difference", 2, true}};
    if (seeds) table_.columns.push_back({"deviation"});
    table_.columns.push_back({"majority"});
  }
  template <class Figure>
  void add(std::string name, double published, const std::vector<Outcome>& runs, const Figure& figure) {
    const auto s = spread(runs, [&](const Outcome& o) { return 100 * figure(o.scores); });
    const auto majority = spread(runs, [&](const Outcome& o) { return 100 * figure(o.baseline); });
    kfer::ReportRow row{std::move(name), {100 * published, s.mean, s.mean - 100 * published}};
    if (seeds_) row.cells.emplace_back(runs.size() > 1 ? std::optional(s.deviation) : std::nullopt);
    row.cells.emplace_back(majority.mean);
    table_.rows.push_back(std::move(row));
  }
  const kfer::ReportComparison& get() const { return table_; }

 private:
  kfer::ReportComparison table_;
  bool seeds_;
};

/// Tables 1, 2 and 3 of a split: what there is of them.
std::vector<kfer::ReportComparison> tables(const Outcomes& outcomes, const std::string& split, bool seeds) {
  Table table2(text("Table 2. Accuracy of the multi-class experiments (%), ", split, " split"), seeds);
  Table table3(
      text("Table 3. Exact match of the multi-label experiments at thresholds (%), ", split, " split"),
      seeds);
  Table f1(text("Micro-F1 and argmax accuracy of the multi-label experiments (%), ", split, " split"), seeds);
  for (const std::string task : {"6", "22", "multi-label"})
    for (const auto model : models) {
      const auto found = outcomes.find({split, task, std::string(model)});
      if (found == outcomes.end()) continue;
      const auto& runs = found->second;
      Options o;
      o.task = task;
      const Scores published = published_scores(o.set(), model);
      const std::string title(title_of(model));
      if (task != "multi-label") {
        table2.add(text(title, ", ", task, " classes"), published.accuracy, runs,
                   [](const Scores& s) { return s.accuracy; });
        continue;
      }
      for (std::size_t i = 0; i < thresholds.size(); ++i) {
        const std::string at = text(title, " at 0.", i + 1);
        table3.add(at, published.exact_match[i], runs, [i](const Scores& s) { return s.exact_match[i]; });
        f1.add(at, published.micro_f1[i], runs, [i](const Scores& s) { return s.micro_f1[i]; });
      }
      f1.add(title + ", argmax", published.accuracy, runs, [](const Scores& s) { return s.accuracy; });
    }
  std::vector<kfer::ReportComparison> out{table1(outcomes, split)};
  for (const auto* table : {&table2, &table3, &f1})
    if (!table->get().rows.empty()) out.push_back(table->get());
  return out;
}

/// One line for each figure of each run.
std::string csv(const std::vector<Job>& all, const std::vector<Outcome>& outcomes) {
  std::string out = "split,task,model,seed,figure,value\n";
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    const auto line = [&](const std::string& figure, double value) {
      out += text(all[i].split, ',', all[i].options.task, ',', all[i].options.model, ',', all[i].seed, ',',
                  figure, ',', value, '\n');
    };
    const auto& o = outcomes[i];
    line("accuracy", o.scores.accuracy);
    for (std::size_t t = 0; all[i].options.multi_label() && t < thresholds.size(); ++t) {
      line(text("exact_match_0.", t + 1), o.scores.exact_match[t]);
      line(text("micro_f1_0.", t + 1), o.scores.micro_f1[t]);
    }
    line("test_loss", o.test_loss);
    line("leakage_percent", o.leakage);
    line("epochs", static_cast<double>(o.epochs));
    line("best_epoch", static_cast<double>(o.best_epoch));
    line("train_seconds", o.train_seconds);
  }
  return out;
}

/// Throws for what cannot be had or is not known, before any work is done.
void check(const Request& request) {
  kfer::with_device(request.device.device, [](auto) {});
  const auto all = jobs(request);
  for (const auto& job : all) job.options.check();
  if (request.weights.empty()) return;
  kfer::require<kfer::UsageError>(has_resnet(all), "--weights is for resnet50, which --models leaves out");
  const auto file = kfer::io::Safetensors::open(request.weights);
  const auto kind = kfer::models::identify_tensors(file.tensors());
  kfer::require<kfer::FormatError>(kind && kind->name == "resnet50", "--weights: '", request.weights,
                                   "' holds the tensors of ", kind ? kind->name : "none of kfer's models",
                                   ", not of resnet50");
}

int run(int argc, char** argv) {
  Request request;
  kfer::Flags flags(
      "reproduce",
      "Runs the nine K-drama trainings and writes Tables 1, 2 and 3: published, obtained, difference.");
  flags
      .add("data-path", request.data.data_path,
           "directory with tfrecords/ and label/ (default: synthetic faces)")
      .add("images", request.images, "synthetic faces to draw; published: 38817", {.min = 500, .max = 38817})
      .add("schedule", request.schedule, "auto: quick for synthetic faces, published for others",
           {.choices = {"auto", "quick", "published"}})
      .add("splits", request.splits, "of published (by image) and by-clip (no clip on two sides)")
      .add("tasks", request.tasks, "of 6, 22 and multi-label")
      .add("models", request.models, "of autoencoder, conv_net and resnet50")
      .add("weights", request.weights, "resnet50: backbone to start from, as import_weights writes it")
      .add("augment", request.data.augment, "of training images; published: none")
      .add("seeds", request.seeds, "runs of each training, with seeds from --seed on",
           {.min = 1, .max = 1000})
      .add("seed", request.seed, "of weights, order and dropout; of the faces drawn")
      .add("device", request.device.device, "cpu or cuda")
      .add("amp", request.device.amp, "cuda: activations in bfloat16, parameters in float")
      .add("strict-fp32", request.device.strict_fp32, "cuda: no TensorFloat-32 in products of float")
      .add("eager", request.device.eager, "cuda: launch every kernel instead of replaying captured graphs")
      .add("workers,j", request.data.workers, "threads that decode images", {.min = 0, .max = 256})
      .add("on-corrupt", request.data.on_corrupt, "what a damaged record does", {.choices = {"fail", "skip"}})
      .add("output-dir", request.output_dir, "where data, runs and the report are written")
      .add("overwrite", request.overwrite, "do finished trainings again");
  if (!flags.parse(argc, argv)) return 0;

  const double start = now();
  check(request);
  std::printf("kfer %s, device %s, %d threads\n", kfer::version, request.device.device.c_str(),
              kfer::num_threads());
  if (request.data.data_path.empty()) {
    request.data.data_path =
        text(request.output_dir, "/kdrama-synthetic-", request.images, "-", request.seed);
    if (!std::filesystem::exists(
            kfer::data::kdrama_label_file(request.data.data_path, kfer::data::multi_label)))
      write_synthetic(request.data.data_path, request.images, request.seed);
    std::printf("%lld SYNTHETIC faces in %s\n", static_cast<long long>(request.images),
                request.data.data_path.c_str());
  }
  const auto all = jobs(request);
  const std::string command = flags.command("", "--overwrite");  // that goes on after an interruption
  std::vector<Outcome> outcomes;
  Outcomes by_key;
  if (request.overwrite)
    for (const auto& job : all) {
      forget(job.options.directory());
      if (job.options.model == "autoencoder") forget(pretraining(request, job).directory());
    }
  for (std::size_t i = 0; i < all.size(); ++i) {
    Job job = all[i];
    Options& o = job.options;
    if (o.model == "autoencoder") {
      const auto weights = autoencoder(pretraining(request, job), command);
      if (!weights) return kfer::exit_interrupted;
      o.autoencoder = *weights;
    }
    auto outcome = load_outcome(o);
    std::printf("[%zu/%zu] %s, %s, %s split, seed %llu%s\n", i + 1, all.size(),
                std::string(title_of(o.model)).c_str(), task_title(o.task).c_str(), job.split.c_str(),
                static_cast<unsigned long long>(job.seed), outcome ? ": finished before" : "");
    std::fflush(stdout);
    if (!outcome) {
      o.run.resume = kfer::holds_run(o.directory());
      const auto result = kdrama::run(o, command);
      if (result.training.interrupted) return kfer::exit_interrupted;
      save_outcome(o, result);
      outcome = outcome_of(result);
    }
    outcomes.push_back(*outcome);
    by_key[{job.split, o.task, o.model}].push_back(*outcome);
  }

  const bool synthetic = kfer::data::is_synthetic_kdrama(request.data.data_path);
  kfer::SummaryReport report;
  report.title = "K-drama facial emotion recognition: every experiment";
  report.summary =
      synthetic ? "SYNTHETIC faces: drawn, not photographed. Figures here and published ones do not compare."
                : text("The files under '", request.data.data_path, "'.");
  double seconds = 0;
  bool resumed = false, pretrained = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    seconds += outcomes[i].train_seconds;
    resumed |= outcomes[i].resumed;
    pretrained |= all[i].options.model == "autoencoder";
  }
  report.facts = {
      {"device", outcomes.front().device},
      {"kfer", std::string(kfer::version)},
      {"schedule", quick(request) ? "quick: fewer epochs at a higher rate than published" : "published"},
      {"trainings", text(outcomes.size(), ", ", request.seeds, " seed(s)")},
      {"training time", text(static_cast<std::int64_t>(seconds + 0.5), " s",
                             pretrained ? ", without the autoencoders' pre-training" : "",
                             resumed ? ", without that before interruptions" : "")}};
  for (const auto& split : words("--splits", request.splits, {"published", "by-clip"}))
    for (auto& table : tables(by_key, split, request.seeds > 1)) {
      if (split == "by-clip")
        table.note = "No clip is on two sides here; the published figures beside are of the split by image.";
      std::printf("\n%s", as_text(table).c_str());
      report.tables.push_back(std::move(table));
    }
  kfer::ReportComparison leakage{.title = "Test images with an image of the same clip in train (%)",
                                 .columns = {{"published", 1}, {"here", 1}},
                                 .rows = {}};
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string name = text(task_title(all[i].options.task), ", ", all[i].split, " split");
    if (std::ranges::find(leakage.rows, name, &kfer::ReportRow::name) == leakage.rows.end())
      leakage.rows.push_back(
          {name,
           {all[i].split == "published" ? std::optional(published_leakage(all[i].options.set()))
                                        : std::nullopt,
            outcomes[i].leakage}});
    report.links.push_back(
        {text(title_of(all[i].options.model), ", ", name, ", seed ", all[i].seed),
         all[i].options.directory().substr(request.output_dir.size() + 1) + "/report.html"});
  }
  std::printf("\n%s", as_text(leakage).c_str());
  report.tables.push_back(std::move(leakage));
  if (synthetic)
    report.notes.push_back(
        "The faces are drawn from label statistics of the published data. They are an easier problem "
        "than photographs: read these figures as a proof that the experiments run, not as a result.");
  if (has_resnet(all) && request.weights.empty())
    report.notes.push_back("ResNet50 started from random numbers: no ImageNet weights were given.");
  kfer::write_report(request.output_dir + "/report.html", report);
  kfer::io::atomic_write(request.output_dir + "/figures.csv", csv(all, outcomes));
  std::printf("\nreport: %s/report.html; figures: %s/figures.csv; %.0f s\n", request.output_dir.c_str(),
              request.output_dir.c_str(), now() - start);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return kfer::run_program("reproduce", [&] { return run(argc, argv); });
}
