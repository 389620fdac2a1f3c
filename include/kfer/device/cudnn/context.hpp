// Context: cuDNN on one device, that is its handle and the plans of the graphs that have run there.
#pragma once

#include <cuda_runtime.h>

#include <map>

#include "kfer/device/cudnn/plan.hpp"
#include "kfer/device/cudnn/plan_cache.hpp"
#include "kfer/device/cudnn/timing.hpp"
#include "kfer/device/device.hpp"

namespace kfer::cudnn {

/// Thread-safe: one thread at a time queues work, since neither handles nor every engine's plans may be used by two.
class Context {
 public:
  /// The context of the calling thread's device, made at its first use. Throws Error if cuDNN cannot use that device.
  static Context& current() {
    int device = 0;
    detail::check_cuda(cudaGetDevice(&device), "cudaGetDevice");
    // Never destroyed: the driver may be gone when objects of static storage are.
    static std::mutex& mutex = *new std::mutex;
    static auto& contexts = *new std::map<int, std::unique_ptr<Context>>;
    const std::lock_guard lock(mutex);
    auto& context = contexts[device];
    if (!context) context.reset(new Context(device));
    return *context;
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { cudnnDestroy(handle_); }

  /// Queues the graph that `make_graph()` gives on D's stream, with workspace from D's memory; at the key's first use
  /// decides for a plan. Plans are timed unless a stream is being captured or the filter asks for determinism, which a
  /// choice by the clock is not. False, and nothing done, if no plan passes the filter. `key` tells everything on
  /// which the graph depends; the filter is added to it here.
  template <class D, class MakeGraph>
  bool run(std::string key, const MakeGraph& make_graph, std::span<const Operand> operands, const PlanFilter& filter) {
    const std::lock_guard lock(mutex_);
    check(cudnnSetStream(handle_, D::stream()), "cudnnSetStream");
    const auto execute = [&](const Plan& plan) {
      std::optional<Buffer<D>> workspace;
      if (plan.workspace()) workspace.emplace(static_cast<std::size_t>(plan.workspace()));
      plan.run(handle_, operands, workspace ? workspace->data() : nullptr);
    };
    const auto time = [&](const Plan& plan) -> std::optional<double> {
      try {
        return median_milliseconds(D::stream(), timed_runs, [&] { execute(plan); });
      } catch (const kfer::Error&) {
        cudaGetLastError();  // an error of this plan is not the next one's
        return {};
      }
    };
    PlanCache<Plan>::Timer timer;
    if (!filter.deterministic && !D::capturing()) timer = time;
    key += suffix(filter);
    const auto plan = plans_.get(
        key, [&] { return Candidates(make_graph(), target_, filter); }, timer);
    if (plan) execute(*plan);
    return plan != nullptr;
  }

  /// The plans of this device, to write out or read back its choices.
  PlanCache<Plan>& plans() { return plans_; }

  /// What a filter adds to a key: " strict", " deterministic", " workspace<=N".
  static std::string suffix(const PlanFilter& filter) {
    std::string out;
    if (filter.strict_fp32) out += " strict";
    if (filter.deterministic) out += " deterministic";
    if (filter.workspace_limit != PlanFilter().workspace_limit) out += text(" workspace<=", filter.workspace_limit);
    return out;
  }

 private:
  static constexpr int timed_runs = 5;

  explicit Context(int device) : handle_(make_handle()), target_(handle_), plans_(environment(device)) {}
  static cudnnHandle_t make_handle() {
    cudnnHandle_t handle = nullptr;
    check(cudnnCreate(&handle), "cudnnCreate");
    return handle;
  }
  static std::string environment(int device) {
    cudaDeviceProp properties{};
    detail::check_cuda(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
    return text("cudnn ", cudnnGetVersion(), ", ", &properties.name[0]);
  }

  std::mutex mutex_;
  cudnnHandle_t handle_;
  Target target_;
  PlanCache<Plan> plans_;
};

}  // namespace kfer::cudnn
