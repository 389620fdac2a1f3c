// Training steps that the device takes while the host prepares the next ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/train/captured_step.hpp"

namespace kfer {

struct PipelineOptions {
  bool on = true;
  double clip_norm = 0;  ///< largest global norm of the gradients; 0: not clipped
};

/// What a training loop asks before every step: `try_step` puts it on its way as a replayed graph, or leaves
/// it to be taken eagerly, once `finish` was called. This one never takes it: the device cannot capture, or
/// the loss is not staged.
template <Module M, class O, class Loss, class Batch>
class StepPipeline {
 public:
  StepPipeline(M&, O&, const std::vector<RandomStream*>&, const PipelineOptions& options) {
    if (Capturing<typename O::device_type> && options.on) why_not_ = "the loss is not a StagedLoss";
  }
  bool try_step(const Loss&, const Batch&) { return false; }
  std::int64_t under_way() const { return 0; }
  bool full() const { return false; }
  StepsTaken finish() { return {}; }
  const std::string& why_not() const { return why_not_; }

 private:
  std::string why_not_;
};

template <Module M, class O, class Stage, class Compute, class Batch>
requires Capturing<typename O::device_type>
class StepPipeline<M, O, StagedLoss<Stage, Compute>, Batch> {
 public:
  /// Model and optimiser must outlive it; `streams` are the model's.
  StepPipeline(M& model, O& optimizer, std::vector<RandomStream*> streams, const PipelineOptions& options)
      : model_(model), optimizer_(optimizer), streams_(std::move(streams)), options_(options) {}

  /// Whether the step is on its way, with the optimiser's rate. The first two are not, nor the optimiser's
  /// first: libraries then choose their algorithms, and moments are made. A step that cannot be captured is
  /// not tried again; why_not() tells.
  bool try_step(const StagedLoss<Stage, Compute>& loss, const Batch& batch) {
    if (!options_.on || (!step_ && (eager_steps_++ < 2 || optimizer_.steps() == 0))) return false;
    Inputs inputs = loss.stage(batch);
    if (step_ && under_way() == 0 && !step_->in_place()) step_.reset();
    if (!step_) {
      try {
        step_.emplace(model_, optimizer_, streams_, inputs, loss.compute, options_.clip_norm);
      } catch (const Error& error) {
        options_.on = false;
        why_not_ = error.what();
        return false;
      }
    }
    if (!step_->fits(inputs)) return false;
    step_->run(inputs);
    return true;
  }

  /// Steps that finish() has not told of.
  std::int64_t under_way() const { return step_ ? step_->under_way() : 0; }
  /// Whether it is time to call finish(): seldom as long as all goes well, soon after a step was refused,
  /// because those under way behind such a step are in vain.
  bool full() const { return under_way() >= window_; }
  /// Waits for the steps under way. If one was refused (its loss or gradients are not finite), neither it nor
  /// those after it have changed anything.
  StepsTaken finish() {
    if (under_way() == 0) return {};
    StepsTaken taken = step_->read();
    window_ = taken.refused ? 1 : std::min(2 * window_, Step::most_under_way);
    return taken;
  }
  const std::string& why_not() const { return why_not_; }

 private:
  using Inputs = std::invoke_result_t<const Stage&, const Batch&>;
  using Step = CapturedStep<M, O, Inputs>;

  M& model_;
  O& optimizer_;
  std::vector<RandomStream*> streams_;
  PipelineOptions options_;
  int eager_steps_ = 0;
  std::int64_t window_ = 1;  ///< doubles as long as no step is refused
  std::optional<Step> step_;
  std::string why_not_;
};

}  // namespace kfer
