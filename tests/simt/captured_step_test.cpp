// Captured training steps against eager ones, bit for bit, on the host SIMT executor: its graphs keep addresses and
// parameters as CUDA's do.
#include <doctest/doctest.h>

#include <filesystem>

#include "kfer/nn/nn.hpp"
#include "kfer/ops/batch_norm/batch_norm_cuda.hpp"
#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/ops/linear/linear_cuda.hpp"
#include "kfer/ops/loss/loss_cuda.hpp"
#include "kfer/ops/ops_cuda.hpp"
#include "kfer/optim/optim_cuda.hpp"
#include "kfer/tensor/relayout.hpp"
#include "kfer/tensor/transfer.hpp"
#include "kfer/train/trainer.hpp"

using namespace kfer;

namespace {

/// Every kind of state that a step changes: parameters, running statistics, a random stream.
struct Net {
  using parameter_type = Variable<float, Simt>;
  static constexpr std::string_view name = "net";

  Conv2d<float, Simt> conv;
  Dropout dropout;
  BatchNorm2d<float, Simt> norm{6};
  Linear<float, Simt> fc;
  bool twice = false;  ///< draws two masks a step

  explicit Net(RandomStream random = {.seed = 46})
      : conv(3, 6, 3, random, {.padding = 1, .relu = true}), dropout(0.25, random), fc(6 * 16, 4, random) {}

  Variable<float, Simt> operator()(const Variable<float, Simt>& x) {
    auto y = norm(conv(x, dropout.mask()));
    if (twice) y = dropout(y);
    return fc(flatten(y));
  }
  template <class Visitor>
  void visit(Visitor&& v) {
    v("conv", conv);
    v("dropout", dropout);
    v("norm", norm);
    v("fc", fc);
  }
};

struct Batch {
  Tensor<float, Cpu> images, labels;
};

/// Five batches of four images and a ragged one of three.
struct Data {
  std::int64_t epoch = 0, batch = 0;
  std::int64_t batches_per_epoch() const { return 6; }
  void seek(std::int64_t e, std::int64_t b) { epoch = e, batch = b; }
  Batch next() {
    const auto stream = static_cast<std::uint64_t>(epoch * 10 + batch);
    const std::int64_t n = batch++ == 2 ? 3 : 4;
    return {uniform({n, 3, 4, 4}, {.seed = 1, .stream = stream}), uniform({n, 4}, {.seed = 2, .stream = stream})};
  }
};

struct Outcome {
  std::vector<std::vector<double>> rows;
  std::vector<std::pair<std::string, std::vector<float>>> weights;
  RandomStream random;
  bool captured = false;
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.rows == b.rows && a.weights == b.weights && a.random == b.random;
  }
};

struct Settings {
  bool capture = true;
  std::int64_t epochs = 3;
  std::string directory = "";
  bool resume = false;
  bool twice = false;
};

Outcome train(const Settings& settings) {
  Net net;
  net.twice = settings.twice;
  Adam<float, Simt> optimizer(named_parameters(net), {.lr = 1e-2, .weight_decay = 0.1, .decoupled = true});
  TrainerOptions options{.directory = settings.directory, .epochs = settings.epochs};
  options.schedule = ExponentialDecay{1e-2, 0.9, 4};
  options.early_stopping = {.monitor = "score", .maximize = true};
  options.capture = settings.capture;
  options.resume = settings.resume;
  options.log = nullptr;
  Trainer trainer(net, optimizer, options);
  Data data;
  Outcome out;
  // Whether a step is captured shows in the graph's static inputs: `compute` is then not called for every batch.
  std::int64_t computed = 0, staged = 0;
  trainer.fit(
      data,
      StagedLoss{[&](const Batch& batch) {
                   ++staged;
                   return std::tuple(to_device<Simt>(batch.images), to_device<Simt>(batch.labels));
                 },
                 [&](const Tensor<float, Simt>& images, const Tensor<float, Simt>& labels) {
                   ++computed;
                   return bce_with_logits(net(Variable<float, Simt>(images)), labels);
                 }},
      [&] {
        // The second epoch scores best: its weights are what training ends with.
        return Metrics{{"score", trainer.history().size() == 1 ? 1.0 : 0.0}};
      });
  out.captured = computed < 6 * settings.epochs && !settings.resume;
  out.rows = trainer.history().rows();
  out.random = net.dropout.random;
  for_each_parameter(net, [&](const std::string& path, auto& p) { out.weights.emplace_back(path, p.value().to_vector()); });
  for_each_buffer(net, [&](const std::string& path, auto& b) { out.weights.emplace_back(path, b.to_vector()); });
  return out;
}

}  // namespace

TEST_CASE("captured steps compute what eager steps do, bit for bit") {
  const Outcome eager = train({.capture = false}), captured = train({});
  CHECK_FALSE(eager.captured);
  CHECK(captured.captured);
  REQUIRE(eager.rows.size() == 3);
  CHECK(captured == eager);
  CHECK(eager.rows[2] != eager.rows[1]);
}

TEST_CASE("a run that is resumed among captured steps goes on as if it had not stopped") {
  const auto directory = std::filesystem::temp_directory_path() / ("kfer_captured_" + std::to_string(getpid()));
  const Outcome whole = train({.epochs = 4});
  train({.epochs = 2, .directory = directory.string()});
  const Outcome resumed = train({.epochs = 4, .directory = directory.string(), .resume = true});
  std::filesystem::remove_all(directory);
  CHECK(resumed == whole);
}

TEST_CASE("a step that draws two masks from one stream is not captured, and trains all the same") {
  const Outcome eager = train({.capture = false, .twice = true}), tried = train({.twice = true});
  CHECK(tried == eager);
}

TEST_CASE("what cannot be part of a graph says so, and leaves the device as it was") {
  const auto x = to_device<Simt>(uniform({8}, {.seed = 3}));
  CHECK_THROWS_WITH_AS(SimtGraph::capture([&] { static_cast<void>(x.to_vector()); }),
                       doctest::Contains("cannot be part of a captured graph"), DeviceError);
  CHECK_FALSE(Simt::capturing());
  Tensor<float, Simt> y;
  auto graph = SimtGraph::capture([&] { y = unary(SquareFunctor{}, Variable<float, Simt>(x)).value(); });
  graph.replay(0);
  const auto values = x.to_vector(), squares = y.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(squares[i] == values[i] * values[i]);
}
