// A whole training step (forward, backward, optimiser) as one captured graph that is replayed.
//
// A GPU finishes the small kernels of a step faster than the host can launch them. Captured once, the step
// costs one launch, and the host need not wait for it. What may change from step to step lies in device
// memory: the inputs in tensors that stay where they are, the optimiser's coefficients and the position of
// the random streams in values that the graph reads at each replay, the factor that clips the gradients where
// the device works it out. Eager and captured steps compute the same, dropout masks included, and may
// alternate.
#pragma once

#include <optional>
#include <tuple>
#include <vector>

#include "kfer/autograd/backward.hpp"
#include "kfer/device/captured_graph.hpp"
#include "kfer/nn/module.hpp"
#include "kfer/optim/step_guard.hpp"

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

/// The captured step of a model and optimiser, for inputs of one set of shapes. A step whose loss or
/// gradients are not finite changes nothing on the device, and neither do those after it until `read()` has
/// told.
template <Module M, class O, class Inputs>
class CapturedStep {
 public:
  using D = typename O::device_type;
  using Graph = typename captured_graph<D>::type;
  using T = typename O::value_type;
  /// Steps between two calls of read() at most.
  static constexpr std::int64_t most_under_way = StepGuard<T, D>::most_steps;

  /// Captures the step; nothing runs. Run an eager step of the same shapes before: libraries choose their
  /// algorithms then, and the optimiser makes its moments. `streams` are the model's; `clip_norm` is the
  /// largest norm of the gradients, 0: not clipped. Model and optimiser must outlive the step. Throws
  /// ValueError if a stream is used more than once a step (its replays could not be told apart), DeviceError
  /// if the work cannot be captured; the model, the optimiser and the streams are then as before, without
  /// gradients.
  template <class Compute>
  CapturedStep(M& model, O& optimizer, std::vector<RandomStream*> streams, Inputs inputs,
               const Compute& compute, double clip_norm = 0)
      : model_(model),
        optimizer_(optimizer),
        streams_(std::move(streams)),
        inputs_(std::move(inputs)),
        guard_(buffers(model), clip_norm) {
    std::apply([](auto&... tensors) { (tensors.mutable_data(), ...); }, inputs_);
    places_ = own_storage();
    optimizer_.zero_grad();
    for (const RandomStream* stream : streams_) captured_.push_back(*stream);
    try {
      const auto parameters = named_parameters(model_);
      graph_.emplace(Graph::capture([&] {
        guard_.begin();
        const auto loss = std::apply(compute, std::as_const(inputs_));
        backward(loss);
        loss_ = loss.value();
        guard_.judge(loss_, parameters);
        optimizer_.apply(guard_.scale());
        guard_.end();
      }));
      require<DeviceError>(in_place(),
                           "a captured step must write its parameters, buffers and moments where they are");
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

  /// Whether the model and the moments lie where the graph writes to, shared with nobody: not if a snapshot
  /// of them is held. Then capture anew.
  bool in_place() { return own_storage() == places_; }

  /// One step on `inputs`, which fit. The optimiser's rate is to be set before. Does not wait for the device.
  /// Throws ValueError if `most_under_way` steps are under way: read() first.
  void run(const Inputs& inputs) {
    require(under_way_ < most_under_way, "a captured step: ", under_way_, " are under way, no more may be");
    copy_in(inputs, std::make_index_sequence<std::tuple_size_v<Inputs>>());
    const std::uint64_t now = *shift();
    optimizer_.advance();
    graph_->replay(now);
    for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i]->stream += used_[i];
    ++under_way_;
  }
  /// Steps since the last read().
  std::int64_t under_way() const { return under_way_; }
  /// Waits for them. If one was refused, optimiser and streams stand before it again.
  StepsTaken read() {
    StepsTaken taken = guard_.read();
    if (taken.refused) {
      const auto lost = static_cast<std::uint64_t>(under_way_) - taken.losses.size();
      optimizer_.take_back(static_cast<std::int64_t>(lost));
      for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i]->stream -= used_[i] * lost;
    }
    under_way_ = 0;
    return taken;
  }
  /// The loss of the last step that ran; waits for it.
  double loss() const { return static_cast<double>(loss_.item()); }

 private:
  static std::vector<Tensor<T, D>*> buffers(M& model) {
    std::vector<Tensor<T, D>*> out;
    for_each_buffer(model, [&](const std::string&, auto& b) { out.push_back(&b); });
    return out;
  }
  /// The graph writes to the addresses it was captured with: no tensor may share them, or the first write
  /// would go to a copy. Returns them.
  std::vector<const void*> own_storage() {
    std::vector<const void*> places;
    for_each_parameter(model_, [&](const std::string&, auto& p) {
      auto [value, rounded] = p.mutable_both();
      places.push_back(value.mutable_data());
      if (rounded) places.push_back(rounded->mutable_data());
    });
    for_each_buffer(model_, [&](const std::string&, auto& b) { places.push_back(b.mutable_data()); });
    optimizer_.own_storage(places);
    return places;
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
      D::copy(to.mutable_data(), from.data(),
              static_cast<std::size_t>(to.storage_size()) * sizeof(*to.data()));
    };
    (copy(std::get<I>(inputs), std::get<I>(inputs_)), ...);
  }

  M& model_;
  O& optimizer_;
  std::vector<RandomStream*> streams_;
  Inputs inputs_;
  StepGuard<T, D> guard_;
  std::vector<const void*> places_;     ///< of parameters, buffers and moments
  std::vector<RandomStream> captured_;  ///< where the streams stood
  std::vector<std::uint64_t> used_;     ///< what a step takes of each: 0 or 1
  std::optional<Graph> graph_;
  Tensor<float, D> loss_;
  std::int64_t under_way_ = 0;
};

}  // namespace kfer
