// Context: cuDNN on the Cuda device, that is its handle and the plans of the graphs that have run there.
#pragma once

#include <array>

#include "kfer/device/cuda.hpp"
#include "kfer/device/cudnn/plan.hpp"
#include "kfer/device/cudnn/plan_cache.hpp"

namespace kfer::cudnn {

/// Thread-safe: one thread at a time queues work, since neither a handle nor every engine's plan may be used
/// by two.
class Context {
 public:
  /// The context of this process, made at the first call. Throws DeviceError if there is no GPU that cuDNN
  /// can use. Never destroyed: the driver may be gone when objects of static storage are.
  static Context& instance() {
    static Context& context = *new Context;
    return context;
  }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// Queues the graph that `make_graph()` gives, with workspace from the device's memory; decides for a plan
  /// at the first use of `key`, which tells everything on which the graph depends (the filter is added here).
  /// Plans are timed then, with these operands, unless a stream is being captured, or runs must repeat: a
  /// choice by the clock does not. False, and nothing is done, if no plan passes the filter.
  template <class MakeGraph>
  bool run(const std::string& key, const MakeGraph& make_graph, std::span<const Operand> operands,
           const PlanFilter& filter) {
    const std::lock_guard lock(mutex_);
    check(cudnnSetStream(handle_, Cuda::stream()), "cudnnSetStream");
    const auto candidates = [&] { return Candidates(make_graph(), target_, filter); };
    PlanCache<Plan>::Timer timer;
    if (!filter.math.deterministic && !Cuda::capturing())
      timer = [&](const Plan& plan) { return median_seconds(plan, operands); };
    const auto plan = [&] {
      const cuda::OutsideCapture outside;  // loading an engine's code is no part of a graph
      return plans_.get(key + to_string(filter), candidates, timer);
    }();
    if (plan) execute(*plan, operands);
    return plan != nullptr;
  }

  /// The plans so far: to write out the choices, or to read them back.
  PlanCache<Plan>& plans() { return plans_; }

 private:
  Context() : handle_(make_handle()), target_(handle_), plans_(environment()) {}

  static cudnnHandle_t make_handle() {
    static_cast<void>(Cuda::stream());  // binds this thread to the device
    const cuda::OutsideCapture outside;
    cudnnHandle_t handle = nullptr;
    check(cudnnCreate(&handle), "cudnnCreate");
    return handle;
  }
  static std::string environment() {
    cudaDeviceProp properties;
    cuda::check(cudaGetDeviceProperties(&properties, Cuda::ordinal()), "cudaGetDeviceProperties");
    return text("cudnn ", cudnnGetVersion(), ", ", static_cast<const char*>(properties.name));
  }

  void execute(const Plan& plan, std::span<const Operand> operands) {
    std::optional<Buffer<Cuda>> workspace;
    if (plan.workspace()) workspace.emplace(static_cast<std::size_t>(plan.workspace()));
    plan.run(handle_, operands, workspace ? workspace->data() : nullptr);
    Cuda::enqueued("a cuDNN graph");
  }

  /// Median over a few runs after one that is not counted; nothing if the plan does not run here.
  std::optional<double> median_seconds(const Plan& plan, std::span<const Operand> operands) {
    try {
      execute(plan, operands);
      std::array<double, 3> seconds{};
      for (double& s : seconds) {
        keep_busy();
        s = cuda::seconds_on(Cuda::stream(), [&] { execute(plan, operands); });
      }
      std::ranges::nth_element(seconds, seconds.begin() + seconds.size() / 2);
      return seconds[seconds.size() / 2];
    } catch (const kfer::Error&) {
      static_cast<void>(cudaGetLastError());  // not the next call's error
      return {};
    }
  }
  /// Work for the device until what is timed is queued behind it: a short kernel would be timed with what the
  /// host does for it. It also leaves nothing of the operands in the cache.
  static void keep_busy() {
    try {
      const Buffer<Cuda> memory(std::size_t{256} << 20);
      Cuda::set_zero(memory.data(), memory.bytes());
    } catch (const OutOfMemoryError&) {  // then without
    }
  }

  std::mutex mutex_;
  cudnnHandle_t handle_;
  Target target_;
  PlanCache<Plan> plans_;
};

}  // namespace kfer::cudnn
