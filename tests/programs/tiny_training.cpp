// A training program small enough to be killed hundreds of times: the run of tests/train/augmented.hpp, which
// saves its state after every step and tells when it has. Used by kill_test.py and disk_fault_test.py.
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "kfer/train/flags.hpp"
#include "train/augmented.hpp"

int main(int argc, char** argv) {
  return kfer::run_program("tiny_training", [&] {
    std::string directory;
    std::int64_t epochs = 8, save_every = 1;
    int workers = 1;
    bool step_by_step = false;
    kfer::Flags flags("tiny_training", "Trains a tiny network, or goes on where it stopped.");
    flags.add("directory", directory, "of the run");
    flags.add("epochs", epochs, "to train", {.min = 0});
    flags.add("save-every", save_every, "steps between saves; 0: once an epoch", {.min = 0});
    flags.add("workers", workers, "threads that load", {.min = 0});
    flags.add("step-by-step", step_by_step, "wait for a line of input after each step");
    if (!flags.parse(argc, argv)) return 0;

    augmented::Run run(directory, epochs, workers);
    run.options.save_every = save_every;
    run.options.resume = kfer::RunDirectory(directory).has_state();
    // After a step and its save comes the next batch, or an evaluation, another save and the next batch. One
    // write, so that a kill cannot cut the line.
    run.before_batch = run.during_evaluation = [&](std::int64_t steps) {
      const auto line = kfer::text("saved ", steps, '\n');
      char answer;
      if (::write(1, line.data(), line.size()) < 0 || (step_by_step && ::read(0, &answer, 1) != 1))
        throw kfer::IoError("nobody is listening");
    };
    run.fit();
    return 0;
  });
}
