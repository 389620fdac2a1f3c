// State dictionaries: the parameters and buffers of a module by name, and weights in files.
#pragma once

#include <bit>
#include <cstring>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "kfer/io/safetensors.hpp"
#include "kfer/nn/module.hpp"

namespace kfer {

/// (name, row-major tensor) in visiting order. The tensors share storage with the module until either is
/// written, so a state dictionary is a cheap snapshot.
template <FloatingElement T, class D>
using StateDict = std::vector<std::pair<std::string, Tensor<T, D>>>;

/// All parameters and buffers.
template <Module M>
auto state_dict(M& m) {
  using Value = tensor_type_t<M>;
  StateDict<typename Value::value_type, typename Value::device_type> out;
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (detail::is_variable<X>) out.emplace_back(path, x.value().row_major());
    if constexpr (detail::is_tensor<X>) out.emplace_back(path, x.row_major());
  });
  return out;
}

struct LoadOptions {
  /// Entries whose names start with one of these are neither needed nor read, as {"fc."} for another number
  /// of classes.
  std::vector<std::string> ignore = {};
};

namespace detail {

/// PyTorch counts batches in an integer buffer that nothing reads.
inline bool is_bookkeeping(std::string_view name) {
  return name.ends_with("num_batches_tracked");
}

inline bool is_ignored(std::string_view name, const LoadOptions& options) {
  for (const auto& prefix : options.ignore)
    if (name.starts_with(prefix)) return true;
  return false;
}

/// What keeps a dictionary from fitting a module; empty if nothing does.
struct Misfits {
  std::vector<std::string> missing, unexpected, shapes;

  std::string message(std::string_view what) const {
    std::string out(what);
    const auto list = [&](const char* title, const std::vector<std::string>& names) {
      if (names.empty()) return;
      out += text("; ", names.size(), ' ', title, ": ");
      for (std::size_t i = 0; i < names.size(); ++i) out += text(i ? ", " : "", names[i]);
    };
    list("missing", missing);
    list("unexpected", unexpected);
    list("of another shape", shapes);
    return out;
  }
  bool any() const { return !missing.empty() || !unexpected.empty() || !shapes.empty(); }
};

/// Compares names and shapes of a module with those of `entries`, any range of (name, something with a
/// shape).
template <Module M, class Entries, class ShapeOf>
Misfits compare_entries(M& m, const Entries& entries, const ShapeOf& shape_of, const LoadOptions& options) {
  std::unordered_map<std::string_view, const Shape*> given;
  Misfits misfits;
  for (const auto& [name, entry] : entries) given.emplace(name, &shape_of(entry));
  std::unordered_map<std::string, bool> known;
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (is_variable<X> || is_tensor<X>) {
      known.emplace(path, true);
      if (is_ignored(path, options)) return;
      const auto it = given.find(path);
      if (it == given.end())
        misfits.missing.push_back(path);
      else if (*it->second != x.shape())
        misfits.shapes.push_back(text(path, " (expected ", x.shape(), ", got ", *it->second, ")"));
    }
  });
  for (const auto& [name, entry] : entries)
    if (!known.contains(name) && !is_ignored(name, options) && !is_bookkeeping(name))
      misfits.unexpected.push_back(name);
  return misfits;
}

inline float half_to_float(std::uint16_t h) {
  const std::uint32_t sign = std::uint32_t{h & 0x8000u} << 16, exponent = (h >> 10) & 31,
                      fraction = h & 0x3FFu;
  if (exponent == 0)
    return std::bit_cast<float>(sign) + (sign ? -1.0f : 1.0f) * static_cast<float>(fraction) * 0x1p-24f;
  const std::uint32_t rest = exponent == 31 ? 0x7F800000u : (exponent + 112) << 23;
  return std::bit_cast<float>(sign | rest | fraction << 13);
}

/// The elements of a stored tensor of any floating type, as T. Throws FormatError for integers, its message
/// beginning with `where`.
template <FloatingElement T>
std::vector<T> floating_values(const io::TensorView& view, std::string_view where) {
  std::vector<T> out(static_cast<std::size_t>(view.shape.numel()));
  const auto convert = [&]<class S>(S, auto to_number) {
    for (std::size_t i = 0; i < out.size(); ++i) {
      S s;
      std::memcpy(&s, view.data.data() + i * sizeof(S), sizeof(S));
      out[i] = static_cast<T>(to_number(s));
    }
  };
  const auto same = [](auto x) { return x; };
  if (view.dtype == "F32")
    convert(float{}, same);
  else if (view.dtype == "F64")
    convert(double{}, same);
  else if (view.dtype == "BF16")
    convert(std::uint16_t{}, [](std::uint16_t b) { return std::bit_cast<float>(std::uint32_t{b} << 16); });
  else if (view.dtype == "F16")
    convert(std::uint16_t{}, half_to_float);
  else
    throw FormatError(text(where, " is ", view.dtype, ", expected a floating type"));
  return out;
}
template <FloatingElement T>
std::vector<T> floating_values(const io::Safetensors& file, const std::string& name) {
  return floating_values<T>(file.at(name), text("'", file.name(), "': tensor '", name, "'"));
}

}  // namespace detail

/// Sets every parameter and buffer from `dict`. Throws ShapeError naming every entry that is missing,
/// unexpected or of another shape (with both shapes); the module is then unchanged.
template <Module M, FloatingElement T, class D>
void load_state_dict(M& m, const StateDict<T, D>& dict, const LoadOptions& options = {}) {
  const auto misfits = detail::compare_entries(
      m, dict, [](const Tensor<T, D>& t) -> const Shape& { return t.shape(); }, options);
  require<ShapeError>(!misfits.any(), misfits.message("the state dictionary does not fit the model"));
  std::unordered_map<std::string_view, const Tensor<T, D>*> given;
  for (const auto& [name, value] : dict) given.emplace(name, &value);
  for_each_member(m, [&](const std::string& path, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (detail::is_variable<X> || detail::is_tensor<X>) {
      if (detail::is_ignored(path, options)) return;
      if constexpr (detail::is_variable<X>)
        x.mutable_value() = *given.at(path);
      else
        x = *given.at(path);
    }
  });
}

/// What a module calls itself: its member `name`, a string (static or not), or "".
template <Module M>
std::string model_name(const M& m) {
  if constexpr (requires { std::string_view(m.name); })
    return std::string(std::string_view(m.name));
  else
    return "";
}

/// Saves parameters and buffers as safetensors, with the model's name as metadata "model", followed by
/// `metadata`. The file at `path` is replaced entirely or not at all. Throws IoError.
template <Module M>
void save_weights(M& m, const std::string& path, io::Metadata metadata = {}) {
  using T = typename tensor_type_t<M>::value_type;
  if (const auto name = model_name(m); !name.empty()) metadata.insert(metadata.begin(), {"model", name});
  std::vector<std::vector<T>> values;  // on the host, alive until written
  std::vector<io::NamedTensor> tensors;
  for (const auto& [name, value] : state_dict(m)) {
    values.push_back(value.to_vector());
    tensors.emplace_back(name, io::tensor_view(std::span<const T>(values.back()), value.shape()));
  }
  io::write_safetensors(path, tensors, metadata);
}

/// Loads what `save_weights` or PyTorch's safetensors saved; any floating type is converted. Throws
/// FormatError (weights of another model: both are named), ShapeError as `load_state_dict`. The module is
/// unchanged if it throws.
template <Module M>
void load_weights(M& m, const io::Safetensors& file, const LoadOptions& options = {}) {
  using Value = tensor_type_t<M>;
  using T = typename Value::value_type;
  const auto own = model_name(m);
  const auto theirs = file.metadata("model").value_or("");
  require<FormatError>(own.empty() || theirs.empty() || own == theirs, "'", file.name(),
                       "' holds weights of '", theirs, "', expected weights of '", own, "'");
  const auto misfits = detail::compare_entries(
      m, file.tensors(), [](const io::TensorView& t) -> const Shape& { return t.shape; }, options);
  require<ShapeError>(!misfits.any(), misfits.message(text("'", file.name(), "' does not fit the model")));
  StateDict<T, typename Value::device_type> dict;
  for_each_member(m, [&](const std::string& name, auto& x) {
    using X = std::remove_reference_t<decltype(x)>;
    if constexpr (detail::is_variable<X> || detail::is_tensor<X>)
      if (!detail::is_ignored(name, options))
        dict.emplace_back(name, Value(x.shape(), std::span<const T>(detail::floating_values<T>(file, name))));
  });
  load_state_dict(m, dict, options);
}

/// The same from a file. Throws IoError and FormatError also for one that cannot be read or is damaged.
template <Module M>
void load_weights(M& m, const std::string& path, const LoadOptions& options = {}) {
  load_weights(m, io::Safetensors::open(path), options);
}

}  // namespace kfer
