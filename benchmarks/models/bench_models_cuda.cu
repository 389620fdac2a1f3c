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
// counts.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "kfer/device/cuda/event.hpp"
#include "kfer/device/cuda/graph.hpp"
#include "kfer/kfer.hpp"
#include "kfer/train/captured_step.hpp"
#include "kfer/train/run.hpp"

using namespace kfer;

namespace {

struct Settings {
  std::string only;
  double seconds = 3;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void measure(const Settings& settings, const std::string& name, const char* variant,
             const std::function<void()>& step) {
  for (int i = 0; i < 12; ++i) step();
  Cuda::synchronize();
  constexpr int stretch = 10;
  std::vector<double> times;
  for (const double start = now(); times.size() < 3 || now() - start < settings.seconds;) {
    times.push_back(1e3 / stretch * cuda::seconds_on(Cuda::stream(), [&] {
                      for (int i = 0; i < stretch; ++i) step();
                    }));
  }
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"bench\": \"%s\", \"framework\": \"kfer %s\", \"variant\": \"%s\", \"median_ms\": %.4f, \"min_ms\": "
      "%.4f, "
      "\"runs\": %zu, \"peak_mb\": %zu, \"device\": \"%s\"}\n",
      name.c_str(), version, variant, times[times.size() / 2], times.front(), times.size(),
      Cuda::peak_bytes() >> 20, Cuda::description().c_str());
  std::fflush(stdout);
}

/// Training and inference of the model that `make()` makes, on images of side x side.
template <class T, class Make>
void bench(const Settings& settings, const std::string& model_name, std::int64_t side, std::int64_t batch,
           const char* precision, const Make& make) {
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
    const auto eager = [&] {
      optimizer.zero_grad();
      const auto loss = compute(x, targets);
      backward(loss);
      optimizer.step();
    };
    measure(settings, name("train"), "eager", eager);
    std::vector<RandomStream*> streams;
    for_each_random(model, [&](const std::string&, RandomStream& random) { streams.push_back(&random); });
    const std::tuple inputs(x, targets);
    CapturedStep<Model, Adam<float, Cuda>, std::remove_cv_t<decltype(inputs)>> step(model, optimizer, streams,
                                                                                    inputs, compute);
    measure(settings, name("train"), "captured", [&] { step.run(inputs); });
    require<NumericError>(step.loss() > 0, name("train"), ": the loss is ", step.loss());
  }
  if (wanted("infer")) {
    set_training(model, false);
    Model folded = fold_batch_norm(model);
    NoGrad no_grad;
    Tensor<T, Cuda> y;
    const auto infer = [&] { y = folded(Variable<T, Cuda>(x)).value(); };
    measure(settings, name("infer"), "eager", infer);
    auto graph = CudaGraph::capture(infer);
    measure(settings, name("infer"), "captured", [&] { graph.replay(); });
    require<NumericError>(all_finite(y), name("infer"), ": the result is not finite");
  }
}

template <class Make>
void all_precisions(const Settings& settings, const std::string& model, std::int64_t side, std::int64_t batch,
                    const Make& make) {
  bench<float>(settings, model, side, batch, "tf32", make);
  Cuda::math().strict_fp32 = true;
  bench<float>(settings, model, side, batch, "fp32", make);
  Cuda::math().strict_fp32 = false;
  bench<bfloat16>(settings, model, side, batch, "bf16", make);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("bench_models_cuda", [&] {
    Settings settings;
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
    all_precisions(settings, "conv_net", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::ConvNet<T, Cuda>(24, random);
    });
    all_precisions(settings, "autoencoder", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::AutoencoderClassifier<T, Cuda>(24, random);
    });
    all_precisions(settings, "resnet50", 64, 64, [=]<class T>() {
      auto random = seed;
      return models::ResNet50Classifier<T, Cuda>(24, random);
    });
    all_precisions(settings, "resnet50_v1_5", 224, 128, [=]<class T>() {
      auto random = seed;
      return models::ResNet50Classifier<T, Cuda>(24, random, models::ResNetConfig::torchvision());
    });
    return 0;
  });
}
