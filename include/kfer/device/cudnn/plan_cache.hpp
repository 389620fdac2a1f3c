// PlanCache: which plan a graph runs by, decided once.
//
// Plans for one graph differ in speed by several times, and cuDNN's heuristics do not always put the best
// first. So at a graph's first use the first few are timed with its real operands, and the best is kept. A
// choice by the clock may fall otherwise in the next run, and another engine rounds otherwise: choices can be
// written out and read back, so that a later run repeats the first one bit for bit. No program does so yet.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "kfer/core/error.hpp"

namespace kfer::cudnn {

/// Thread-safe. Knows nothing of cuDNN: a plan is any movable type, and comes from candidates that have
///   size(), name(i) (no white space), make(i) -> std::optional<Plan>, empty if that candidate does not work,
///   and last_resort(i): whether it is to be made only if none before it works.
template <class Plan>
class PlanCache {
 public:
  /// The time of a run in any unit, or nothing if the plan fails to run.
  using Timer = std::function<std::optional<double>(const Plan&)>;

  /// `environment` is what choices are good for: the library's version and the model of the device, in one
  /// line. At most `timed` candidates are timed for a graph.
  explicit PlanCache(std::string environment, std::size_t timed = 12)
      : environment_(std::move(environment)), timed_(timed) {}

  /// The plan of the graph `key`, the same for the life of this cache; null if no candidate works, which is
  /// remembered too. `key` is one line that tells everything on which the graph and its plans depend. At the
  /// first call `candidates()` gives the candidates. If a choice for `key` was imported and is among them, it
  /// is taken; or else the fastest by `timer`, or the first that works if `timer` is empty or none could be
  /// timed.
  template <class MakeCandidates>
  std::shared_ptr<const Plan> get(const std::string& key, const MakeCandidates& candidates,
                                  const Timer& timer) {
    if (const auto known = find(key)) return *known;
    const std::lock_guard choosing(choosing_);  // one at a time: two timings would disturb each other
    if (const auto known = find(key)) return *known;
    Entry entry = choose(candidates(), imported(key), timer);
    const std::lock_guard lock(mutex_);
    return entries_.emplace(key, std::move(entry)).first->second.plan;
  }

  /// The choices so far, and imported ones not used yet, as text: the environment, then a line "key = name"
  /// each.
  std::string export_choices() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> choices = imported_;
    for (const auto& [key, entry] : entries_)
      if (entry.plan) choices[key] = entry.name;
    std::string out = text(title, environment_, '\n');
    for (const auto& [key, name] : choices) out += text(key, separator, name, '\n');
    return out;
  }

  /// Takes the choices of export_choices() for graphs that have no plan yet; gives their number. Choices of
  /// another environment mean nothing here and are left alone: 0. Throws FormatError, and takes nothing, if
  /// the text is not of that form.
  std::size_t import_choices(std::string_view exported) {
    std::map<std::string, std::string> choices;
    std::size_t number = 0;
    bool ours = false;
    while (!exported.empty()) {
      const std::size_t end = exported.find('\n');
      const std::string_view line = exported.substr(0, end);
      exported.remove_prefix(end == exported.npos ? exported.size() : end + 1);
      if (++number == 1) {
        require<FormatError>(line.starts_with(title), "cudnn plans: line 1 is '", line, "', expected '",
                             title, "...'");
        ours = line.substr(title.size()) == environment_;
        continue;
      }
      const std::size_t at = line.find(separator);
      require<FormatError>(at != line.npos && at > 0 && at + separator.size() < line.size() &&
                               line.find_first_of(" \t\r", at + separator.size()) == line.npos,
                           "cudnn plans: line ", number, " is '", line, "', expected 'key = name'");
      choices.insert_or_assign(std::string(line.substr(0, at)),
                               std::string(line.substr(at + separator.size())));
    }
    require<FormatError>(number > 0, "cudnn plans: the text is empty, expected '", title, "...'");
    if (!ours) return 0;
    const std::lock_guard lock(mutex_);
    std::size_t taken = 0;
    for (const auto& [key, name] : choices) {
      if (entries_.contains(key)) continue;
      imported_[key] = name;
      ++taken;
    }
    return taken;
  }

  /// Number of graphs that have been decided.
  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    std::shared_ptr<const Plan> plan;
    std::string name;
  };
  static constexpr std::string_view title = "cudnn plans 1: ", separator = " = ";

  std::optional<std::shared_ptr<const Plan>> find(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    return found == entries_.end() ? std::nullopt : std::optional(found->second.plan);
  }
  std::string imported(const std::string& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = imported_.find(key);
    return found == imported_.end() ? std::string() : found->second;
  }

  template <class Candidates>
  Entry choose(const Candidates& candidates, const std::string& wanted, const Timer& timer) const {
    for (std::size_t i = 0; i < candidates.size() && !wanted.empty(); ++i)
      if (candidates.name(i) == wanted)
        if (auto plan = candidates.make(i)) return entry(std::move(*plan), wanted);

    Entry first, best;
    double least = 0;
    for (std::size_t i = 0, tried = 0; i < candidates.size() && tried < timed_; ++i) {
      if (best.plan && candidates.last_resort(i)) continue;
      auto plan = candidates.make(i);
      if (!plan) continue;
      Entry made = entry(std::move(*plan), candidates.name(i));
      if (!timer) return made;
      ++tried;
      if (const auto time = timer(*made.plan); time && (!best.plan || *time < least)) {
        least = *time;
        best = made;
      }
      if (!first.plan) first = std::move(made);
    }
    return best.plan ? best : first;
  }
  static Entry entry(Plan plan, const std::string& name) {
    return {std::make_shared<const Plan>(std::move(plan)), name};
  }

  std::string environment_;
  std::size_t timed_;
  std::mutex choosing_;
  mutable std::mutex mutex_;  ///< guards what follows
  std::unordered_map<std::string, Entry> entries_;
  std::map<std::string, std::string> imported_;  ///< key -> name of the engine
};

}  // namespace kfer::cudnn
