// Asks cuDNN, on a machine without a GPU, for a plan for every graph that kfer's convolutions run on an H200
// (sm_90), over the layers of its models, and for the fused graphs that training is to use next.
//
// usage: plan_check [--full] [--candidates]
//   --full        the fused graphs of every ResNet50 layer; without it, of one layer a kind (kernel, stride)
//   --candidates  with every graph, all engines that the heuristics propose, by number
//
// Fails if a graph has no plan, or, in bfloat16, none on tensor cores. Needs a stand-in for the driver
// (make_stand_in_driver.sh) where there is none: LD_LIBRARY_PATH=<its folder>.
#include <chrono>
#include <cstdio>
#include <set>

#include "cudnn/layers.hpp"
#include "kfer/device/cudnn/plan.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn_graph.hpp"

namespace {

using namespace kfer;
using detail::ConvPattern;
using Pass = ConvPattern::Pass;

// The device as cuDNN describes an H200 SXM.
constexpr std::string_view h200 = R"({"deviceName": "NVIDIA H200", "deviceVer": 900, "driverVer": 13000,
  "multiProcessorCount": 132, "warpSize": 32, "smClockRateKHz": 1980000, "memClockRateKHz": 3201000,
  "totalGlobalMem": 150754820096, "l2CacheSize": 62914560, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,
  "maxCtasPerSM": 32, "maxBlockSize": [1024, 1024, 64], "maxGridSize": [2147483647, 65535, 65535],
  "regsPerBlock": 65536, "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152,
  "maxSharedMemoryPerBlockOptin": 232448, "reservedSharedMemoryPerBlock": 1024, "supportCoopLaunch": 1,
  "isTccDriver": 0, "pciDeviceId": 0, "cudaDeviceId": 0})";

enum class Precision { tf32, strict, bf16 };

class Check {
 public:
  explicit Check(bool list_candidates) : list_candidates_(list_candidates) {
    std::printf("cuDNN %zu, %s\n%-32s %-40s %-7s %-12s %-6s %12s  %s\n", cudnnGetVersion(),
                "described H200, sm_90", "shape (x -> w, stride)", "graph", "type", "engine", "tensor",
                "workspace", "first of");
  }

  void operator()(const ConvPattern& pattern, const Conv2dShape& shape, Precision precision) {
    const bool bf16 = precision == Precision::bf16;
    const Conv2dShape s =
        bf16 && pattern.pass != Pass::backward_data ? detail::conv_padded<bfloat16>(shape) : shape;
    const auto type = bf16 ? cudnn::data_type<bfloat16>() : cudnn::data_type<float>();
    const cudnn::PlanFilter filter{.math = {.strict_fp32 = precision == Precision::strict}};
    const std::string key = detail::conv_key(pattern, s, bf16 ? "bfloat16" : "float32") + to_string(filter);
    if (!seen_.insert(key).second) return;
    try {
      const cudnn::Candidates candidates(detail::conv_graph(pattern, s, type), target_, filter);
      for (std::size_t i = 0; i < candidates.size(); ++i)
        if (!bf16 || candidates.notes(i).tensor_core)
          if (const auto plan = candidates.make(i)) return report(pattern, s, precision, candidates, *plan);
      fail(key, text("none of ", candidates.size(), " engines has a plan", bf16 ? " on tensor cores" : ""));
    } catch (const Error& e) {
      fail(key, e.what());
    }
  }

  std::size_t graphs() const { return seen_.size(); }
  std::size_t failures() const { return failures_; }

 private:
  void report(const ConvPattern& pattern, const Conv2dShape& s, Precision precision,
              const cudnn::Candidates& candidates, const cudnn::Plan& plan) {
    static constexpr std::array precisions{"tf32", "strict", "bf16"};
    const auto& engine = plan.engine();
    std::printf("%-32s %-40s %-7s %-12s %-6s %12lld  %zu\n",
                text(s.batch, 'x', s.in_channels, 'x', s.height, 'x', s.width, " -> ", s.out_channels, ',',
                     s.kernel_height, 'x', s.kernel_width, ",s", s.stride.height)
                    .c_str(),
                to_string(pattern).c_str(), precisions[static_cast<std::size_t>(precision)],
                text(number(engine.name()), engine.notes().compiled_at_run_time ? " (rtc)" : "").c_str(),
                engine.notes().tensor_core ? "yes" : "no", static_cast<long long>(plan.workspace()),
                candidates.size());
    if (!list_candidates_) return;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const auto& notes = candidates.notes(i);
      std::printf("    %s%s%s%s\n", candidates.name(i).c_str(), notes.tensor_core ? ", tensor cores" : "",
                  notes.nondeterministic ? ", not deterministic" : "",
                  notes.compiled_at_run_time ? ", rtc" : "");
    }
  }
  void fail(const std::string& key, const std::string& why) {
    ++failures_;
    std::printf("FAILED %s: %s\n", key.c_str(), why.c_str());
  }
  static std::string number(const std::string& name) { return name.substr(0, name.find(',')); }

  cudnn::Target target_ = cudnn::Target::described(h200);
  bool list_candidates_;
  std::set<std::string> seen_;
  std::size_t failures_ = 0;
};

constexpr std::array precisions{Precision::tf32, Precision::strict, Precision::bf16};

/// What ConvCudnn runs in training.
void check_passes(Check& check, const test::ConvLayer& layer) {
  for (const Precision p : precisions) {
    if (!layer.transposed) check({.bias = layer.bias, .relu = layer.relu}, layer.shape, p);
    check({}, layer.shape, p);
    if (!layer.image) check({.pass = Pass::backward_data}, layer.shape, p);
    check({.pass = Pass::backward_weights}, layer.shape, p);
  }
}

/// What fuses a convolution with the batch norms around it. Statistics have engines on tensor cores alone:
/// strict float32 leaves them to a kernel of their own.
void check_fused(Check& check, const test::ConvLayer& layer) {
  for (const Precision p : precisions) {
    check({.scale = true, .bias = true, .relu = true}, layer.shape, p);
    check({.scale = true, .bias = true, .residual = true, .relu = true}, layer.shape, p);
    if (!layer.image) check({.pass = Pass::backward_data, .relu = true}, layer.shape, p);
    if (p == Precision::strict) continue;
    check({.statistics = true}, layer.shape, p);
    if (!layer.image) check({.normalize_input = true, .statistics = true}, layer.shape, p);
  }
}

/// The epilogue behind a convolution that has no fused engine.
void check_epilogues(Check& check, const test::ConvLayer& layer) {
  for (const Precision p : {Precision::tf32, Precision::bf16}) {
    check({.pass = Pass::none, .bias = true, .relu = true}, layer.shape, p);
    check({.pass = Pass::none, .scale = true, .bias = true, .residual = true, .relu = true}, layer.shape, p);
  }
}

}  // namespace

int main(int argc, char** argv) {
  bool full = false, list = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--full") {
      full = true;
    } else if (flag == "--candidates") {
      list = true;
    } else {
      std::fprintf(stderr, "usage: plan_check [--full] [--candidates]\n");
      return 2;
    }
  }
  try {
    const auto begin = std::chrono::steady_clock::now();
    const auto layers = test::model_layers();
    Check check(list);
    for (const auto& layer : layers) check_passes(check, layer);
    check_epilogues(check, layers.front());
    std::set<std::array<std::int64_t, 2>> kinds;
    for (const auto& layer : layers)
      if (layer.normalized &&
          (kinds.insert({layer.shape.kernel_height, layer.shape.stride.height}).second || full))
        check_fused(check, layer);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::printf("%zu graphs, %zu without a plan, %.0f s\n", check.graphs(), check.failures(),
                seconds.count());
    return check.failures() ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "plan_check: %s\n", e.what());
    return 1;
  }
}
