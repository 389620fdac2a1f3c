// Everything that the K-drama files tell without training on them: counts against the published ones, label
// sets, clips, how much of the test split leaks from train, every record checked, and a sheet of sample
// images.
//
//   inspect_dataset --data-path kdrama
//   inspect_dataset --data-path kdrama --sets multi-label --contact-sheet sheet.png
//   inspect_dataset --data-path kdrama --csv-only --json      # the label files alone
//
// Exit code: 0 all is sound; 3 something is missing or damaged, and listed; 2 usage, or no data at all.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/set_tables.hpp"
#include "kfer/data/kdrama_inspection.hpp"
#include "kfer/io/contact_sheet.hpp"
#include "kfer/train/flags.hpp"
#include "kfer/train/run.hpp"

namespace {

using namespace kfer;
using data::KdramaInspection;
using data::splits;
using data::total;

constexpr int exit_damaged = 3;

struct Options {
  std::string data_path, sets, contact_sheet, output_dir;
  bool csv_only = false, json = false;
  std::int64_t rows = 12, columns = 8, label_sets = 20, problems = 20;
};

bool parse(Options& options, int argc, char** argv) {
  Flags flags(
      "inspect_dataset",
      "Counts, checks and shows a data set in the published K-drama layout.\n"
      "Exit code: 0 all is sound; 3 something is missing or damaged, and listed; 2 usage, or no data.");
  flags.add("data-path", options.data_path, "folder that holds tfrecords/ and label/");
  flags.add("sets", options.sets, "of 6_basic_emo,22_emo,multi-label; empty: those that are there");
  flags.add("csv-only", options.csv_only, "look at the label files alone");
  flags.add("contact-sheet", options.contact_sheet, "PNG to write: sample images of each label set");
  flags.add("rows", options.rows, "label sets on the contact sheet, the most frequent first",
            {.min = 1, .max = 500});
  flags.add("columns", options.columns, "images of each on the contact sheet", {.min = 1, .max = 100});
  flags.add("output-dir", options.output_dir,
            "folder for the tables as CSV files, clip by clip ones included");
  flags.add("json", options.json, "print JSON instead of text");
  flags.add("label-sets", options.label_sets, "label sets in the text, 0: all", {.min = 0});
  flags.add("problems", options.problems, "problems of each set in the text, 0: all", {.min = 0});
  if (!flags.parse(argc, argv)) return false;
  require<UsageError>(!options.data_path.empty(), "--data-path is missing");
  require<UsageError>(!(options.csv_only && !options.contact_sheet.empty()),
                      "--contact-sheet needs the images, --csv-only leaves them alone");
  return true;
}

/// The sets asked for; those of which there is any file if none was.
std::vector<const data::LabelSet*> chosen_sets(const Options& options) {
  require<IoError>(std::filesystem::is_directory(options.data_path), "no folder '", options.data_path, "'");
  std::vector<const data::LabelSet*> out;
  if (options.sets.empty()) {
    for (const auto* set : data::label_sets)
      if (data::has_kdrama_set(options.data_path, *set, !options.csv_only)) out.push_back(set);
    require<IoError>(!out.empty(), "'", options.data_path,
                     "' holds no file of 6_basic_emo, 22_emo or multi-label, ",
                     "such as label/label_multi-label_train.csv");
    return out;
  }
  for (std::string_view rest = options.sets; !rest.empty();) {
    const auto comma = rest.find(',');
    const auto name = rest.substr(0, comma);
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    const auto known = std::ranges::find(data::label_sets, name, [](const auto* set) { return set->name; });
    require<UsageError>(known != data::label_sets.end(),
                        "--sets: expected 6_basic_emo, 22_emo or multi-label, got '",
                        inspect::printable(name), "'");
    require<IoError>(data::has_kdrama_set(options.data_path, **known, !options.csv_only), "'",
                     options.data_path, "' holds no file of ", name);
    if (std::ranges::find(out, *known) == out.end()) out.push_back(*known);
  }
  require<UsageError>(!out.empty(), "--sets names no set");
  return out;
}

/// Adds a row of samples for each of the most frequent label sets, each image of another clip as far as there
/// are clips. Records that cannot be read are passed over.
void add_samples(io::ContactSheet& sheet, const Options& options, const KdramaInspection& found) {
  std::array<std::optional<io::TfRecordReader>, 3> readers;
  for (std::size_t s = 0; s < splits.size(); ++s) {
    const auto files = kdrama_files(options.data_path, *found.set, splits[s]);
    if (found.records[s].records > 0)
      readers[s].emplace(files.records, io::TfRecordOptions{.on_corrupt = io::OnCorrupt::skip});
  }
  auto label_sets = inspect::by_frequency(found);
  std::erase_if(label_sets, [](const auto& entry) { return total(entry.second) == 0; });
  label_sets.resize(std::min(label_sets.size(), static_cast<std::size_t>(options.rows)));
  for (const auto& [labels, counts] : label_sets) {
    sheet.row(text(found.set->name, ": ", label_text(*found.set, labels), " (", total(counts), " images)"));
    std::int64_t shown = 0;
    std::set<std::string> clips;
    std::set<std::pair<std::size_t, std::size_t>> used;
    for (const bool new_clip : {true, false})
      for (std::size_t s = 0; s < splits.size(); ++s)
        for (std::size_t i = 0;
             readers[s] && i < std::min(found.published.rows[s].size(), readers[s]->size()); ++i) {
          const auto& row = found.published.rows[s][i];
          if (shown == options.columns) break;
          if (!row.sound || row.labels != labels || used.contains({s, i})) continue;
          if (new_clip && clips.contains(row.clip_id)) continue;
          try {
            const auto record = readers[s]->read(i);
            const auto image = io::decode_image(io::TfExample::parse(record).bytes("image_raw"));
            sheet.add(image.pixels, image.height, image.width,
                      row.image_id.substr(0, row.image_id.rfind('.')));
          } catch (const FormatError&) {
            continue;  // listed as a problem already
          }
          clips.insert(row.clip_id);
          used.insert({s, i});
          ++shown;
        }
  }
}

void print_text(const Options& options, const KdramaInspection& found,
                const std::vector<inspect::Table>& tables) {
  std::printf("\n%s\n", std::string(found.set->name).c_str());
  for (const auto& table : tables) {
    if (table.title.empty() || table.rows.empty()) continue;
    const auto limit = table.name == "label_sets" ? static_cast<std::size_t>(options.label_sets) : 0;
    std::fputs(to_text(table, limit).c_str(), stdout);
  }
  const auto count = static_cast<std::int64_t>(found.problems.size());
  if (count == 0) {
    std::printf("\n  nothing is missing or damaged%s\n", options.csv_only ? " in the label files" : "");
    return;
  }
  std::printf("\n  %lld %s\n", static_cast<long long>(count), count == 1 ? "problem" : "problems");
  const auto shown = options.problems == 0 ? count : std::min(count, options.problems);
  for (std::int64_t i = 0; i < shown; ++i)
    std::printf("    %s\n", inspect::printable(found.problems[static_cast<std::size_t>(i)].text()).c_str());
  if (shown < count) std::printf("    ... and %lld more\n", static_cast<long long>(count - shown));
}

int run(const Options& options) {
  const auto begin = std::chrono::steady_clock::now();
  const auto sets = chosen_sets(options);
  io::ContactSheet sheet({.columns = static_cast<int>(options.columns), .cell = 64, .caption_lines = 2});
  std::map<std::string, std::string> csv_files;
  io::Json sets_json = io::Json::object();
  std::int64_t records = 0, problems = 0;
  for (const auto* set : sets) {
    const auto found = data::inspect_kdrama(options.data_path, *set, !options.csv_only);
    const auto tables = inspect::set_tables(found);
    for (const auto& audit : found.records) records += audit.records;
    problems += static_cast<std::int64_t>(found.problems.size());
    if (!options.contact_sheet.empty()) add_samples(sheet, options, found);
    for (const auto& table : tables) {
      if (options.json) sets_json[set->name][table.name] = to_json(table);
      auto& csv = csv_files[table.name];
      csv += to_csv(table, set->name, csv.empty());
    }
    if (!options.json) print_text(options, found, tables);
  }
  if (!options.output_dir.empty()) {
    std::error_code code;
    std::filesystem::create_directories(options.output_dir, code);
    require<IoError>(!code, "cannot create '", options.output_dir, "': ", code.message());
    for (const auto& [name, content] : csv_files)
      io::atomic_write(text(options.output_dir, '/', name, ".csv"), content);
  }
  if (!options.contact_sheet.empty()) {
    require<FormatError>(sheet.size() > 0, "no image can be read: the contact sheet would be empty");
    sheet.write(options.contact_sheet);
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (options.json) {
    io::Json out;
    out["data_path"] = inspect::printable(options.data_path);
    out["records_checked"] = records;
    out["problems"] = problems;
    out["seconds"] = seconds;
    out["sets"] = std::move(sets_json);
    std::printf("%s\n", to_string(out, 2).c_str());
  } else {
    std::printf("\n%lld records checked, %lld problems, %.1f s\n", static_cast<long long>(records),
                static_cast<long long>(problems), seconds);
  }
  return problems == 0 ? 0 : exit_damaged;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("inspect_dataset", [&] {
    Options options;
    return parse(options, argc, argv) ? run(options) : 0;
  });
}
