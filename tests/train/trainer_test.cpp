// The training loop: it learns, stops, saves, and continues bit for bit wherever it was interrupted.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <thread>

#include "kfer/optim/sgd_cpu.hpp"
#include "train/tiny.hpp"

using namespace tiny;

namespace {

void check_same_files(const std::string& a, const std::string& b) {
  for (const auto& file : lasting_files()) {
    CAPTURE(file);
    const std::string expected = read(a + '/' + file);
    REQUIRE(!expected.empty());
    CHECK(read(b + '/' + file) == expected);
  }
}

struct OtherNet : Net {
  static constexpr std::string_view name = "other";
};

struct Line {
  using parameter_type = Variable<double>;
  Linear<double> fc;
  template <class Visitor>
  void visit(Visitor&& v) {
    v("fc", fc);
  }
};

bool same_weights(Net& a, Net& b) {
  const auto x = state_dict(a), y = state_dict(b);
  for (std::size_t i = 0; i < x.size(); ++i)
    if (x[i].second.to_vector() != y[i].second.to_vector()) return false;
  return x.size() == y.size();
}

}  // namespace

TEST_CASE("training learns, and ends with the weights of the best epoch") {
  Scratch scratch;
  Run run(scratch.path + "/runs/tiny/first", 12);
  const auto& result = run.fit();
  CHECK(result.epochs == 12);
  CHECK(!result.interrupted);
  CHECK(result.exit_code() == 0);
  CHECK(result.best < 0.45);  // ln 2 = 0.693 is chance
  const Batch all = run.data.all();
  CHECK(bce_with_logits(run.net(all.x), all.targets).item() == static_cast<float>(result.best));

  Net loaded(RandomStream{.seed = 1});
  load_weights(loaded, run.options.directory + "/weights/best.safetensors");
  CHECK(same_weights(loaded, run.net));

  const auto table = read(run.options.directory + "/results.csv");
  CHECK(table.starts_with("epoch,loss,val_loss,lr\n1,"));
  CHECK(std::count(table.begin(), table.end(), '\n') == 13);
  CHECK(io::parse_json(read(run.options.directory + "/args.json")).at("seed").as_int() == 46);
  bool events = false;
  for (const auto& entry : std::filesystem::directory_iterator(run.options.directory)) {
    const auto name = entry.path().filename().string();
    events = events || name.starts_with("events.out.tfevents.");
    CHECK(name.find(".saving-") == std::string::npos);
  }
  CHECK(events);
}

TEST_CASE("without a directory nothing is written, and the result is the same") {
  Scratch scratch;
  Run with(scratch.path), without("");
  with.fit();
  without.fit();
  CHECK(same_weights(with.net, without.net));
}

TEST_CASE("early stopping waits for its patience and restores the best weights") {
  Scratch scratch;
  Run run(scratch.path, 50);
  run.options.early_stopping = {.monitor = "score", .maximize = true, .min_delta = 0.5, .patience = 3};
  const std::vector<double> scores{1, 2, 1.9, 2.4, 2.6, 2.6, NAN, 3.1, 9};
  std::size_t epoch = 0;
  StateDict<float, Cpu> at_best;
  Trainer trainer(run.net, run.optimizer, run.options);
  const auto result = trainer.fit(
      run.data, [&](const Batch& b) { return bce_with_logits(run.net(b.x), b.targets); },
      [&] {
        if (epoch == 4) at_best = state_dict(run.net);
        return Metrics{{"score", scores.at(epoch++)}};
      });
  CHECK(result.stopped_early);
  CHECK(result.epochs ==
        8);  // 2.6 is the best; 2.6, NaN and 3.1 (not more than 0.5 better) exhaust the patience
  CHECK(result.best == 2.6);
  CHECK(result.best_epoch == 5);
  const auto now = state_dict(run.net);
  for (std::size_t i = 0; i < now.size(); ++i)
    CHECK(now[i].second.to_vector() == at_best[i].second.to_vector());
}

TEST_CASE("a run that was interrupted anywhere continues bit for bit") {
  Scratch scratch;
  Run straight(scratch.path + "/straight");
  straight.fit();
  const std::int64_t steps = 4 * Data::rows / Data::batch_size;
  for (const std::int64_t at :
       {0, 1, 5, 6, 7, 8, 9, 15, 16, 30, 31}) {  // the last batch of an epoch is 7, 15, ...
    REQUIRE(at < steps);
    CAPTURE(at);
    const std::string path = text(scratch.path, "/at", at);
    {
      Run first(path);
      first.data.before_batch = [&](std::int64_t epoch, std::int64_t batch) {
        if (epoch * 8 + batch == at) ::raise(at % 2 ? SIGINT : SIGTERM);
      };
      const auto& result = first.fit();
      CHECK(result.interrupted);
      CHECK(result.exit_code() == 130);
    }
    Run second(path);
    second.options.resume = true;
    second.net = Net(RandomStream{.seed = 999});  // whatever it starts from must not matter
    second.optimizer = Adam<>(named_parameters(second.net), {.lr = 0.01});
    std::int64_t first_batch = -1;
    second.data.before_batch = [&](std::int64_t epoch, std::int64_t batch) {
      if (first_batch < 0) first_batch = epoch * 8 + batch;
    };
    second.fit();
    if (at + 1 < steps) CHECK(first_batch == at + 1);
    check_same_files(straight.options.directory, path);
    CHECK(same_weights(second.net, straight.net));
    CHECK(second.result.best == straight.result.best);
  }
}

TEST_CASE("a run interrupted twice in one epoch, and one continued for more epochs") {
  Scratch scratch;
  Run straight(scratch.path + "/straight", 5);
  straight.fit();
  const std::string path = scratch.path + "/pieces";
  for (const std::int64_t at : {10, 12}) {
    Run piece(path, 3);
    piece.options.resume = at > 10;
    piece.data.before_batch = [&](std::int64_t epoch, std::int64_t batch) {
      if (epoch * 8 + batch == at) ::raise(SIGINT);
    };
    CHECK(piece.fit().interrupted);
  }
  Run third(path, 3);
  third.options.resume = true;
  CHECK(third.fit().epochs == 3);
  Run fourth(path, 5);
  fourth.options.resume = true;
  CHECK(fourth.fit().epochs == 5);
  for (const auto& file : {"/results.csv", "/weights/best.safetensors", "/weights/last.safetensors"})
    CHECK(read(path + file) == read(straight.options.directory + file));
  Run finished(path, 5);
  finished.options.resume = true;
  finished.data.before_batch = [](std::int64_t, std::int64_t) {
    FAIL("a finished run has nothing to train");
  };
  CHECK(finished.fit().epochs == 5);
  CHECK(same_weights(finished.net, straight.net));
}

// Run as a program of its own by the test below.
TEST_CASE("child: train until killed" * doctest::skip()) {
  const char* path = std::getenv("KFER_TEST_RUN");
  REQUIRE(path);
  Run run(path);
  run.options.resume = RunDirectory(path).has_state();
  run.options.save_every = 1;
  run.data.before_batch = [](std::int64_t, std::int64_t) {  // time to be killed in
    std::this_thread::sleep_for(std::chrono::milliseconds(4));
  };
  run.fit();
}

TEST_CASE("killed at any moment, a run continues and ends as if nothing had happened") {
  Scratch scratch;
  Run straight(scratch.path + "/straight");
  straight.options.save_every = 1;
  straight.fit();
  const std::string path = scratch.path + "/killed";
  const auto spawn = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setenv("KFER_TEST_RUN", path.c_str(), 1);
      const int null = ::open("/dev/null", O_WRONLY);
      ::dup2(null, 1);
      ::execl("/proc/self/exe", "child", "--no-skip", "--test-case=child: train until killed", nullptr);
      ::_exit(127);
    }
    return child;
  };
  int kills = 0, status = -1;
  for (int round = 0; round < 40; ++round) {
    const pid_t child = spawn();
    REQUIRE(child > 0);
    const auto delay = RandomStream{.seed = 11}.below(static_cast<std::uint64_t>(round), 37000);
    const bool kill = round < 8;
    if (kill) {
      std::this_thread::sleep_for(std::chrono::microseconds(3000 + delay));
      ::kill(child, SIGKILL);
    }
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (!WIFSIGNALED(status)) break;
    ++kills;
    if (RunDirectory(path).has_state()) {  // complete at every moment
      Net net;
      Adam<> optimizer(named_parameters(net));
      CHECK_NOTHROW(load_checkpoint(path + "/state.safetensors", net, optimizer));
    }
  }
  CHECK(kills >= 3);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  check_same_files(straight.options.directory, path);
}

TEST_CASE("a full disk leaves the state before in place") {
  Scratch scratch;
  Run run(scratch.path);
  run.options.save_every = 1;
  const std::string state = scratch.path + "/state.safetensors";
  std::string before;
  struct rlimit old {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  run.data.before_batch = [&](std::int64_t, std::int64_t batch) {
    if (batch != 3) return;
    before = read(state);
    const struct rlimit small { .rlim_cur = 1000, .rlim_max = old.rlim_max };
    ::setrlimit(RLIMIT_FSIZE, &small);
  };
  std::string message;
  try {
    run.fit();
  } catch (const IoError& error) {
    message = error.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  CHECK(message.find("state.safetensors") != std::string::npos);
  REQUIRE(before.size() > 1000);
  CHECK(read(state) == before);

  Run straight(scratch.path + "/straight");
  straight.options.save_every = 1;
  straight.fit();
  Run again(scratch.path);
  again.options.resume = true;
  again.fit();
  check_same_files(straight.options.directory, scratch.path);
}

TEST_CASE("a loss that is not finite stops the run, names the layer, and leaves the files alone") {
  Scratch scratch;
  Run run(scratch.path);
  std::map<std::string, std::string> files;
  bool poison_data = false;
  SUBCASE("a parameter") {}
  SUBCASE("an activation") {
    poison_data = true;
  }
  run.data.before_batch = [&](std::int64_t epoch, std::int64_t batch) {
    if (epoch != 2 || batch != 5) return;
    for (const auto& name : lasting_files()) files[name] = read(scratch.path + '/' + name);
    if (!poison_data) run.net.fc2.weight.mutable_value().mutable_data()[4] = NAN;
  };
  std::string message;
  try {
    Trainer trainer(run.net, run.optimizer, run.options);
    trainer.fit(
        run.data,
        [&](Batch b) {
          if (poison_data && !files.empty()) {
            // Finite inputs whose products overflow in the first layer.
            b.x.mutable_value() = full(b.x.shape(), 3e38f);
            for (float& w : std::span(run.net.fc1.weight.mutable_value().mutable_data(), 6)) w = 2;
          }
          return bce_with_logits(run.net(b.x), b.targets);
        },
        [&] {
          return Metrics{{"val_loss", 1}};
        });
  } catch (const NumericError& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.starts_with("training, epoch 3, batch 6, step 22: the loss is nan; "));
  CHECK(message.ends_with(poison_data ? "the first value that is not finite: the result of layer 'fc1'"
                                      : "the first value that is not finite: parameter 'fc2.weight'"));
  REQUIRE(files.size() == 4);
  for (const auto& [name, content] : files) CHECK(read(scratch.path + '/' + name) == content);
  Run again(scratch.path);
  again.options.resume = true;
  CHECK(again.fit().epochs == 4);
}

TEST_CASE("a gradient that is not finite is named, and weights that are not finite are not saved") {
  Run run("");
  Trainer trainer(run.net, run.optimizer, run.options);
  const auto evaluate = [] { return Metrics{{"val_loss", 1}}; };
  // d sqrt(0) / d 0 is infinite while the loss is finite.
  const auto loss = [&](const Batch& b) { return mean(sqrt(affine(run.net(b.x), 0.0f))); };
  CHECK_THROWS_WITH_AS(trainer.fit(run.data, loss, evaluate),
                       "training, epoch 1, batch 1, step 1: the gradient of 'fc1.weight' is not finite",
                       NumericError);
  Scratch scratch;
  Run unclipped(scratch.path);
  unclipped.options.clip_norm = 0;
  unclipped.options.save_every = 1;
  Trainer second(unclipped.net, unclipped.optimizer, unclipped.options);
  const auto loss2 = [&](const Batch& b) { return mean(sqrt(affine(unclipped.net(b.x), 0.0f))); };
  CHECK_THROWS_WITH_AS(second.fit(unclipped.data, loss2, evaluate),
                       "training, epoch 1, batch 1, step 1: the gradient of 'fc1.weight' is not finite",
                       NumericError);
  Net net;
  Adam<> optimizer(named_parameters(net));
  CHECK(load_checkpoint(scratch.path + "/state.safetensors", net, optimizer).batch == 0);

  Scratch other;
  Run spoilt(other.path);
  Trainer third(spoilt.net, spoilt.optimizer, spoilt.options);
  const auto loss3 = [&](const Batch& b) { return bce_with_logits(spoilt.net(b.x), b.targets); };
  const auto spoil = [&] {
    if (third.history().size() == 1) spoilt.net.fc2.bias->mutable_value().mutable_data()[0] = NAN;
    return Metrics{{"val_loss", 1}};
  };
  CHECK_THROWS_WITH_AS(
      third.fit(spoilt.data, loss3, spoil),
      "training, epoch 2, after batch 8, step 16: parameter 'fc2.bias' is not finite; nothing was saved",
      NumericError);
}

TEST_CASE("a rate that the caller changes between epochs is part of the state") {
  const auto session = [](const std::string& directory, std::int64_t epochs, bool resume) {
    Run run(directory, epochs);
    run.options.schedule = {};
    run.options.resume = resume;
    Trainer trainer(run.net, run.optimizer, run.options);
    trainer.fit(
        run.data, [&](const Batch& b) { return bce_with_logits(run.net(b.x), b.targets); },
        [&] {
          run.optimizer.lr *= 0.5;
          return Metrics{{"val_loss", 1}};
        });
    return read(directory + "/weights/last.safetensors");
  };
  Scratch whole, parts;
  const auto expected = session(whole.path, 3, false);
  session(parts.path, 1, false);
  session(parts.path, 2, true);
  CHECK(session(parts.path, 3, true) == expected);
  CHECK(read(parts.path + "/results.csv") == read(whole.path + "/results.csv"));
}

TEST_CASE("a skipped batch is told of in a line of its own, not behind the progress bar") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  REQUIRE(::grantpt(terminal) == 0);
  REQUIRE(::unlockpt(terminal) == 0);
  std::FILE* out = std::fopen(::ptsname(terminal), "w");
  REQUIRE(out);
  Run run("", 1);
  run.options.log = out;
  run.options.on_non_finite = OnNonFinite::skip;
  run.data.before_batch = [](std::int64_t, std::int64_t batch) {
    if (batch == 2) std::this_thread::sleep_for(std::chrono::milliseconds(120));  // then a bar is drawn
  };
  Trainer trainer(run.net, run.optimizer, run.options);
  trainer.fit(
      run.data,
      [&](const Batch& b) {
        const auto y = run.net(b.x);
        return run.data.batch == 4 ? mean(sqrt(affine(y, 0.0f))) : bce_with_logits(y, b.targets);
      },
      [] {
        return Metrics{{"val_loss", 1}};
      });
  std::fflush(out);
  std::string drawn(8192, ' ');
  const auto n = ::read(terminal, drawn.data(), drawn.size());
  REQUIRE(n > 0);
  drawn.resize(static_cast<std::size_t>(n));
  const auto bar = drawn.find("] 3/8"), line = drawn.find("skipped: training, epoch 1, batch 4");
  REQUIRE(bar != std::string::npos);
  REQUIRE(line != std::string::npos);
  CHECK(bar < line);
  CHECK(drawn[line - 1] == '\r');
  std::fclose(out);
  ::close(terminal);
}

TEST_CASE("where memory runs out, the layer before is named and the process goes on") {
  Run run("");
  Trainer trainer(run.net, run.optimizer, run.options);
  bool greedy = true;
  const auto loss = [&](const Batch& b) {
    const auto hidden = run.net.fc1(b.x);
    if (greedy) Tensor<float>({std::int64_t{1} << 58});
    return bce_with_logits(run.net.fc2(hidden), b.targets);
  };
  const auto evaluate = [] { return Metrics{{"val_loss", 1}}; };
  std::string message;
  try {
    trainer.fit(run.data, loss, evaluate);
  } catch (const OutOfMemoryError& error) {
    message = error.what();
  }
  CAPTURE(message);
  CHECK(message.starts_with("training, epoch 1, batch 1, step 1, after layer 'fc1': cpu: cannot allocate "));
  CHECK(message.find(std::to_string(std::int64_t{1} << 60) + " bytes") != std::string::npos);
  greedy = false;
  CHECK(trainer.fit(run.data, loss, evaluate).epochs == run.options.epochs);
}

TEST_CASE("what does not fit a run is refused, with both sides named") {
  Scratch scratch;
  Run run(scratch.path + "/run", 2);
  run.fit();
  const std::string state = run.options.directory + "/state.safetensors";
  const auto content = read(state);

  {
    Run again(run.options.directory, 2);
    CHECK_THROWS_AS(again.fit(), UsageError);  // would overwrite
    again.options.overwrite = true;
    std::ofstream(run.options.directory + "/result.json") << "{}";
    CHECK_NOTHROW(again.fit());
    CHECK(read(state) == content);  // the same run again
    CHECK(!std::filesystem::exists(run.options.directory + "/result.json"));
    const auto is_events = [](const auto& entry) {
      return entry.path().filename().string().starts_with("events.out.tfevents.");
    };
    const std::filesystem::directory_iterator files(run.options.directory);
    CHECK(std::count_if(begin(files), end(files), is_events) == 1);  // nothing of the run before
  }
  {
    Run other(run.options.directory, 3);
    other.options.resume = true;
    other.options.arguments["seed"] = 47;
    CHECK_THROWS_WITH_AS(other.fit(), doctest::Contains("began with other arguments: seed was 46, now 47"),
                         UsageError);
  }
  {
    Run other(scratch.path + "/nothing");
    other.options.resume = true;
    CHECK_THROWS_WITH_AS(other.fit(), doctest::Contains("holds no run to resume"), UsageError);
  }
  {
    const RunDirectory held(run.options.directory);
    Run other(run.options.directory, 2);
    other.options.resume = true;
    CHECK_THROWS_WITH_AS(other.fit(), doctest::Contains("is in use by another process"), UsageError);
  }
  {
    Net wide(RandomStream{}, 25);
    const auto before = wide.fc1.weight.value().to_vector();
    Adam<> optimizer(named_parameters(wide));
    CHECK_THROWS_WITH_AS(load_checkpoint(state, wide, optimizer),
                         doctest::Contains("fc1.weight (expected [25, 6], got [24, 6])"), ShapeError);
    CHECK(wide.fc1.weight.value().to_vector() == before);
    CHECK(optimizer.steps() == 0);
  }
  {
    Net net;
    Sgd<> sgd(named_parameters(net), {.momentum = 0.9});
    CHECK_THROWS_WITH_AS(load_checkpoint(state, net, sgd), doctest::Contains("belongs to no parameter"),
                         ValueError);
    Adam<> adam(named_parameters(net));
    CHECK_THROWS_WITH_AS(load_checkpoint(run.options.directory + "/weights/best.safetensors", net, adam),
                         doctest::Contains("is no training state"), FormatError);
    CHECK_THROWS_AS(load_checkpoint(scratch.path + "/missing", net, adam), IoError);
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{7}, std::size_t{100}, content.size() / 2, content.size() - 1}) {
      const std::string cut = scratch.path + "/cut.safetensors";
      std::ofstream(cut, std::ios::binary) << content.substr(0, size);
      CHECK_THROWS_AS(load_checkpoint(cut, net, adam), FormatError);
    }
  }
  CHECK(read(state) == content);
  for (const bool resume : {false, true}) {
    TrainerOptions options;
    options.resume = resume;  // in no directory
    if (!resume) options.epochs = -1;
    CHECK_THROWS_AS(Trainer(run.net, run.optimizer, options), ValueError);
  }
  {
    Run wrong("", 1);
    wrong.options.early_stopping.monitor = "val_acc";
    CHECK_THROWS_WITH_AS(wrong.fit(), "there is no metric 'val_acc'; there are: loss, val_loss, lr",
                         ValueError);
  }
}

TEST_CASE("weights of another model are refused by name") {
  Scratch scratch;
  Net net;
  save_weights(net, scratch.path + "/tiny.safetensors");
  OtherNet other;
  CHECK_THROWS_WITH_AS(load_weights(other, scratch.path + "/tiny.safetensors"),
                       doctest::Contains("holds weights of 'tiny', expected weights of 'other'"),
                       FormatError);
}

TEST_CASE("models in double precision train too, with SGD") {
  RandomStream random{.seed = 1};
  Line line{Linear<double>(1, 1, random)};
  struct Points {
    std::int64_t batches_per_epoch() const { return 2; }
    void seek(std::int64_t, std::int64_t b) { at = b; }
    double next() { return at++ ? 1.0 : -1.0; }
    std::int64_t at = 0;
  } points;
  Sgd<double> sgd(named_parameters(line), {.lr = 0.25, .momentum = 0.5});
  TrainerOptions options;
  options.epochs = 100;
  options.early_stopping.monitor = "loss";
  options.log = nullptr;
  Trainer trainer(line, sgd, options);
  trainer.fit(
      points,
      [&](double x) {  // y = 3 x + 1
        const Variable<double> input(full<double>({1, 1}, x)), target(full<double>({1, 1}, 3 * x + 1));
        return mean(square(line.fc(input) - target));
      },
      [] { return Metrics{}; });
  CHECK(line.fc.weight.item() == doctest::Approx(3));
  CHECK(line.fc.bias->item() == doctest::Approx(1));
}
