// Asks cuDNN, on a machine without a GPU, for a plan for every graph that kfer's convolutions run on an H200
// (sm_90), over the layers of its models, and for the fused graphs that training is to use next.
//
// usage: plan_check [--full] [--candidates]
//   --full        the fused graphs of every ResNet50 layer in every type; without it, of one layer a kind
//   --candidates  with every graph, all engines that the heuristics propose, by number
//
// Fails if a graph has no plan, or, in bfloat16 and for a layer of a model, none on tensor cores. Needs a
// stand-in for the driver (make_stand_in_driver.sh) where there is none: LD_LIBRARY_PATH=<its folder>.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <set>
#include <thread>

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
constexpr cudnnDataType_t type_of(Precision precision) {
  return precision == Precision::bf16 ? cudnn::data_type<bfloat16>() : cudnn::data_type<float>();
}

class Check {
 public:
  explicit Check(bool list_candidates) : list_candidates_(list_candidates) {}

  /// Asks for the graph of a convolution; one that was asked for before counts once. In bfloat16 its products
  /// are to be made by tensor cores, unless `any_engine`.
  void operator()(const ConvPattern& pattern, const Conv2dShape& shape, Precision precision,
                  bool any_engine = false) {
    const bool bf16 = precision == Precision::bf16;
    const Conv2dShape s =
        bf16 && pattern.pass != Pass::backward_data ? detail::conv_padded<bfloat16>(shape) : shape;
    ask({.key = detail::conv_key(pattern, s, bf16 ? "bfloat16" : "float32"),
         .shape = text(s.batch, 'x', s.in_channels, 'x', s.height, 'x', s.width, " -> ", s.out_channels, ',',
                       s.kernel_height, 'x', s.kernel_width, ',', s.stride.height),
         .name = to_string(pattern),
         .precision = precision,
         .tensor_core = bf16 && !any_engine,
         .make = [=] { return detail::conv_graph(pattern, s, type_of(precision)); }});
  }
  /// Asks for a graph without products on activations [n, c, h, w].
  void operator()(const std::string& name, const Shape& x, Precision precision,
                  const std::function<cudnn::Graph()>& make) {
    ask({.key = text(name, ' ', x, ' ', static_cast<int>(type_of(precision))),
         .shape = text(x[0], 'x', x[1], 'x', x[2], 'x', x[3]),
         .name = name,
         .precision = precision,
         .tensor_core = false,
         .make = make});
  }

  /// Finds the plans, on all cores since most of the time is compilation, and prints them in the order of
  /// asking. The number of graphs that have none.
  int run() const {
    std::vector<std::optional<std::string>> failures(graphs_.size());
    std::vector<std::string> lines(graphs_.size());
    std::atomic<std::size_t> next = 0;
    {
      std::vector<std::jthread> threads;
      for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
        threads.emplace_back([&] {
          for (std::size_t k; (k = next++) < graphs_.size();) {
            try {
              lines[k] = find(graphs_[k]);
            } catch (const std::exception& e) {
              failures[k] = e.what();
            }
          }
        });
    }
    std::printf("%-28s %-38s %-6s %-12s %-6s %11s %s\n", "x -> w, stride", "graph", "type", "engine",
                "tensor", "workspace", "engines");
    int failed = 0;
    for (std::size_t k = 0; k < graphs_.size(); ++k) {
      if (failures[k]) std::printf("FAILED %s: %s\n", graphs_[k].key.c_str(), failures[k]->c_str());
      failed += failures[k].has_value();
      std::fputs(lines[k].c_str(), stdout);
    }
    return failed;
  }

  std::size_t size() const { return graphs_.size(); }

  /// Whether settings of one engine are candidates of their own, told apart by their names: most are.
  bool tells_settings() const {
    const auto shape = test::conv_shape(64, 64, 56, 64, 3);
    const cudnn::Candidates candidates(detail::conv_graph({}, shape, type_of(Precision::bf16)), target_, {});
    std::set<std::string> engines;
    for (std::size_t i = 0; i < candidates.size(); ++i)
      engines.insert(candidates.name(i).substr(0, candidates.name(i).find(',')));
    return candidates.size() > 2 * engines.size();
  }

 private:
  struct Graph {
    std::string key, shape, name;
    Precision precision;
    bool tensor_core;  ///< only a plan on tensor cores will do
    std::function<cudnn::Graph()> make;
  };

  void ask(Graph graph) {
    if (seen_.insert(graph.key + to_string(filter(graph))).second) graphs_.push_back(std::move(graph));
  }
  static cudnn::PlanFilter filter(const Graph& graph) {
    return {.math = {.strict_fp32 = graph.precision == Precision::strict}};
  }

  /// The line of the first plan that will do. Throws NoPlanError if there is none.
  std::string find(const Graph& graph) const {
    const cudnn::Candidates candidates(graph.make(), target_, filter(graph));
    for (std::size_t i = 0; i < candidates.size(); ++i)
      if (!graph.tensor_core || candidates.notes(i).tensor_core)
        if (const auto plan = candidates.make(i)) return line(graph, candidates, *plan);
    throw cudnn::NoPlanError(text("none of ", candidates.size(), " engines has a plan",
                                  graph.tensor_core ? " on tensor cores" : ""));
  }
  std::string line(const Graph& graph, const cudnn::Candidates& candidates, const cudnn::Plan& plan) const {
    static constexpr std::array precisions{"tf32", "strict", "bf16"};
    const cudnn::Engine& engine = plan.engine();
    std::array<char, 256> row{};
    std::snprintf(row.data(), row.size(), "%-28s %-38s %-6s %-12s %-6s %11lld %zu\n", graph.shape.c_str(),
                  graph.name.c_str(), precisions[static_cast<std::size_t>(graph.precision)],
                  text(engine.name().substr(0, engine.name().find(',')),
                       engine.notes().compiled_at_run_time ? " (rtc)" : "")
                      .c_str(),
                  engine.notes().tensor_core ? "yes" : "no", static_cast<long long>(plan.workspace()),
                  candidates.size());
    std::string out = row.data();
    for (std::size_t i = 0; list_candidates_ && i < candidates.size(); ++i) {
      const auto& notes = candidates.notes(i);
      out += text("    ", candidates.name(i), notes.tensor_core ? ", tensor cores" : "",
                  notes.nondeterministic ? ", not deterministic" : "",
                  notes.compiled_at_run_time ? ", rtc" : "", '\n');
    }
    return out;
  }

  cudnn::Target target_ = cudnn::Target::described(h200);
  bool list_candidates_;
  std::set<std::string> seen_;
  std::vector<Graph> graphs_;
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
void check_fused(Check& check, const test::ConvLayer& layer, Precision p) {
  check({.scale = true, .bias = true, .residual = true, .relu = true}, layer.shape, p);
  if (!layer.image) check({.pass = Pass::backward_data, .relu = true}, layer.shape, p);
  if (p == Precision::strict) return;
  check({.statistics = true}, layer.shape, p);
  if (!layer.image) check({.normalize_input = true, .statistics = true}, layer.shape, p);
}

/// What convolutions of any shape run: fused where cuDNN has it, else with the epilogue behind them.
void check_sample(Check& check, const Conv2dShape& s) {
  for (const Precision p : precisions) {
    check({}, s, p, true);
    check({.bias = true}, s, p, true);
    check({.bias = true, .relu = true}, s, p, true);
    check({.pass = Pass::backward_data}, s, p, true);
    check({.pass = Pass::backward_weights}, s, p, true);
  }
}
/// The passes alone.
void check_alone(Check& check, const Conv2dShape& s) {
  for (const Precision p : precisions)
    for (const Pass pass : {Pass::forward, Pass::backward_data, Pass::backward_weights})
      check({.pass = pass}, s, p, true);
}
void check_epilogues(Check& check, const Conv2dShape& s) {
  for (const Precision p : {Precision::tf32, Precision::bf16}) {
    check({.pass = Pass::none, .relu = true}, s, p, true);
    check({.pass = Pass::none, .bias = true, .relu = true}, s, p, true);
    check({.pass = Pass::none, .scale = true, .bias = true, .residual = true, .relu = true}, s, p, true);
  }
}

/// cuDNN's batch norm of a layer's result, with the ReLU (and the sum with a shortcut) after it, and a bias'
/// gradient: what kfer's own kernels are measured against.
void check_norms(Check& check, const Conv2dShape& s) {
  const cudnn::Graph::Extents extents{s.batch, s.out_channels, s.out_height, s.out_width};
  const std::int64_t c = s.out_channels;
  constexpr auto f = CUDNN_DATA_FLOAT;
  for (const Precision p : {Precision::tf32, Precision::bf16}) {
    const auto type = type_of(p);
    for (const bool shortcut : {false, true})
      check(shortcut ? "batch_norm_train+residual+relu" : "batch_norm_train+relu", s.output(), p, [=] {
        cudnn::Graph g;
        const auto y = g.intermediate(extents, type);
        g.batch_norm_train({.x = g.tensor(1, extents, type),
                            .scale = g.per_channel(2, c, f),
                            .bias = g.per_channel(3, c, f),
                            .epsilon = g.scalar(4, f),
                            .momentum = g.scalar(5, f),
                            .running_mean = g.per_channel(6, c, f),
                            .running_variance = g.per_channel(7, c, f),
                            .next_running_mean = g.per_channel(8, c, f),
                            .next_running_variance = g.per_channel(9, c, f),
                            .mean = g.per_channel(10, c, f),
                            .inverse_deviation = g.per_channel(11, c, f),
                            .y = y});
        auto sum = y;
        if (shortcut) {
          sum = g.intermediate(extents, type);
          g.pointwise(CUDNN_POINTWISE_ADD, y, g.tensor(12, extents, type), sum);
        }
        g.pointwise(CUDNN_POINTWISE_RELU_FWD, sum, g.tensor(13, extents, type));
        return g;
      });
    check("batch_norm_backward", s.output(), p, [=] {
      cudnn::Graph g;
      g.batch_norm_backward({.x = g.tensor(1, extents, type),
                             .mean = g.per_channel(2, c, f),
                             .inverse_deviation = g.per_channel(3, c, f),
                             .dy = g.tensor(4, extents, type),
                             .scale = g.per_channel(5, c, f),
                             .dscale = g.per_channel(6, c, f),
                             .dbias = g.per_channel(7, c, f),
                             .dx = g.tensor(8, extents, type)});
      return g;
    });
    check("bias_gradient", s.output(), p, [=] {
      cudnn::Graph g;
      g.reduce(CUDNN_REDUCE_TENSOR_ADD, g.tensor(1, extents, type), g.per_channel(2, c, f));
      return g;
    });
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
    for (const Conv2dShape& s : test::sample_convolutions()) check_sample(check, s);
    for (const Conv2dShape& s : test::odd_convolutions()) check_alone(check, s);
    for (const Precision p : precisions) check({.relu = true}, test::sample_convolutions().front(), p, true);
    check_epilogues(check, layers.front().shape);
    // Most engines of fused graphs are compiled at run time, which takes a second each: one layer of a kind
    // will do, and of the kinds those of stride 1 in float.
    std::set<std::array<std::int64_t, 2>> kinds;
    for (const auto& layer : layers) {
      const std::int64_t kernel = layer.shape.kernel_height, stride = layer.shape.stride.height;
      if (!layer.normalized || !(kinds.insert({kernel, stride}).second || full)) continue;
      for (const Precision p : precisions)
        if (full || stride == 1 || p == Precision::bf16) check_fused(check, layer, p);
      if (full) check({.scale = true, .bias = true, .relu = true}, layer.shape, Precision::bf16);
    }
    check_norms(check, layers.back().shape);
    std::printf("cuDNN %zu, plans for an H200 (sm_90) by its description\n", cudnnGetVersion());
    if (!check.tells_settings()) throw std::runtime_error("the settings of one engine are not told apart");
    const int failed = check.run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::printf("%zu graphs, %d without a plan, %.0f s\n", check.size(), failed, seconds.count());
    return failed ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "plan_check: %s\n", e.what());
    return 1;
  }
}
