// Batches whose loss or gradient is not finite, left out of a run that goes on.
#include <doctest/doctest.h>

#include <csignal>

#include "train/augmented.hpp"
#include "train/tiny.hpp"

using augmented::Run;
using namespace kfer;

namespace {

constexpr std::int64_t epochs = 3, bad_epoch = 1, bad_batch = 2;

Metrics no_metrics() {
  return {};
}

TrainerOptions skipping(const Run& run, std::string directory) {
  TrainerOptions options = run.options;
  options.directory = std::move(directory);
  options.early_stopping = {.monitor = "loss"};
  options.on_non_finite = OnNonFinite::skip;
  return options;
}

/// The loss of a batch; of the bad one NaN, or finite with a gradient that is infinite.
auto spoilt_loss(Run& run, bool gradient) {
  return [&run, gradient](const data::Batch& b) {
    const bool bad = b.epoch == bad_epoch && b.index == bad_batch;
    auto x = Run::pixels(b);
    if (bad && !gradient) x = Variable<>(full(x.shape(), std::numeric_limits<float>::infinity()));
    const auto y = run.net(x);
    if (bad && gradient) return mean(sqrt(affine(y, 0.0f)));  // d sqrt(0) / d 0
    return bce_with_logits(y, Run::targets(b));
  };
}

}  // namespace

TEST_CASE("a skipped batch changes nothing but the dropout's place") {
  for (const bool gradient : {false, true})
    for (const double clip_norm : {0.0, 0.5}) {
      CAPTURE(gradient);
      CAPTURE(clip_norm);
      // The oracle: a plain loop that never shows the bad batch to the network.
      Run plain("", epochs, 0);
      for (std::int64_t epoch = 0; epoch < epochs; ++epoch) {
        plain.loader.seek(epoch, 0);
        for (std::int64_t i = 0; i < Run::batches; ++i) {
          const auto& b = plain.loader.next();
          if (epoch == bad_epoch && i == bad_batch) {
            plain.net.dropout.mask();
            continue;
          }
          plain.optimizer.lr = plain.options.schedule(plain.optimizer.steps());
          plain.optimizer.zero_grad();
          backward(bce_with_logits(plain.net(Run::pixels(b)), Run::targets(b)));
          const auto parameters = named_parameters(plain.net);
          plain.optimizer.step(clip_norm > 0 ? clip_scale(global_norm(parameters), clip_norm) : 1);
        }
      }
      CHECK(plain.optimizer.steps() == epochs * Run::batches - 1);

      tiny::Scratch scratch;
      Run run("", epochs, 2);
      auto options = skipping(run, scratch.path);
      options.clip_norm = clip_norm;
      Trainer trainer(run.net, run.optimizer, options);
      trainer.fit(run.loader, spoilt_loss(run, gradient), no_metrics);
      CHECK(run.optimizer.steps() == plain.optimizer.steps());
      augmented::Net last;
      load_weights(last, scratch.path + "/weights/last.safetensors");
      const auto expected = state_dict(plain.net), obtained = state_dict(last);
      REQUIRE(expected.size() == obtained.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CAPTURE(expected[i].first);
        CHECK(expected[i].second.to_vector() == obtained[i].second.to_vector());
      }
      const auto& history = trainer.history();
      CHECK(history.columns() == std::vector<std::string>{"loss", "lr", "skipped"});
      for (std::size_t epoch = 0; epoch < history.size(); ++epoch) {
        CHECK(history.rows()[epoch][2] == (epoch == bad_epoch ? 1 : 0));
        CHECK(history.rows()[epoch][0] > 0.1);  // the mean of the others: finite
        CHECK(history.rows()[epoch][0] < 2);
      }
    }
}

TEST_CASE("a bad batch that stops a run leaves the model, its statistics and the optimiser as they were") {
  for (const bool gradient : {false, true}) {
    CAPTURE(gradient);
    Run before("", epochs, 0);
    before.options.clip_norm = 0;
    before.before_batch = [](std::int64_t taken) {
      if (taken == bad_epoch * Run::batches + bad_batch - 1) ::raise(SIGINT);
    };
    CHECK(before.fit().interrupted);
    Run run("", epochs, 0);
    run.options.clip_norm = 0;
    Trainer trainer(run.net, run.optimizer, run.options);
    CHECK_THROWS_AS(trainer.fit(run.loader, spoilt_loss(run, gradient),
                                [] {
                                  return Metrics{{"val_loss", 1}};
                                }),
                    NumericError);
    CHECK(run.optimizer.steps() == before.optimizer.steps());
    auto expected = state_dict(before.net), obtained = state_dict(run.net);
    for (auto& moment : before.optimizer.state()) expected.push_back(moment);
    for (auto& moment : run.optimizer.state()) obtained.push_back(moment);
    REQUIRE(expected.size() == obtained.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      CAPTURE(expected[i].first);
      CHECK(expected[i].second.to_vector() == obtained[i].second.to_vector());
    }
  }
}

TEST_CASE("a run that skips resumes bit for bit around the skipped batch") {
  tiny::Scratch scratch;
  const auto session = [&](const std::string& name, bool resume, std::int64_t stop_at) {
    Run run("", epochs, 1);
    auto options = skipping(run, scratch.path + name);
    options.resume = resume;
    std::int64_t seen = 0;
    const auto loss = spoilt_loss(run, false);
    Trainer trainer(run.net, run.optimizer, options);
    return trainer.fit(
        run.loader,
        [&](const data::Batch& b) {
          if (b.epoch * Run::batches + b.index == stop_at && seen++ == 0) ::raise(SIGINT);
          return loss(b);
        },
        no_metrics);
  };
  session("/straight", false, -1);
  for (const std::int64_t at : {6, 7, 8}) {  // the bad batch is 7
    const auto name = text("/at", at);
    CHECK(session(name, false, at).interrupted);
    CHECK(!session(name, true, -1).interrupted);
    for (const auto& file : tiny::lasting_files())
      CHECK(tiny::read(scratch.path + name + '/' + file) == tiny::read(scratch.path + "/straight/" + file));
  }
}

TEST_CASE("too many in a row, and weights that no skipping mends, stop the run") {
  Run run("", epochs, 0);
  auto options = skipping(run, "");
  options.max_skipped = 3;
  std::int64_t seen = 0;
  const auto spoil = [&](const data::Batch& b) {
    ++seen;
    const bool good = b.epoch == 0 && b.index < 2;
    return bce_with_logits(
        run.net(good ? Run::pixels(b) : Variable<>(full({b.size, 3, 8, 8}, std::nanf("")))), Run::targets(b));
  };
  {
    Trainer trainer(run.net, run.optimizer, options);
    CHECK_THROWS_WITH_AS(
        trainer.fit(run.loader, spoil, no_metrics),
        "training, epoch 2, batch 1, step 3: the loss is nan; the first value that is not finite: the result "
        "of layer 'conv'; the 3 batches before were skipped already",
        NumericError);
    CHECK(run.optimizer.steps() == 2);
    for (const auto& [name, value] : state_dict(run.net)) CHECK(all_finite(value));
  }
  run.net.fc.weight.mutable_value().mutable_data()[3] = std::nanf("");
  Trainer trainer(run.net, run.optimizer, options);
  CHECK_THROWS_WITH_AS(
      trainer.fit(
          run.loader,
          [&](const data::Batch& b) { return bce_with_logits(run.net(Run::pixels(b)), Run::targets(b)); },
          no_metrics),
      doctest::Contains("no batch can be skipped: parameter 'fc.weight' is not finite"), NumericError);
  options.max_skipped = 0;
  CHECK_THROWS_AS(Trainer(run.net, run.optimizer, options), ValueError);
}
