// Resuming, at random points: whatever was interrupted, wherever, how often and with how many workers, ends
// with the files of the run that was not.
#include <doctest/doctest.h>

#include <csignal>
#include <map>

#include "train/augmented.hpp"
#include "train/tiny.hpp"

using augmented::Run;
using namespace kfer;

namespace {

constexpr std::int64_t epochs = 4, steps = epochs * Run::batches;

/// Numbers that each case draws for itself.
struct Chance {
  RandomStream random;
  std::uint64_t at = 0;
  std::int64_t below(std::int64_t n) {
    return static_cast<std::int64_t>(random.below(at++, static_cast<std::uint64_t>(n)));
  }
};

std::map<std::string, std::string> files_of(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& name : tiny::lasting_files()) files[name] = tiny::read(directory + '/' + name);
  return files;
}

const std::map<std::string, std::string>& uninterrupted() {
  static const auto files = [] {
    tiny::Scratch scratch;
    Run run(scratch.path, epochs, 0);
    CHECK(run.fit().epochs == epochs);
    return files_of(scratch.path);
  }();
  return files;
}

/// Where a run is stopped: before the batch after so many steps, or in the evaluation after so many.
struct Stop {
  std::int64_t steps;
  bool in_evaluation;
};

/// One session of a run, stopped there or going on to its end.
TrainResult session(const std::string& directory, int workers, bool resume, std::optional<Stop> stop) {
  Run run(directory, epochs, workers);
  run.options.resume = resume;
  if (resume) {  // whatever it starts from must not matter
    run.net = augmented::Net(RandomStream{.seed = 999});
    run.optimizer = Adam<>(named_parameters(run.net), {.lr = 0.5});
  }
  if (stop)
    (stop->in_evaluation ? run.during_evaluation : run.before_batch) = [=](std::int64_t taken) {
      if (taken == stop->steps) ::raise(taken % 2 ? SIGINT : SIGTERM);
    };
  return run.fit();
}

void check_end(const std::string& directory) {
  const auto files = files_of(directory);
  for (const auto& entry : uninterrupted()) {
    const auto& name = entry.first;
    const auto& content = entry.second;
    CAPTURE(name);
    REQUIRE(!content.empty());
    CHECK(files.at(name) == content);
  }
}

}  // namespace

TEST_CASE("the number of workers changes no bit") {
  for (int workers = 0; workers <= 3; ++workers) {
    tiny::Scratch scratch;
    session(scratch.path, workers, false, {});
    check_end(scratch.path);
  }
}

TEST_CASE("interrupted at random points, with dropout, batch norm, shuffling and augmentation") {
  Chance chance{{.seed = 20}};
  int interrupted = 0;
  for (int round = 0; round < 48; ++round) {
    tiny::Scratch scratch;
    bool resume = false, done = false;
    std::int64_t from = 0;
    // One to three interruptions, the workers changing at each.
    for (std::int64_t left = 1 + chance.below(3); left > 0 && !done && from < steps; --left) {
      Stop stop{from + chance.below(steps - from), chance.below(4) == 0};
      if (stop.in_evaluation) stop.steps = (stop.steps / Run::batches + 1) * Run::batches;
      const auto workers = static_cast<int>(chance.below(4));
      CAPTURE(round);
      CAPTURE(stop.steps);
      CAPTURE(stop.in_evaluation);
      CAPTURE(workers);
      const auto result = session(scratch.path, workers, resume, stop);
      done = !result.interrupted;
      CHECK(done == (stop.in_evaluation && stop.steps == steps));  // nothing was left to interrupt
      // The signal comes before a batch that is then still taken, or within an evaluation that ends.
      from = stop.steps + (stop.in_evaluation ? 0 : 1);
      resume = true;
      ++interrupted;
    }
    CHECK(session(scratch.path, static_cast<int>(chance.below(4)), true, {}).epochs == epochs);
    check_end(scratch.path);
  }
  CHECK(interrupted > 60);
}

TEST_CASE("interrupted before every single batch in turn, in one run") {
  tiny::Scratch scratch;
  for (std::int64_t step = 0; step + 1 < steps; ++step)
    CHECK(session(scratch.path, static_cast<int>(step % 4), step > 0, Stop{step, false}).interrupted);
  CHECK(!session(scratch.path, 2, true, {}).interrupted);
  check_end(scratch.path);
}

TEST_CASE("an exception in an evaluation or a batch loses no more than the steps since the save before") {
  Chance chance{{.seed = 21}};
  for (int round = 0; round < 16; ++round) {
    CAPTURE(round);
    tiny::Scratch scratch;
    for (int failure = 0; failure < 3; ++failure) {
      Run run(scratch.path, epochs, static_cast<int>(chance.below(4)));
      run.options.resume = failure > 0;
      run.options.save_every = 1 + chance.below(3);
      const auto at = chance.below(steps);
      const auto fail = [at](std::int64_t taken) {
        if (taken >= at) throw IoError("as if the data were gone");
      };
      run.during_evaluation = fail;
      if (chance.below(2)) run.before_batch = fail;
      CHECK_THROWS_AS(run.fit(), IoError);
    }
    session(scratch.path, 1, true, {});
    check_end(scratch.path);
  }
}
