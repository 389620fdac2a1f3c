// The whole state of a training run in one safetensors file: weights, optimiser, random streams, position,
// best weights, history. What continues from it computes the same bits as what was never interrupted.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kfer/nn/state_dict.hpp"
#include "kfer/train/early_stopping.hpp"
#include "kfer/train/history.hpp"

namespace kfer {

/// An optimiser as the trainer sees it: Adam, Sgd.
template <class O>
concept Optimizer = requires(O& o, const O& c, double scale, std::int64_t steps) {
  typename O::value_type;
  typename O::device_type;
  { o.lr } -> std::convertible_to<double>;
  o.step(scale);
  o.zero_grad();
  { c.steps() } -> std::convertible_to<std::int64_t>;
  o.load_state(c.state(), steps);
};

/// Where a run stands, next to its model and optimiser.
template <FloatingElement T, class D>
struct TrainingState {
  std::int64_t epoch = 0, batch = 0;     ///< position of the next batch, counted from 0
  std::int64_t batches_per_epoch = 0;    ///< of the data, to notice when they changed
  double loss_sum = 0;                   ///< of the epoch's batches so far that were not skipped
  std::int64_t skipped = 0;              ///< of the epoch's batches so far: not finite, without an update
  std::int64_t skipped_in_row = 0;       ///< at the end of all batches so far
  double lr = 0;                         ///< learning rate of the last step
  std::int64_t threads = num_threads();  ///< sums of another number may differ in their last bits
  EarlyStopping::State stopping;
  StateDict<T, D> best;  ///< weights of the best epoch; empty before there is one
  History history;
  io::Json arguments = io::Json::object();  ///< what the program was called with
};

namespace detail {

inline constexpr std::string_view training_state_format = "training state 2";

/// Tensors to be written, together with their bytes.
class TensorWriter {
 public:
  template <class T>
  void add(std::string name, std::vector<T> values, const Shape& shape) {
    auto owned = std::make_shared<const std::vector<T>>(std::move(values));
    tensors_.emplace_back(std::move(name), io::tensor_view(std::span<const T>(*owned), shape));
    owned_.push_back(std::move(owned));
  }
  template <class T>
  void add_number(std::string name, T value) {
    add(std::move(name), std::vector<T>{value}, Shape{});
  }
  template <FloatingElement T, class D>
  void add_all(std::string_view prefix, const std::vector<std::pair<std::string, Tensor<T, D>>>& named) {
    for (const auto& [name, value] : named) add(text(prefix, name), value.to_vector(), value.shape());
  }
  void write(const std::string& path, const io::Metadata& metadata) const {
    io::write_safetensors(path, tensors_, metadata);
  }

 private:
  std::vector<io::NamedTensor> tensors_;
  std::vector<std::shared_ptr<const void>> owned_;
};

/// The tensors of `file` whose names start with `prefix`, without it.
template <FloatingElement T, class D>
StateDict<T, D> read_all(const io::Safetensors& file, std::string_view prefix) {
  StateDict<T, D> out;
  for (const auto& [name, view] : file.tensors())
    if (name.starts_with(prefix))
      out.emplace_back(name.substr(prefix.size()),
                       Tensor<T, D>(view.shape, std::span<const T>(file.template values<T>(name))));
  return out;
}
template <class T>
T read_number(const io::Safetensors& file, const std::string& name) {
  const auto values = file.values<T>(name);
  require<FormatError>(values.size() == 1, "'", file.name(), "': tensor '", name, "' has ", values.size(),
                       " elements, expected 1");
  return values[0];
}

}  // namespace detail

/// Saves everything to `path`, entirely or not at all. Throws IoError.
template <Module M, Optimizer O, FloatingElement T, class D>
void save_checkpoint(const std::string& path, M& model, const O& optimizer,
                     const TrainingState<T, D>& state) {
  detail::TensorWriter out;
  out.add_number("trainer/epoch", state.epoch);
  out.add_number("trainer/batch", state.batch);
  out.add_number("trainer/batches_per_epoch", state.batches_per_epoch);
  out.add_number("trainer/loss_sum", state.loss_sum);
  out.add_number("trainer/skipped", state.skipped);
  out.add_number("trainer/skipped_in_row", state.skipped_in_row);
  out.add_number("trainer/lr", state.lr);
  out.add_number("trainer/threads", state.threads);
  out.add_number("trainer/best", state.stopping.best);
  out.add_number("trainer/best_epoch", state.stopping.best_epoch);
  out.add_number("trainer/waited", state.stopping.waited);
  out.add_number("trainer/steps", std::int64_t{optimizer.steps()});
  out.add_number("trainer/next_lr", static_cast<double>(optimizer.lr));
  std::vector<double> rows;
  io::Json columns = io::Json::array();
  for (const auto& row : state.history.rows()) rows.insert(rows.end(), row.begin(), row.end());
  for (const auto& name : state.history.columns()) columns.push_back(name);
  out.add("trainer/history", std::move(rows),
          {static_cast<std::int64_t>(state.history.size()),
           static_cast<std::int64_t>(state.history.columns().size())});
  for_each_random(model, [&](const std::string& name, const RandomStream& random) {
    out.add(text("random/", name), std::vector<std::uint64_t>{random.seed, random.stream}, {2});
  });
  out.add_all("model/", state_dict(model));
  out.add_all("optimizer/", optimizer.state());
  out.add_all("best/", state.best);
  out.write(path, {{"kfer", std::string(detail::training_state_format)},
                   {"model", model_name(model)},
                   {"columns", to_string(columns)},
                   {"arguments", to_string(state.arguments)}});
}

/// Loads what `save_checkpoint` saved into the model and the optimiser, and returns the rest. `accept(state)`
/// is asked first and may throw. Throws IoError, FormatError (damaged, of another kind, of another model),
/// ShapeError or ValueError naming what does not fit; model and optimiser are then unchanged.
template <Module M, Optimizer O, class Accept>
auto load_checkpoint(const io::Safetensors& file, M& model, O& optimizer, const Accept& accept) {
  using T = typename tensor_type_t<M>::value_type;
  using D = typename tensor_type_t<M>::device_type;
  const std::string& path = file.name();
  require<FormatError>(file.has_checksum(), "'", path, "' is no training state: it has no checksum");
  require<FormatError>(file.metadata("kfer") == detail::training_state_format, "'", path,
                       "' is no training state of this version");
  const auto theirs = file.metadata("model").value_or("");
  require<FormatError>(theirs == model_name(model), "'", path, "' is a training state of '", theirs,
                       "', expected one of '", model_name(model), "'");
  TrainingState<T, D> state;
  state.epoch = detail::read_number<std::int64_t>(file, "trainer/epoch");
  state.batch = detail::read_number<std::int64_t>(file, "trainer/batch");
  state.batches_per_epoch = detail::read_number<std::int64_t>(file, "trainer/batches_per_epoch");
  require<FormatError>(state.epoch >= 0 && state.batch >= 0 && state.batch <= state.batches_per_epoch, "'",
                       path, "': no batch ", state.batch, " of epoch ", state.epoch, " with ",
                       state.batches_per_epoch, " batches an epoch");
  state.loss_sum = detail::read_number<double>(file, "trainer/loss_sum");
  state.skipped = detail::read_number<std::int64_t>(file, "trainer/skipped");
  state.skipped_in_row = detail::read_number<std::int64_t>(file, "trainer/skipped_in_row");
  require<FormatError>(0 <= state.skipped && state.skipped <= state.batch && state.skipped_in_row >= 0, "'",
                       path, "': ", state.skipped, " of ", state.batch, " batches skipped, ",
                       state.skipped_in_row, " in a row");
  state.lr = detail::read_number<double>(file, "trainer/lr");
  state.threads = detail::read_number<std::int64_t>(file, "trainer/threads");
  state.stopping = {detail::read_number<double>(file, "trainer/best"),
                    detail::read_number<std::int64_t>(file, "trainer/best_epoch"),
                    detail::read_number<std::int64_t>(file, "trainer/waited")};
  const auto where = text("'", path, "', metadata");
  state.arguments = io::parse_json(file.metadata("arguments").value_or("{}"), where);
  std::vector<std::string> columns;
  const io::Json names = io::parse_json(file.metadata("columns").value_or("[]"), where);
  for (const auto& name : names.as_array()) columns.push_back(name.as_string());
  const Shape& table = file.at("trainer/history").shape;
  require<FormatError>(table.rank() == 2 && table[1] == static_cast<std::int64_t>(columns.size()), "'", path,
                       "': a history of shape ", table, " with ", columns.size(), " columns");
  const auto numbers = file.values<double>("trainer/history");
  std::vector<std::vector<double>> rows;
  for (auto at = numbers.begin(); at != numbers.end(); at += table[1]) rows.emplace_back(at, at + table[1]);
  state.history.restore(std::move(columns), std::move(rows));
  accept(std::as_const(state));

  const auto dict = detail::read_all<T, D>(file, "model/");
  const auto shape_of = [](const Tensor<T, D>& t) -> const Shape& { return t.shape(); };
  const auto check = [&](const StateDict<T, D>& weights) {
    const auto misfits = detail::compare_entries(model, weights, shape_of, {});
    require<ShapeError>(!misfits.any(), misfits.message(text("'", path, "' does not fit the model")));
  };
  check(dict);
  state.best = detail::read_all<T, D>(file, "best/");
  if (!state.best.empty()) check(state.best);
  std::map<std::string, RandomStream> streams;
  for (const auto& [name, view] : file.tensors())
    if (name.starts_with("random/")) {
      const auto words = file.values<std::uint64_t>(name);
      require<FormatError>(words.size() == 2, "'", path, "': '", name, "' has ", words.size(),
                           " words, expected 2");
      streams[name.substr(7)] = {words[0], words[1]};
    }
  std::size_t known = 0;
  for_each_random(model, [&](const std::string& name, const RandomStream&) {
    require<FormatError>(streams.contains(name), "'", path, "': no random stream '", name, "'");
    ++known;
  });
  require<FormatError>(known == streams.size(), "'", path, "': ", streams.size(),
                       " random streams, the model has ", known);

  const double lr = file.contains("trainer/next_lr")  // older states lack it: the rate stays
                        ? detail::read_number<double>(file, "trainer/next_lr")
                        : static_cast<double>(optimizer.lr);
  optimizer.load_state(detail::read_all<T, D>(file, "optimizer/"),
                       detail::read_number<std::int64_t>(file, "trainer/steps"));
  optimizer.lr = lr;
  load_state_dict(model, dict);
  for_each_random(model, [&](const std::string& name, RandomStream& random) { random = streams.at(name); });
  return state;
}
template <Module M, Optimizer O, class Accept>
auto load_checkpoint(const std::string& path, M& model, O& optimizer, const Accept& accept) {
  return load_checkpoint(io::Safetensors::open(path), model, optimizer, accept);
}
template <Module M, Optimizer O>
auto load_checkpoint(const std::string& path, M& model, O& optimizer) {
  return load_checkpoint(path, model, optimizer, [](const auto&) {});
}

}  // namespace kfer
