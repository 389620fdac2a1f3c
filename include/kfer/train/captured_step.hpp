// A whole training step (forward, backward, optimiser) as one captured graph that is replayed.
//
// A GPU finishes the small kernels of a step faster than the host can launch them. Captured once, the step
// costs one launch. What may change from step to step lies in device memory: the inputs in tensors that stay
// where they are, the optimiser's coefficients and the position of the random streams in values that the
// graph reads at each replay. Eager and captured steps compute the same, dropout masks included, and may
// alternate.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include "kfer/autograd/backward.hpp"
#include "kfer/device/captured_graph.hpp"
#include "kfer/nn/module.hpp"

namespace kfer {

/// A loss in two parts: `stage(batch)` brings a batch to the device, as a tuple of tensors;
/// `compute(tensors...)` is the loss of one element. Called with a batch, it does both. Given to
/// Trainer::fit, it lets steps be captured: compute must then depend on nothing but its tensors, the model
/// and its random streams.
template <class Stage, class Compute>
struct StagedLoss {
  Stage stage;
  Compute compute;

  template <class Batch>
  auto operator()(const Batch& batch) const {
    return std::apply(compute, stage(batch));
  }
};
template <class Stage, class Compute>
StagedLoss(Stage, Compute) -> StagedLoss<Stage, Compute>;

template <class L>
inline constexpr bool is_staged_loss = false;
template <class Stage, class Compute>
inline constexpr bool is_staged_loss<StagedLoss<Stage, Compute>> = true;

/// The captured step of a model and optimiser, for inputs of one set of shapes.
template <Module M, class O, class Inputs>
class CapturedStep {
 public:
  using D = typename O::device_type;
  using Graph = typename captured_graph<D>::type;

  /// Captures the step; nothing runs. Run an eager step of the same shapes before: libraries choose their
  /// algorithms then, and the optimiser makes its moments. `streams` are the model's. Throws ValueError if a
  /// stream is used more than once a step (its replays could not be told apart), DeviceError if the work
  /// cannot be captured; the model, the optimiser and the streams are then as before, without gradients.
  template <class Compute>
  CapturedStep(M& model, O& optimizer, std::vector<RandomStream*> streams, Inputs inputs,
               const Compute& compute)
      : optimizer_(optimizer), streams_(std::move(streams)), inputs_(std::move(inputs)) {
    own_storage(model);
    optimizer_.zero_grad();
    for (const RandomStream* stream : streams_) captured_.push_back(*stream);
    try {
      graph_.emplace(Graph::capture([&] {
        const auto loss = std::apply(compute, std::as_const(inputs_));
        backward(loss);
        optimizer_.apply();
        loss_ = loss.value();
      }));
    } catch (...) {
      forget();
      throw;
    }
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      const std::uint64_t used = streams_[i]->stream - captured_[i].stream;
      if (used > 1) {
        const std::uint64_t seed = captured_[i].seed;
        forget();
        throw ValueError(text("a step takes ", used, " numbers of the random stream of seed ", seed,
                              "; captured steps take at most one"));
      }
      used_.push_back(used);
      *streams_[i] = captured_[i];
    }
  }
  CapturedStep(const CapturedStep&) = delete;
  CapturedStep& operator=(const CapturedStep&) = delete;

  /// Whether `inputs` have the captured shapes, and the random streams stand where one shift reaches them
  /// all.
  bool fits(const Inputs& inputs) const {
    return same_shapes(inputs, std::make_index_sequence<std::tuple_size_v<Inputs>>()) && shift().has_value();
  }

  /// One step on `inputs`, which fit. The optimiser's rate is to be set before. Does not wait for the device.
  void run(const Inputs& inputs) {
    copy_in(inputs, std::make_index_sequence<std::tuple_size_v<Inputs>>());
    const std::uint64_t now = *shift();
    optimizer_.advance();
    graph_->replay(now);
    for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i]->stream += used_[i];
  }
  /// The loss of the last step that ran; waits for it.
  double loss() const { return static_cast<double>(loss_.item()); }

 private:
  /// The graph writes to the addresses it was captured with: no tensor may share them, or the first write
  /// would go to a copy.
  void own_storage(M& model) {
    for_each_parameter(model, [](const std::string&, auto& p) { p.mutable_value().mutable_data(); });
    for_each_buffer(model, [](const std::string&, auto& b) { b.mutable_data(); });
    std::apply([](auto&... inputs) { (inputs.mutable_data(), ...); }, inputs_);
    optimizer_.own_storage();
  }
  void forget() {
    graph_.reset();
    optimizer_.zero_grad();
    for (std::size_t i = 0; i < captured_.size(); ++i) *streams_[i] = captured_[i];
  }

  /// How far the streams are behind where they stood at the capture; the same for all that a step uses.
  std::optional<std::uint64_t> shift() const {
    std::optional<std::uint64_t> common;
    for (std::size_t i = 0; i < streams_.size(); ++i) {
      if (streams_[i]->seed != captured_[i].seed) return std::nullopt;
      const std::uint64_t distance = streams_[i]->stream - captured_[i].stream;
      if (used_[i] == 0) continue;
      if (common && *common != distance) return std::nullopt;
      common = distance;
    }
    return common.value_or(0);
  }

  template <std::size_t... I>
  bool same_shapes(const Inputs& inputs, std::index_sequence<I...>) const {
    return ((std::get<I>(inputs).shape() == std::get<I>(inputs_).shape() &&
             std::get<I>(inputs).layout() == std::get<I>(inputs_).layout()) &&
            ...);
  }
  template <std::size_t... I>
  void copy_in(const Inputs& inputs, std::index_sequence<I...>) {
    const auto copy = [](const auto& from, auto& to) {
      using T = typename std::remove_cvref_t<decltype(to)>::value_type;
      D::copy(to.mutable_data(), from.data(), static_cast<std::size_t>(to.storage_size()) * sizeof(T));
    };
    (copy(std::get<I>(inputs), std::get<I>(inputs_)), ...);
  }

  O& optimizer_;
  std::vector<RandomStream*> streams_;
  Inputs inputs_;
  std::vector<RandomStream> captured_;  ///< where the streams stood
  std::vector<std::uint64_t> used_;     ///< what a step takes of each: 0 or 1
  std::optional<Graph> graph_;
  Tensor<float, D> loss_;
};

/// What a training loop asks before every step: `try_step` takes it as a replayed graph, or leaves it to be
/// taken eagerly. This one never takes it: the device cannot capture, or the loss is not staged.
template <Module M, class O, class Loss, class Batch>
class StepCapture {
 public:
  explicit StepCapture(bool) {}
  bool active() const { return false; }
  std::optional<double> try_step(M&, O&, const std::vector<RandomStream*>&, const Loss&, const Batch&) {
    return std::nullopt;
  }
  const std::string& why_not() const { return why_not_; }

 private:
  std::string why_not_;
};

template <Module M, class O, class Stage, class Compute, class Batch>
requires Capturing<typename O::device_type>
class StepCapture<M, O, StagedLoss<Stage, Compute>, Batch> {
 public:
  explicit StepCapture(bool on) : on_(on) {}

  /// Whether a graph writes to the model's parameters in place: snapshots of them must then be copies.
  bool active() const { return step_.has_value(); }

  /// The loss of the step, if it was taken. The first two steps are not: libraries then choose their
  /// algorithms. A step that cannot be captured is not tried again; why_not() tells.
  std::optional<double> try_step(M& model, O& optimizer, const std::vector<RandomStream*>& streams,
                                 const StagedLoss<Stage, Compute>& loss, const Batch& batch) {
    if (!on_ || (!step_ && eager_steps_++ < 2)) return std::nullopt;
    Inputs inputs = loss.stage(batch);
    if (!step_) {
      try {
        step_.emplace(model, optimizer, streams, inputs, loss.compute);
      } catch (const Error& error) {
        on_ = false;
        why_not_ = error.what();
        return std::nullopt;
      }
    }
    if (!step_->fits(inputs)) return std::nullopt;
    step_->run(inputs);
    return step_->loss();
  }
  const std::string& why_not() const { return why_not_; }

 private:
  using Inputs = std::invoke_result_t<const Stage&, const Batch&>;

  bool on_;
  int eager_steps_ = 0;
  std::optional<CapturedStep<M, O, Inputs>> step_;
  std::string why_not_;
};

}  // namespace kfer
