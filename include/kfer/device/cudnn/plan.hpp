// Plan: one engine of cuDNN, compiled for one graph and one device; and the way there: the heuristics'
// proposals for a graph, best first, filtered by what the caller allows.
#pragma once

#include <memory>
#include <optional>
#include <set>

#include "kfer/device/cudnn/filter.hpp"
#include "kfer/device/cudnn/graph.hpp"

namespace kfer::cudnn {

/// Where a plan will run: the device of a live handle, or one that is only described, so that a machine
/// without a GPU can ask which plans exist.
class Target {
 public:
  /// The device of `handle`, which outlives this.
  explicit Target(cudnnHandle_t handle) : handle_(handle) {}
#if CUDNN_VERSION >= 90800
  /// A device by cuDNN's description of it, a JSON object.
  static Target described(std::string_view json) {
    Target target(nullptr);
    target.properties_ = Descriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    target.properties_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, std::span<const char>(json)).finalize();
    return target;
  }
#endif

  void bind_graph(Descriptor& graph) const {
    if (handle_) graph.set(graph_handle, handle_);
  }
  void bind_heuristics([[maybe_unused]] Descriptor& heuristics) const {
#if CUDNN_VERSION >= 90800
    if (!handle_) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties_);
#endif
  }
  void bind_plan(Descriptor& plan) const {
    if (handle_) plan.set(plan_handle, handle_);
#if CUDNN_VERSION >= 90800
    if (!handle_) plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties_);
#endif
  }

 private:
  // CUDNN_ATTR_OPERATIONGRAPH_HANDLE and CUDNN_ATTR_EXECUTION_PLAN_HANDLE: needed before 9.8, deprecated
  // names since.
  static constexpr auto graph_handle = static_cast<cudnnBackendAttributeName_t>(800);
  static constexpr auto plan_handle = static_cast<cudnnBackendAttributeName_t>(400);

  cudnnHandle_t handle_;
  Descriptor properties_;
};

/// An engine with its settings, as the heuristics propose it.
class Engine {
 public:
  explicit Engine(Descriptor config) : config_(std::move(config)) {
    const auto engines = config_.descriptors(CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    require<DeviceError>(!engines.empty(),
                         "cudnn: the heuristics proposed a configuration without an engine");
    const Descriptor& engine = engines.front();
    name_ = text("eng", engine.value<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX));
    for (const Descriptor& knob : config_.descriptors(
             CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, CUDNN_KNOB_TYPE_COUNTS))
      name_ +=
          text(',', static_cast<int>(knob.value<cudnnBackendKnobType_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE)),
               '=', knob.value<std::int64_t>(CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE));
    for (const auto note : engine.values<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                                      CUDNN_NUMERICAL_NOTE_TYPE_COUNT)) {
      notes_.tensor_core |= note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
      notes_.down_converts_inputs |= note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
      notes_.reduced_precision_sums |= note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION;
      notes_.nondeterministic |= note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    }
    for (const auto note : engine.values<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                                     CUDNN_BEHAVIOR_NOTE_TYPE_COUNT))
      notes_.compiled_at_run_time |= note == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION;
  }

  /// The engine's number and its knobs, "eng67,2=1,18=0": the same for the same choice in every run of this
  /// version of cuDNN on this model of GPU. Without spaces.
  const std::string& name() const { return name_; }
  const EngineNotes& notes() const { return notes_; }
  const Descriptor& config() const { return config_; }

 private:
  Descriptor config_;
  std::string name_;
  EngineNotes notes_;
};

/// Memory for one tensor of a graph.
struct Operand {
  std::int64_t uid;
  void* data;

  Operand(std::int64_t id, const void* memory) : uid(id), data(const_cast<void*>(memory)) {}
};

/// A compiled graph. Constant, but not every engine bears two threads running it at once.
class Plan {
 public:
  /// Nothing if cuDNN cannot compile this engine for the target, or it needs more workspace than the filter
  /// allows.
  static std::optional<Plan> make(std::shared_ptr<const Engine> engine, const Target& target,
                                  const PlanFilter& filter) {
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    target.bind_plan(plan);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine->config());
    if (!plan.try_finalize()) return {};
    const auto workspace = plan.value<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
    if (workspace > filter.workspace_limit) return {};
    return Plan(std::move(engine), std::move(plan), workspace);
  }

  const Engine& engine() const { return *engine_; }
  /// Bytes of device memory that a run needs besides its operands.
  std::int64_t workspace() const { return workspace_; }

  /// Queues the graph on the handle's stream. `operands` names every tensor in memory once; `workspace` has
  /// workspace() bytes, null if that is none. Throws Error.
  void run(cudnnHandle_t handle, std::span<const Operand> operands, void* workspace) const {
    std::vector<std::int64_t> uids;
    std::vector<void*> pointers;
    for (const Operand& o : operands) {
      uids.push_back(o.uid);
      pointers.push_back(o.data);
    }
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, pointers)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace)
        .finalize();
    check(cudnnBackendExecute(handle, plan_.get(), pack.get()), "cudnnBackendExecute");
  }

 private:
  Plan(std::shared_ptr<const Engine> engine, Descriptor plan, std::int64_t workspace)
      : engine_(std::move(engine)), plan_(std::move(plan)), workspace_(workspace) {}

  std::shared_ptr<const Engine> engine_;
  Descriptor plan_;
  std::int64_t workspace_;
};

/// The plans that a graph might run by on a target, best first by cuDNN's heuristics, then the engines that
/// it falls back to. Only their names are known until one is compiled.
class Candidates {
 public:
  /// `target` outlives this. Throws Error if the operations do not form a graph.
  Candidates(Graph graph, const Target& target, const PlanFilter& filter)
      : operations_(std::move(graph)), target_(target), filter_(filter) {
    for (Descriptor& op : operations_.operations()) op.finalize();
    graph_.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_.operations());
    target.bind_graph(graph_);
    graph_.finalize();
    std::set<std::string> seen;
    for (const auto mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
      for (Engine& engine : propose(mode))
        if (filter.admits(engine.notes()) && seen.insert(engine.name()).second)
          engines_.push_back(std::make_shared<const Engine>(std::move(engine)));
  }

  std::size_t size() const { return engines_.size(); }
  const std::string& name(std::size_t i) const { return engines_[i]->name(); }
  const EngineNotes& notes(std::size_t i) const { return engines_[i]->notes(); }
  /// Whether candidate `i` is worth its compilation, seconds long, only if none before it works.
  bool last_resort(std::size_t i) const { return notes(i).compiled_at_run_time; }
  /// Compiles candidate `i`, which may take a second; nothing if that fails.
  std::optional<Plan> make(std::size_t i) const { return Plan::make(engines_[i], target_, filter_); }

 private:
  std::vector<Engine> propose(cudnnBackendHeurMode_t mode) const {
    Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_).set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
    target_.bind_heuristics(heuristics);
    std::vector<Engine> out;
    if (!heuristics.try_finalize()) return out;  // a mode that knows nothing of such a graph
    for (Descriptor& config :
         heuristics.descriptors(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR))
      out.emplace_back(std::move(config));
    return out;
  }

  Graph operations_;
  const Target& target_;
  PlanFilter filter_;
  Descriptor graph_{CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR};
  std::vector<std::shared_ptr<const Engine>> engines_;
};

}  // namespace kfer::cudnn
