// Captured training steps against eager ones, bit for bit: on a GPU, and on the host SIMT executor, whose
// graphs keep addresses and parameters as CUDA's do.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

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

#include "support/device.hpp"

using namespace kfer;

namespace captured_step {  // named: nvcc warns of visitors that nobody calls in an unnamed one

using D = test::TestDevice;

/// Every kind of state that a step changes: parameters, running statistics, a random stream.
struct Net {
  using parameter_type = Variable<float, D>;
  static constexpr std::string_view name = "net";

  Conv2d<float, D> conv;
  Dropout dropout;
  BatchNorm2d<float, D> norm{6};
  Linear<float, D> fc;
  bool twice = false;  ///< draws two masks a step

  explicit Net(RandomStream random = {.seed = 46})
      : conv(3, 6, 3, random, {.padding = 1, .relu = true}), dropout(0.25, random), fc(6 * 16, 4, random) {}

  Variable<float, D> operator()(const Variable<float, D>& x) {
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

}  // namespace captured_step

namespace {

using namespace captured_step;

std::string contents(const std::filesystem::path& path) {
  std::stringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

struct Batch {
  Tensor<float, Cpu> images, labels, radicands;
};

constexpr std::int64_t batches = 6;

/// What is wrong with some steps, counted from 0 over all epochs: the loss is not a number or, where it is
/// finite, a gradient is not.
enum class Bad { loss, gradient };
using BadSteps = std::map<std::int64_t, Bad>;

/// Five batches of four images and a ragged one of three.
struct Data {
  BadSteps bad = {};
  std::int64_t signal_at = -1;                ///< the step whose batch is read when a signal comes
  std::vector<std::int64_t>* read = nullptr;  ///< the steps whose batches were read
  std::int64_t epoch = 0, batch = 0;

  std::int64_t batches_per_epoch() const { return batches; }
  void seek(std::int64_t e, std::int64_t b) { epoch = e, batch = b; }
  Batch next() {
    const std::int64_t step = epoch * batches + batch, n = batch == 4 ? 3 : 4;
    if (step == std::exchange(signal_at, step == signal_at ? -1 : signal_at)) ::raise(SIGINT);
    if (read) read->push_back(step);
    const auto stream = static_cast<std::uint64_t>(epoch * 10 + batch++);
    const auto spoilt = bad.find(step);
    const bool loss = spoilt != bad.end() && spoilt->second == Bad::loss,
               gradient = spoilt != bad.end() && spoilt->second == Bad::gradient;
    return {loss ? full({n, 3, 4, 4}, NAN) : uniform({n, 3, 4, 4}, {.seed = 1, .stream = stream}),
            uniform({n, 4}, {.seed = 2, .stream = stream}), full({n, 4}, gradient ? 0.0f : 1.0f)};
  }
};

using Values = std::vector<std::pair<std::string, std::vector<float>>>;

struct Outcome {
  std::vector<std::vector<double>> rows;
  std::string table;  ///< the rows in full precision, NaNs included
  Values values;      ///< parameters, buffers and moments
  std::int64_t steps = 0;
  RandomStream random;
  std::string error;
  std::map<std::string, std::string> files;
  bool captured = false;
  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.table == b.table && a.values == b.values && a.steps == b.steps && a.random == b.random &&
           a.error == b.error && a.files == b.files;
  }
};

struct Settings {
  bool capture = true;
  std::int64_t epochs = 3;
  std::string directory = "";
  bool resume = false;
  bool twice = false;
  bool skip = false;
  double clip_norm = 0;
  std::int64_t save_every = 0;
  Data data = {};
  bool keep_snapshots = false;  ///< in every evaluation, of the model and the optimiser
};

template <class Tensors>
void append(Values& values, const Tensors& tensors) {
  for (const auto& [name, tensor] : tensors) values.emplace_back(name, tensor.to_vector());
}

Outcome train(const Settings& settings) {
  Net net;
  net.twice = settings.twice;
  Adam<float, D> optimizer(named_parameters(net), {.lr = 1e-2, .weight_decay = 0.1, .decoupled = true});
  TrainerOptions options{.directory = settings.directory, .epochs = settings.epochs};
  options.schedule = ExponentialDecay{1e-2, 0.9, 4};
  options.early_stopping = {.monitor = "score", .maximize = true};
  options.clip_norm = settings.clip_norm;
  options.on_non_finite = settings.skip ? OnNonFinite::skip : OnNonFinite::stop;
  options.save_every = settings.save_every;
  options.capture = settings.capture;
  options.resume = settings.resume;
  options.log = nullptr;
  Trainer trainer(net, optimizer, options);
  Data data = settings.data;
  Outcome out;
  // Whether a step is captured shows in the graph's static inputs: `compute` is then not called for every
  // batch.
  std::int64_t computed = 0, staged = 0;
  std::vector<std::pair<decltype(state_dict(net)), Values>> snapshots;
  try {
    trainer.fit(data,
                StagedLoss{[&](const Batch& batch) {
                             ++staged;
                             return std::tuple(to_device<D>(batch.images), to_device<D>(batch.labels),
                                               to_device<D>(batch.radicands));
                           },
                           [&](const Tensor<float, D>& images, const Tensor<float, D>& labels,
                               const Tensor<float, D>& radicands) {
                             ++computed;
                             const auto y = net(Variable<float, D>(images));
                             const auto roots = sqrt(affine(y, 0.0f) + Variable<float, D>(radicands));
                             return bce_with_logits(y, labels) + mean(roots);  // d sqrt(0) / d 0
                           }},
                [&] {
                  if (settings.keep_snapshots) {
                    auto now = state_dict(net);
                    for (auto& moment : optimizer.state()) now.push_back(moment);
                    Values values;
                    append(values, now);
                    snapshots.emplace_back(std::move(now), std::move(values));
                  }
                  // The second epoch scores best: its weights are what training ends with.
                  return Metrics{{"score", trainer.history().size() == 1 ? 1.0 : 0.0}};
                });
  } catch (const NumericError& error) {
    out.error = error.what();
  }
  for (const auto& [tensors, before] : snapshots) {
    Values now;
    append(now, tensors);
    CHECK(now == before);
  }
  out.captured = computed < staged;
  out.rows = trainer.history().rows();
  out.table = trainer.history().csv();
  out.random = net.dropout.random;
  out.steps = optimizer.steps();
  append(out.values, state_dict(net));
  append(out.values, optimizer.state());
  if (!settings.directory.empty())
    for (const char* name :
         {"results.csv", "state.safetensors", "weights/best.safetensors", "weights/last.safetensors"})
      out.files[name] = contents(settings.directory + '/' + name);
  return out;
}

/// A directory that no other test uses, empty.
struct Scratch {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("kfer_captured_" + std::to_string(getpid()));
  Scratch() { std::filesystem::remove_all(path); }
  ~Scratch() { std::filesystem::remove_all(path); }
  Scratch(const Scratch&) = delete;
};

/// The same training, eagerly and captured, each in an empty directory. Captured it is, and ends with the
/// same bits in memory and in every file.
Outcome train_both(Settings settings) {
  Outcome outcomes[2];
  for (const bool capture : {false, true}) {
    const Scratch scratch;
    settings.directory = scratch.path.string();
    settings.capture = capture;
    outcomes[capture] = train(settings);
  }
  CHECK_FALSE(outcomes[0].captured);
  CHECK(outcomes[1].captured);
  CHECK(outcomes[1].error == outcomes[0].error);
  CHECK(outcomes[1] == outcomes[0]);
  CHECK(!outcomes[0].files.at("state.safetensors").empty());
  return outcomes[1];
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

TEST_CASE("clipped steps are captured, and equal eager ones") {
  const Outcome clipped = train_both({.clip_norm = 0.1}), loosely = train_both({.clip_norm = 0.3});
  CHECK(clipped.rows != loosely.rows);
  CHECK(loosely.rows != train_both({}).rows);
  CHECK(train_both({.clip_norm = 1e6}).rows == train_both({}).rows);
}

TEST_CASE("bad batches at random steps are skipped as in eager training, clipped or not") {
  const RandomStream random{.seed = 31};
  std::uint64_t drawn = 0;
  for (int round = 0; round < 6; ++round) {
    Settings settings{.skip = true, .clip_norm = round % 2 ? 0.1 : 0.0, .save_every = round % 4};
    BadSteps& bad = settings.data.bad;
    const auto count = 1 + random.below(drawn++, 5);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto step = random.below(drawn++, 3 * batches);
      const auto kind = random.below(drawn++, 2) ? Bad::loss : Bad::gradient;
      for (std::uint32_t row = 0; row <= random.below(drawn, 3); ++row) bad[step + row] = kind;
      ++drawn;
    }
    CAPTURE(round);
    const Outcome outcome = train_both(settings);
    std::int64_t expected = 0;
    double skipped = 0;
    for (const auto& [step, kind] : bad) expected += step < 3 * batches;
    REQUIRE(outcome.rows.size() == 3);
    for (const auto& row : outcome.rows) skipped += row[3];
    CHECK(skipped == static_cast<double>(expected));
    CHECK(outcome.steps == 3 * batches - expected);
    for (const auto& [name, values] : outcome.values)
      for (const float value : values) REQUIRE(std::isfinite(value));
  }
}

TEST_CASE("bad batches at the very beginning are skipped before anything is captured") {
  const Outcome outcome = train_both({.skip = true, .data = {.bad = {{0, Bad::gradient}, {1, Bad::loss}}}});
  CHECK(outcome.steps == 3 * batches - 2);
}

TEST_CASE("too many bad batches in a row stop a run that skips, by the same words") {
  Settings settings{.skip = true};
  for (std::int64_t step = 5; step < 3 * batches; ++step) settings.data.bad[step] = Bad::loss;
  CHECK(train_both(settings).error ==
        "training, epoch 3, batch 4, step 6: the loss is nan; the first value that is not finite: the result "
        "of layer 'conv'; the 10 batches before were skipped already");
}

TEST_CASE("a bad batch stops a run before it has changed anything, and is named") {
  struct Case {
    std::int64_t step;
    Bad bad;
    const char* where;
    double clip_norm;
  };
  for (const Case& c : {Case{4, Bad::loss, "epoch 1, batch 5, step 5", 0.1},
                        Case{9, Bad::gradient, "epoch 2, batch 4, step 10", 0},
                        Case{16, Bad::loss, "epoch 3, batch 5, step 17", 0},
                        Case{17, Bad::gradient, "epoch 3, batch 6, step 18", 0.1}}) {
    CAPTURE(c.where);
    Settings settings{.clip_norm = c.clip_norm, .save_every = 4};
    settings.data.bad = {{c.step, c.bad}};
    const Outcome stopped = train_both(settings);
    CHECK(stopped.error ==
          text("training, ", c.where,
               c.bad == Bad::loss
                   ? ": the loss is nan; the first value that is not finite: the result of layer 'conv'"
                   : ": the gradient of 'conv.weight' is not finite"));
    CHECK(stopped.steps == c.step);
    // What there was before the bad batch: what a run ends with that a signal stops there.
    Settings good{.clip_norm = c.clip_norm};
    good.data.signal_at = c.step - 1;
    const Outcome before = train(good);
    CHECK(before.steps == c.step);
    CHECK(stopped.values == before.values);
  }
}

TEST_CASE("the host runs ahead of the device, and comes back to a bad batch") {
  std::vector<std::int64_t> read;
  Settings settings{.skip = true};
  settings.data.bad = {{14, Bad::loss}};
  settings.data.read = &read;
  train(settings);
  const auto bad = std::find(read.begin(), read.end(), 14), again = std::find(bad + 1, read.end(), 14);
  REQUIRE(again != read.end());
  CHECK(again - bad > 2);  // batches after it were under way
  CHECK(std::count(read.begin(), read.end(), 14) == 2);
  CHECK(std::count(read.begin(), read.end(), 13) == 1);
  CHECK(std::vector<std::int64_t>(again, read.end()) == std::vector<std::int64_t>{14, 15, 16, 17});
}

TEST_CASE("a run that is resumed among captured steps goes on as if it had not stopped") {
  const Outcome whole = train_both({.epochs = 4, .skip = true, .data = {.bad = {{8, Bad::gradient}}}});
  for (const std::int64_t stop : {3, 6, 7, 8, 9, 16}) {
    CAPTURE(stop);
    const Scratch scratch;
    Settings settings{.epochs = 4, .directory = scratch.path.string(), .skip = true, .save_every = stop % 3};
    settings.data.bad = {{8, Bad::gradient}};
    settings.data.signal_at = stop;
    CHECK(train(settings).rows.size() == static_cast<std::size_t>((stop + 1) / batches));
    settings.data.signal_at = -1;
    settings.resume = true;
    CHECK(train(settings) == whole);
  }
}

TEST_CASE("snapshots that an evaluation keeps stay what they were, and training goes on") {
  const Outcome kept = train_both({.clip_norm = 0.1, .keep_snapshots = true});
  CHECK(kept == train_both({.clip_norm = 0.1}));
}

TEST_CASE("a step that draws two masks from one stream is not captured, and trains all the same") {
  const Outcome eager = train({.capture = false, .twice = true}), tried = train({.twice = true});
  CHECK(tried == eager);
}

TEST_CASE("what cannot be part of a graph says so, and leaves the device as it was") {
  const auto x = to_device<D>(uniform({8}, {.seed = 3}));
  CHECK_THROWS_WITH_AS(captured_graph<D>::type::capture([&] { static_cast<void>(x.to_vector()); }),
                       doctest::Contains("cannot be part of a captured graph"), DeviceError);
  CHECK_FALSE(D::capturing());
  Tensor<float, D> y;
  auto graph =
      captured_graph<D>::type::capture([&] { y = unary(SquareFunctor{}, Variable<float, D>(x)).value(); });
  graph.replay(0);
  const auto values = x.to_vector(), squares = y.to_vector();
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(squares[i] == values[i] * values[i]);
}

TEST_CASE("a loss that is not staged is told of, where steps are to be captured") {
  Net net;
  Adam<float, D> optimizer(named_parameters(net));
  const auto loss = [](const Batch&) { return Variable<float, D>(); };
  using Pipeline = StepPipeline<Net, Adam<float, D>, std::remove_const_t<decltype(loss)>, Batch>;
  CHECK(Pipeline(net, optimizer, {}, {}).why_not() == "the loss is not a StagedLoss");
  CHECK(Pipeline(net, optimizer, {}, {.on = false}).why_not().empty());
}

TEST_CASE("more steps under way than are logged are refused before they run") {
  Net net;
  Adam<float, D> optimizer(named_parameters(net));
  const auto inputs = std::tuple(to_device<D>(uniform({2, 3, 4, 4}, {.seed = 1})),
                                 to_device<D>(uniform({2, 4}, {.seed = 2})));
  const auto compute = [&](const Tensor<float, D>& images, const Tensor<float, D>& labels) {
    return bce_with_logits(net(Variable<float, D>(images)), labels);
  };
  backward(std::apply(compute, inputs));
  optimizer.step();
  using Step = CapturedStep<Net, Adam<float, D>, std::remove_const_t<decltype(inputs)>>;
  Step step(net, optimizer, {&net.dropout.random}, inputs, compute);
  for (std::int64_t i = 0; i < Step::most_under_way; ++i) step.run(inputs);
  CHECK_THROWS_AS(step.run(inputs), ValueError);
  CHECK(optimizer.steps() == 1 + Step::most_under_way);
  CHECK(std::cmp_equal(step.read().losses.size(), Step::most_under_way));
  step.run(inputs);
  CHECK(step.read().losses.size() == 1);
}
