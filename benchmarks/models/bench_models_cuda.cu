// Times training steps and inference of the K-drama models on a GPU, eager and as captured graphs.
//
//   bench_models_cuda [--only TEXT] [--seconds S]
//
// Prints one JSON object a line, named as benchmarks/peers/bench_models_cuda.py names PyTorch's:
//   {"bench": "resnet50/train/64x64/64/bf16", "framework": "kfer 0.1.0", "variant": "captured", "median_ms":
//   ...}
// tf32: float with TensorFloat-32 products, the default; fp32: without (--strict-fp32); bf16: bfloat16
// activations, float parameters (--amp). A step is forward, loss, backward and Adam on a batch that lies on
// the device, timed with events in stretches of ten steps without waiting in between; the median stretch
// counts. What was computed is checked: losses fall, results are finite and the same in a graph as without.
// A measurement that fails is a line with "failed" in place of a figure, and the next one goes on.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>

#include "kfer/device/cuda/event.hpp"
#include "kfer/device/cuda/graph.hpp"
#include "kfer/io/json.hpp"
#include "kfer/kfer.hpp"
#include "kfer/train/captured_step.hpp"
#include "kfer/train/run.hpp"

using namespace kfer;

namespace {

struct Settings {
  std::string only;
  double seconds = 3;
};
Settings settings;
int failures = 0;

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void print(io::Json::Object row, const std::string& name, const char* variant) {
  row.insert(row.begin(), {{"bench", name}, {"framework", text("kfer ", version)}, {"variant", variant}});
  row.emplace_back("device", Cuda::description());
  std::puts(io::to_string(io::Json(std::move(row))).c_str());
  std::fflush(stdout);
}

/// Times `step`, then asks `check` whether it computed what it should. What either throws is the figure's
/// place in the output, and the next measurement goes on.
void measure(const std::string& name, const char* variant, const std::function<std::function<void()>()>& make,
             const std::function<void()>& check) {
  try {
    Cuda::reset_peak();
    const std::function<void()> step = make();
    for (int i = 0; i < 12; ++i) step();
    Cuda::synchronize();
    constexpr int stretch = 10;
    std::vector<double> times;
    for (const double start = now(); times.size() < 3 || now() - start < settings.seconds;) {
      times.push_back(1e3 / stretch * cuda::seconds_on(Cuda::stream(), [&] {
                        for (int i = 0; i < stretch; ++i) step();
                      }));
    }
    check();
    std::sort(times.begin(), times.end());
    print({{"median_ms", times[times.size() / 2]},
           {"min_ms", times.front()},
           {"runs", times.size()},
           {"peak_mb", Cuda::peak_bytes() >> 20}},
          name, variant);
  } catch (const std::exception& error) {
    ++failures;
    std::fprintf(stderr, "error: %s %s: %s\n", name.c_str(), variant, error.what());
    print({{"failed", error.what()}}, name, variant);
  }
}

/// Training and inference of the model that `make()` makes, on images of side x side.
template <class T, class Make>
void bench(const std::string& model_name, std::int64_t side, std::int64_t batch, const char* precision,
           const Make& make) {
  using Model = decltype(make.template operator()<T>());
  const auto name = [&](const char* mode) {
    return text(model_name, '/', mode, '/', side, 'x', side, '/', batch, '/', precision);
  };
  const auto wanted = [&](const char* mode) { return name(mode).find(settings.only) != std::string::npos; };
  if (!wanted("train") && !wanted("infer")) return;
  Model model = make.template operator()<T>();
  const auto images = cast<T>(to_device<Cuda>(uniform<float, Cpu>({batch, 3, side, side}, {.seed = 1})));
  const auto x = images.to(Layout::channels_last());
  if (wanted("train")) {
    std::vector<float> labels(static_cast<std::size_t>(batch) * 24);
    for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = RandomStream{2, 0}.uniform(i) < 0.1f;
    const Tensor<float, Cuda> targets({batch, 24}, std::span<const float>(labels));
    Adam<float, Cuda> optimizer(named_parameters(model), {.lr = 1e-4, .epsilon = 1e-7, .epsilon_hat = true});
    const auto compute = [&](const Tensor<T, Cuda>& in, const Tensor<float, Cuda>& out) {
      return bce_with_logits(cast<float>(model(Variable<T, Cuda>(in))), out);
    };
    Tensor<float, Cuda> last;
    const auto eager = [&] {
      optimizer.zero_grad();
      const auto loss = compute(x, targets);
      backward(loss);
      optimizer.step();
      last = loss.value();
    };
    // The same batch again and again: whoever computes gradients sees its loss fall.
    std::optional<double> first;
    const auto falls = [&](double loss) {
      require<NumericError>(loss < first.value_or(INFINITY), name("train"), ": the loss was ",
                            first.value_or(INFINITY), " at first and is ", loss);
    };
    measure(
        name("train"), "eager",
        [&] {
          eager();
          first = static_cast<double>(last.item());
          Cuda::reset_peak();  // not what choosing algorithms took
          return eager;
        },
        [&] { falls(static_cast<double>(last.item())); });
    std::vector<RandomStream*> streams;
    for_each_random(model, [&](const std::string&, RandomStream& random) { streams.push_back(&random); });
    const std::tuple inputs(x, targets);
    std::optional<CapturedStep<Model, Adam<float, Cuda>, std::remove_cv_t<decltype(inputs)>>> step;
    measure(
        name("train"), "captured",
        [&] {
          step.emplace(model, optimizer, streams, inputs, compute);
          return [&] { step->run(inputs); };
        },
        [&] { falls(step->loss()); });
  }
  if (wanted("infer")) {
    set_training(model, false);
    Model folded = fold_batch_norm(model);
    NoGrad no_grad;
    Tensor<T, Cuda> y;
    std::vector<T> result;
    const auto infer = [&] { y = folded(Variable<T, Cuda>(x)).value(); };
    measure(
        name("infer"), "eager",
        [&] {
          infer();
          Cuda::reset_peak();
          return infer;
        },
        [&] {
          require<NumericError>(all_finite(y), name("infer"), ": the result is not finite");
          result = y.to_vector();
        });
    std::optional<CudaGraph> graph;
    measure(
        name("infer"), "captured",
        [&] {
          graph.emplace(CudaGraph::capture(infer));
          return [&] { graph->replay(); };
        },
        [&] {
          const auto again = y.to_vector();
          for (std::size_t i = 0; i < result.size(); ++i) {
            const auto a = static_cast<double>(result[i]), b = static_cast<double>(again[i]);
            require<NumericError>(std::abs(a - b) <= 0.01 * (1 + std::abs(a)), name("infer"), ": element ", i,
                                  " is ", b, ", and was ", a, " without a graph");
          }
        });
  }
}

template <class Make>
void all_precisions(const std::string& model, std::int64_t side, std::int64_t batch, const Make& make) {
  bench<bfloat16>(model, side, batch, "bf16", make);
  bench<float>(model, side, batch, "tf32", make);
  Cuda::math().strict_fp32 = true;
  bench<float>(model, side, batch, "fp32", make);
  Cuda::math().strict_fp32 = false;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("bench_models_cuda", [&] {
    for (int i = 1; i < argc; i += 2) {
      require<UsageError>(i + 1 < argc, argv[i], " needs a value");
      if (std::strcmp(argv[i], "--only") == 0)
        settings.only = argv[i + 1];
      else if (std::strcmp(argv[i], "--seconds") == 0)
        settings.seconds = std::atof(argv[i + 1]);
      else
        throw UsageError(text("expected --only TEXT or --seconds S, got ", argv[i]));
    }
    const auto device = Cuda::available();
    require<DeviceError>(static_cast<bool>(device), "device cuda: ", device.reason);
    const RandomStream seed{.seed = 46};
    all_precisions("resnet50_v1_5", 224, 128, [=]<class T>() {
      auto random = seed;
      return models::ResNet50Classifier<T, Cuda>(24, random, models::ResNetConfig::torchvision());
    });
    all_precisions("conv_net", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::ConvNet<T, Cuda>(24, random);
    });
    all_precisions("autoencoder", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::AutoencoderClassifier<T, Cuda>(24, random);
    });
    all_precisions("resnet50", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::ResNet50Classifier<T, Cuda>(24, random);
    });
    return failures ? 1 : 0;
  });
}
