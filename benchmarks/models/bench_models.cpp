// Times training steps and inference of the K-drama models on the Cpu.
//
//   bench_models [--json] [--only TEXT] [--seconds S] [--threads N]
//
// Each benchmark runs in a process of its own, so that its peak memory is its own; a step is timed after
// warm-up, over at least nine repetitions, and the median counts. --json prints one object a line:
//   {"bench": "conv_net/train/64", "framework": "kfer 0.1.0", "median_ms": ..., "min_ms": ..., "peak_mb":
//   ...}
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>

#include "kfer/kfer.hpp"

using namespace kfer;

namespace {

struct Settings {
  bool json = false;
  std::string only;
  double seconds = 3;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void measure(const std::string& name, const Settings& settings, const std::function<void()>& step) {
  for (int i = 0; i < 3; ++i) step();
  std::vector<double> times;
  for (const double start = now();
       times.size() < 9 || (now() - start < settings.seconds && times.size() < 200);) {
    const double begin = now();
    step();
    times.push_back((now() - begin) * 1e3);
  }
  std::sort(times.begin(), times.end());
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double median = times[times.size() / 2], peak = static_cast<double>(usage.ru_maxrss) / 1024;
  if (settings.json)
    std::printf(
        "{\"bench\": \"%s\", \"framework\": \"kfer %s\", \"median_ms\": %.3f, \"min_ms\": %.3f, \"peak_mb\": "
        "%.0f}\n",
        name.c_str(), version, median, times.front(), peak);
  else
    std::printf("%-26s median %9.2f ms   min %9.2f ms   peak %6.0f MB\n", name.c_str(), median, times.front(),
                peak);
  std::fflush(stdout);
}

/// Forward, loss, backward, Adam: one training step on a fixed batch.
template <class Model>
void train(const std::string& name, const Settings& settings, Model& model, std::int64_t batch) {
  const Variable<float> x(uniform({batch, 3, 64, 64}, {.seed = 1, .stream = 0}));
  std::vector<float> labels(static_cast<std::size_t>(batch) * 24);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = RandomStream{2, 0}.uniform(i) < 0.1f;
  const Tensor<float> targets({batch, 24}, std::span<const float>(labels));
  Adam<float> optimizer(named_parameters(model), {.lr = 1e-4, .epsilon = 1e-7, .epsilon_hat = true});
  measure(name, settings, [&] {
    zero_grad(model);
    const auto loss = bce_with_logits(model(x), targets);
    backward(loss);
    optimizer.step();
    if (!(loss.item() > 0)) throw NumericError(text(name, ": the loss is ", loss.item()));
  });
}

template <class Model>
void infer(const std::string& name, const Settings& settings, Model trained, std::int64_t batch) {
  const Variable<float> x(uniform({batch, 3, 64, 64}, {.seed = 1, .stream = 0}));
  set_training(trained, false);
  Model model = fold_batch_norm(std::move(trained));
  NoGrad no_grad;
  measure(name, settings, [&] {
    if (!all_finite(model(x).value())) throw NumericError(text(name, ": the result is not finite"));
  });
}

struct Bench {
  std::string name;
  std::function<void(const std::string&, const Settings&)> run;
};

/// Training and inference of what `make` makes, for each batch size; and inference of one image.
template <class Make>
void add(std::vector<Bench>& benches, const std::string& model, std::initializer_list<std::int64_t> batches,
         Make make) {
  const auto add_inference = [&](std::int64_t batch) {
    benches.push_back(
        {text(model, "/infer/", batch), [=](const std::string& name, const Settings& settings) mutable {
           infer(name, settings, make(), batch);
         }});
  };
  for (const auto batch : batches) {
    benches.push_back(
        {text(model, "/train/", batch), [=](const std::string& name, const Settings& settings) mutable {
           auto m = make();
           train(name, settings, m, batch);
         }});
    add_inference(batch);
  }
  add_inference(1);
}

std::vector<Bench> all_benches() {
  std::vector<Bench> benches;
  RandomStream seed{.seed = 46, .stream = 0};
  add(benches, "conv_net", {64}, [=]() mutable { return models::ConvNet<float>(24, seed); });
  add(benches, "autoencoder", {64}, [=]() mutable { return models::AutoencoderClassifier<float>(24, seed); });
  add(benches, "resnet50", {16, 64}, [=]() mutable { return models::ResNet50Classifier<float>(24, seed); });
  add(benches, "resnet50_v1_5", {16, 64}, [=]() mutable {
    return models::ResNet50Classifier<float>(24, seed, models::ResNetConfig::torchvision());
  });
  add(benches, "resnet50_frozen", {64}, [=]() mutable {
    models::ResNet50Classifier<float> model(24, seed);
    model.freeze_as_published();
    return model;
  });
  return benches;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> const char* {
      if (i + 1 < argc) return argv[++i];
      std::fprintf(stderr, "bench_models: %s needs a value\n", flag.c_str());
      std::exit(2);
    };
    if (flag == "--json")
      settings.json = true;
    else if (flag == "--only")
      settings.only = value();
    else if (flag == "--seconds")
      settings.seconds = std::atof(value());
    else if (flag == "--threads")
      setenv("OMP_NUM_THREADS", value(), 1);
    else {
      std::fprintf(stderr, "usage: bench_models [--json] [--only TEXT] [--seconds S] [--threads N]\n");
      return 2;
    }
  }
  int failures = 0;
  for (const auto& bench : all_benches()) {
    if (bench.name.find(settings.only) == std::string::npos) continue;
    const pid_t child = fork();
    if (child == 0) {
      try {
        bench.run(bench.name, settings);
        std::exit(0);
      } catch (const std::exception& e) {
        std::fprintf(stderr, "bench_models: %s\n", e.what());
        std::exit(1);
      }
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) ++failures;
  }
  return failures ? 1 : 0;
}
