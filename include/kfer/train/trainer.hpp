// The training loop: epochs over a source of batches, evaluation, early stopping, and a state on disk that an
// interrupted run continues from, bit for bit.
//
//   Adam optimizer(named_parameters(model), {.lr = 1e-4});
//   Trainer trainer(model, optimizer, {.directory = "runs/faces/first", .epochs = 100});
//   const auto result = trainer.fit(
//       loader, [&](const Batch& b) { return bce_with_logits(model(b.images), b.labels); },
//       [&] { return Metrics{{"val_loss", evaluate(model)}}; });
//   return result.exit_code();
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kfer/autograd/backward.hpp"
#include "kfer/io/tensorboard.hpp"
#include "kfer/optim/schedule.hpp"
#include "kfer/train/checkpoint.hpp"
#include "kfer/train/interrupt.hpp"
#include "kfer/train/non_finite.hpp"
#include "kfer/train/progress.hpp"
#include "kfer/train/run.hpp"
#include "kfer/train/run_directory.hpp"
#include "kfer/train/step_pipeline.hpp"

namespace kfer {

/// Batches at positions (epoch, batch); data::Loader is one. After `seek(e, b)`, calls of `next()` return
/// batches b, b + 1, ... of epoch e. What a position holds must not depend on what was read before.
template <class S>
concept BatchSource = requires(S& source, std::int64_t i) {
  { source.batches_per_epoch() } -> std::convertible_to<std::int64_t>;
  source.seek(i, i);
  source.next();
};

/// What happens where a loss or a gradient is not finite: the run stops with a NumericError, or the batch is
/// left out: no update, batch norm's statistics as before it, one more in the column "skipped".
enum class OnNonFinite { stop, skip };

struct TrainerOptions {
  std::string directory = "";  ///< of the run; "": nothing is written
  std::int64_t epochs = 1;     ///< at most
  EarlyStoppingOptions early_stopping = {};
  Schedule schedule = {};  ///< learning rate from the steps taken; none: the optimiser's own stays
  double clip_norm = 0;    ///< largest global norm of the gradients; 0: not clipped
  OnNonFinite on_non_finite = OnNonFinite::stop;
  std::int64_t max_skipped = 10;  ///< batches skipped in a row that a run bears; one more stops it
  std::int64_t save_every = 0;    ///< also save the state after so many steps; 0: once an epoch
  bool resume = false;            ///< continue the run in `directory`
  bool overwrite = false;         ///< begin anew although `directory` holds a run
  /// Replay steps as captured graphs where device and loss (a StagedLoss) allow it. The host then runs ahead
  /// of the device, and looks at losses every few steps; a bad batch in between is gone back to.
  bool capture = true;
  io::Metadata metadata = {};               ///< of the weights files, next to the model's name and the epoch
  io::Json arguments = io::Json::object();  ///< saved as args.json; a resumed run must have the same ...
  /// ... except for these.
  std::vector<std::string> may_change = {"epochs",  "patience", "resume",     "overwrite", "save-every",
                                         "workers", "name",     "output-dir", "data-path", "eager"};
  std::string resume_command = "";  ///< shown when interrupted
  std::FILE* log = stderr;          ///< progress and one line an epoch; null: silent
};

struct TrainResult {
  std::int64_t epochs = 0;                                 ///< completed, over all sessions of the run
  std::int64_t best_epoch = 0;                             ///< counted from 1; 0: none
  double best = std::numeric_limits<double>::quiet_NaN();  ///< the monitored metric there; NaN: no such epoch
  bool stopped_early = false;
  bool interrupted = false;
  Metrics last = {};  ///< of the last epoch

  /// 130 if the run was interrupted, else 0.
  int exit_code() const { return interrupted ? exit_interrupted : 0; }
};

template <Module M, Optimizer O>
class Trainer {
 public:
  using T = typename tensor_type_t<M>::value_type;
  using D = typename tensor_type_t<M>::device_type;

  /// Model and optimiser must outlive the trainer. Throws ValueError for options out of range.
  Trainer(M& model, O& optimizer, TrainerOptions options)
      : model_(model),
        optimizer_(optimizer),
        options_(std::move(options)),
        stopping_(options_.early_stopping) {
    require(options_.epochs >= 0, "Trainer: epochs must not be negative, got ", options_.epochs);
    require(options_.clip_norm >= 0, "Trainer: clip_norm must not be negative, got ", options_.clip_norm);
    require(options_.max_skipped >= 1, "Trainer: max_skipped must be positive, got ", options_.max_skipped);
    require(options_.save_every >= 0, "Trainer: save_every must not be negative, got ", options_.save_every);
    require(!options_.resume || !options_.directory.empty(),
            "Trainer: resuming needs the directory of a run");
  }

  /// Trains until `epochs`, early stopping or a signal. `loss(batch)` is the loss of one batch, a Variable of
  /// one element; `evaluate()` returns the metrics of an epoch, one of which is monitored ("loss", the mean
  /// training loss, is always there). At the end, unless interrupted, the model holds the weights of the best
  /// epoch.
  ///
  /// Throws NumericError if a loss, gradient or weight is not finite (unless `on_non_finite` skips the
  /// batch), naming epoch, batch and the first layer where it happens; weights and state on disk then stay
  /// those from before. Throws UsageError if the directory holds a run and is neither to be resumed nor
  /// overwritten, or if the arguments of a resumed run differ; ValueError for a source without batches, and
  /// if the metric to monitor is not among those of an epoch; IoError if the run cannot be written; and what
  /// `load_checkpoint`, the source, the loss and the evaluation throw.
  template <BatchSource S, class Loss, class Evaluate>
  TrainResult fit(S& source, Loss&& loss, Evaluate&& evaluate) {
    const Interrupt interrupt;
    start(source.batches_per_epoch());
    using Batch = std::remove_cvref_t<decltype(source.next())>;
    StepPipeline<M, O, std::remove_cvref_t<Loss>, Batch> pipeline(
        model_, optimizer_, streams_, {.on = options_.capture, .clip_norm = options_.clip_norm});
    const auto more = [&] { return state_.epoch < options_.epochs && !stopping_.should_stop(); };
    while (more()) {
      const auto seconds = train_epoch(source, loss, interrupt, pipeline);
      if (!seconds) return interrupted();
      finish_epoch(evaluate, *seconds);
      if (interrupt && more()) return interrupted();
    }
    if (events_) std::exchange(events_, nullptr)->close();
    if (!state_.best.empty()) load_state_dict(model_, state_.best);
    set_training(model_, false);
    return result();
  }

  const History& history() const { return state_.history; }

 private:
  void start(std::int64_t batches) {
    require(batches >= 1, "Trainer: an epoch needs at least one batch");
    parameters_ = named_parameters(model_);
    streams_.clear();
    for_each_random(model_, [&](const std::string&, RandomStream& random) { streams_.push_back(&random); });
    progress_ = nullptr;
    state_ = {};
    state_.batches_per_epoch = batches;
    state_.arguments = options_.arguments;
    stopping_ = EarlyStopping(options_.early_stopping);
    directory_.reset();
    events_.reset();
    if (options_.directory.empty()) return;
    directory_.emplace(options_.directory);
    if (options_.resume) {
      require<UsageError>(directory_->has_state(), "'", directory_->path(), "' holds no run to resume");
      const auto saved = load_checkpoint(directory_->state(), model_, optimizer_,
                                         [&](const TrainingState<T, D>& s) { check_same_run(s, batches); });
      state_ = saved;
      state_.arguments = options_.arguments;
      state_.threads = num_threads();
      if (options_.log && saved.threads != state_.threads)
        std::fprintf(options_.log,
                     "the run was saved with %lld threads and continues with %lld: last bits may differ\n",
                     static_cast<long long>(saved.threads), static_cast<long long>(state_.threads));
      stopping_.state = saved.stopping;
      state_.history.save(directory_->results());  // a kill may have come between table and state
    } else {
      require<UsageError>(!directory_->has_state() || options_.overwrite, "'", directory_->path(),
                          "' holds a run: resume it, overwrite it, or choose another directory");
      directory_->remove_products();  // first: a kill in between leaves no result of another run
      save();
      state_.history.save(directory_->results());
    }
    io::atomic_write(directory_->arguments(), to_string(options_.arguments) + "\n");
  }

  void check_same_run(const TrainingState<T, D>& saved, std::int64_t batches) const {
    require<UsageError>(saved.batches_per_epoch == batches, "the run in '", directory_->path(), "' has ",
                        saved.batches_per_epoch, " batches an epoch, the data now give ", batches);
    std::string differences;
    const auto compare = [&](const io::Json& from, const io::Json& to, bool both) {
      for (const auto& [key, value] : from.as_object()) {
        if (std::find(options_.may_change.begin(), options_.may_change.end(), key) !=
            options_.may_change.end())
          continue;
        const io::Json* other = to.find(key);
        const std::string was = to_string(value), now = other ? to_string(*other) : "absent";
        if (!other || (both && was != now))
          differences += text(differences.empty() ? "" : "; ", key, " was ", was, ", now ", now);
      }
    };
    compare(saved.arguments, options_.arguments, true);
    require<UsageError>(differences.empty(), "the run in '", directory_->path(),
                        "' began with other arguments: ", differences);
    compare(options_.arguments, saved.arguments, false);
    require<UsageError>(differences.empty(), "the run in '", directory_->path(),
                        "' began without arguments given now: ", differences);
  }

  /// Runs the epoch's remaining batches; the seconds it took, or nothing if a signal came.
  template <class S, class Loss, class Pipeline>
  std::optional<double> train_epoch(S& source, Loss& loss, const Interrupt& interrupt, Pipeline& pipeline) {
    const std::int64_t batches = state_.batches_per_epoch;
    set_training(model_, true);
    if (state_.batch < batches) source.seek(state_.epoch, state_.batch);
    Progress progress(options_.log, text("epoch ", state_.epoch + 1, '/', options_.epochs), batches,
                      state_.batch);
    progress_ = &progress;
    while (state_.batch < batches) {
      step(source, loss, pipeline);
      const bool stop(interrupt);
      const std::int64_t done = state_.batch + pipeline.under_way();
      if (stop || done == batches || pipeline.full() || save_is_due()) settle(source, loss, pipeline);
      progress.show(done, [&] {
        settle(source, loss, pipeline);
        return text("loss ", format_number(mean_loss()));
      });
      if (stop) return std::nullopt;
      if (pipeline.under_way() == 0 && save_is_due()) save();
    }
    return progress.seconds();
  }
  bool save_is_due() const {
    return options_.save_every > 0 && optimizer_.steps() % options_.save_every == 0;
  }

  /// Puts the next batch on its way, or takes the step here.
  template <class S, class Loss, class Pipeline>
  void step(S& source, Loss& loss, Pipeline& pipeline) {
    decltype(auto) batch = source.next();
    optimizer_.lr = rate(optimizer_.steps());
    if (pipeline.try_step(loss, batch)) return;
    if (!pipeline.why_not().empty() && !std::exchange(told_why_not_, true))
      say(text("steps are not captured: ", pipeline.why_not()));
    if (settle(source, loss, pipeline)) take(loss, batch);  // if not, this batch comes again
  }

  /// Waits for the steps under way and counts them; false if one was refused. It and those after it have
  /// changed nothing: goes back to its batch and takes it here, where it is explained or skipped.
  template <class S, class Loss, class Pipeline>
  bool settle(S& source, Loss& loss, Pipeline& pipeline) {
    const StepsTaken taken = pipeline.finish();
    for (const double value : taken.losses) count(value);
    if (!taken.losses.empty()) state_.lr = rate(optimizer_.steps() - 1);
    if (!taken.refused) return true;
    source.seek(state_.epoch, state_.batch);
    decltype(auto) batch = source.next();
    take(loss, batch);
    return false;
  }

  /// One step on the batch that is due, or its skipping.
  template <class Loss, class Batch>
  void take(Loss& loss, const Batch& batch) {
    detail::last_layer() = nullptr;
    optimizer_.lr = rate(optimizer_.steps());
    StepSnapshot before(model_);
    try {
      const double value = loss_and_gradients(loss, batch, before);
      optimizer_.step(gradient_scale());
      state_.lr = optimizer_.lr;
      count(value);
    } catch (const NumericError& error) {
      optimizer_.zero_grad();
      before.restore_buffers();
      if (options_.on_non_finite == OnNonFinite::stop) throw;
      skip(error);
    } catch (const OutOfMemoryError& error) {
      optimizer_.zero_grad();
      const auto layer = last_finished_layer(model_);
      throw OutOfMemoryError(
          text(where(), layer ? text(", after layer '", *layer, "'") : ", before the first layer was done",
               ": ", error.what()));
    }
  }

  /// Of the step after `steps` others.
  double rate(std::int64_t steps) const {
    return options_.schedule ? options_.schedule(steps) : optimizer_.lr;
  }

  /// A batch whose step was taken.
  void count(double loss) {
    state_.loss_sum += loss;
    state_.skipped_in_row = 0;
    ++state_.batch;
  }

  template <class Loss, class Batch>
  double loss_and_gradients(Loss& loss, const Batch& batch, StepSnapshot<M>& before) {
    optimizer_.zero_grad();
    const auto result = loss(batch);
    const auto value = static_cast<double>(result.item());
    if (!std::isfinite(value)) explain(loss, batch, value, before);
    backward(result);
    return value;
  }

  /// What the gradients are to be multiplied by. Throws NumericError naming one that is not finite.
  double gradient_scale() {
    try {
      const double norm = global_norm(parameters_);
      return options_.clip_norm > 0 ? clip_scale(norm, options_.clip_norm) : 1;
    } catch (const NumericError& error) {
      throw NumericError(text(where(), ": ", error.what()));
    }
  }

  /// Logs a line of an epoch, in place of its progress bar.
  void say(const std::string& line) {
    progress_->clear();
    if (options_.log) std::fprintf(options_.log, "%s\n", line.c_str());
  }

  /// Leaves out a batch that has changed nothing; throws if that does not help.
  void skip(const NumericError& error) {
    const auto cause = non_finite_value(model_);
    require<NumericError>(cause.empty(), error.what(), "; no batch can be skipped: ", cause,
                          " is not finite");
    require<NumericError>(state_.skipped_in_row < options_.max_skipped, error.what(), "; the ",
                          state_.skipped_in_row, " batches before were skipped already");
    say(text("skipped: ", error.what()));
    ++state_.skipped;
    ++state_.skipped_in_row;
    ++state_.batch;
  }

  /// Throws what is known about a loss that is not finite: runs the batch again and looks at every layer.
  template <class Loss, class Batch>
  [[noreturn]] void explain(Loss& loss, const Batch& batch, double value, StepSnapshot<M>& before) {
    before.restore_buffers();
    std::string cause = non_finite_parameter(model_);
    if (cause.empty()) {
      before.restore_streams();
      if (const auto layer = first_non_finite_layer(model_, [&] { return loss(batch); }))
        cause = text("the result of layer '", *layer, "'");
    }
    if (cause.empty()) cause = non_finite_value(model_);
    throw NumericError(text(where(), ": the loss is ", std::isnan(value) ? "nan" : "infinite", "; ",
                            cause.empty() ? "weights and results of all layers are finite"
                                          : text("the first value that is not finite: ", cause)));
  }

  template <class Evaluate>
  void finish_epoch(Evaluate& evaluate, double seconds) {
    set_training(model_, false);
    Metrics row{{"loss", mean_loss()}};
    {
      NoGrad no_grad;
      for (auto& entry : evaluate()) row.push_back(std::move(entry));
    }
    row.emplace_back("lr", state_.lr);
    if (options_.on_non_finite == OnNonFinite::skip)
      row.emplace_back("skipped", static_cast<double>(state_.skipped));
    const bool best = stopping_.update(state_.epoch, metric(row, options_.early_stopping.monitor));
    state_.history.append(row);
    if (best) {
      state_.best = state_dict(model_);
      // Copies: the model's own stay where they are, and the step need not be captured anew.
      for (auto& [name, value] : state_.best) value.mutable_data();
    }
    if (directory_) check_finite();
    ++state_.epoch;
    state_.batch = 0;
    state_.loss_sum = 0;
    state_.skipped = 0;
    if (directory_) {
      io::Metadata metadata = options_.metadata;
      metadata.emplace_back("epoch", text(state_.epoch));
      if (best) save_weights(model_, directory_->best(), metadata);
      save_weights(model_, directory_->last(), metadata);
      // Before the state: a kill in between repeats these events in the next session, and loses none.
      if (!events_) events_ = std::make_unique<io::EventWriter>(directory_->path());
      for (const auto& [name, value] : row) events_->add_scalar(name, state_.epoch, value);
      write_state();
      state_.history.save(directory_->results());
    }
    if (options_.log) {
      std::string line = text("epoch ", state_.epoch, '/', options_.epochs, "  ", format_duration(seconds));
      for (const auto& [name, value] : row) line += text("  ", name, ' ', format_number(value));
      std::fprintf(options_.log, "%s%s\n", line.c_str(), best ? "  best" : "");
    }
  }

  void check_finite() {
    const std::string cause = non_finite_value(model_);
    require<NumericError>(cause.empty(), "training, epoch ", state_.epoch + 1, ", after batch ", state_.batch,
                          ", step ", optimizer_.steps(), ": ", cause, " is not finite; nothing was saved");
  }
  void save() {
    if (!directory_) return;
    check_finite();
    write_state();
  }
  void write_state() {
    state_.stopping = stopping_.state;
    save_checkpoint(directory_->state(), model_, optimizer_, state_);
  }

  TrainResult interrupted() {
    save();
    if (events_) std::exchange(events_, nullptr)->close();
    if (options_.log) {
      std::fprintf(options_.log, "interrupted before batch %lld of epoch %lld\n",
                   static_cast<long long>(state_.batch + 1), static_cast<long long>(state_.epoch + 1));
      if (directory_ && !options_.resume_command.empty())
        std::fprintf(options_.log, "continue with: %s\n", options_.resume_command.c_str());
    }
    TrainResult out = result();
    out.interrupted = true;
    return out;
  }

  TrainResult result() const {
    TrainResult out{.epochs = state_.epoch,
                    .best_epoch = stopping_.state.best_epoch + 1,
                    .best = stopping_.state.best,
                    .stopped_early = stopping_.should_stop()};
    if (state_.history.size())
      for (std::size_t i = 0; i < state_.history.columns().size(); ++i)
        out.last.emplace_back(state_.history.columns()[i], state_.history.rows().back()[i]);
    return out;
  }

  /// Of the epoch's batches so far; NaN if all were skipped.
  double mean_loss() const {
    return state_.batch ? state_.loss_sum / static_cast<double>(state_.batch - state_.skipped) : 0;
  }
  std::string where() const {
    return text("training, epoch ", state_.epoch + 1, ", batch ", state_.batch + 1, ", step ",
                optimizer_.steps() + 1);
  }

  M& model_;
  O& optimizer_;
  TrainerOptions options_;
  EarlyStopping stopping_;
  TrainingState<T, D> state_;
  NamedParameters<parameter_type_t<M>> parameters_;
  std::vector<RandomStream*> streams_;
  bool told_why_not_ = false;
  Progress* progress_ = nullptr;  ///< of the epoch that runs
  std::optional<RunDirectory> directory_;
  std::unique_ptr<io::EventWriter> events_;  ///< a file of this session, made at its first epoch's end
};

}  // namespace kfer
