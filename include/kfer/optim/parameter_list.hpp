// The parameters of an optimiser with their moments, and the walk over all of them in one go.
//
// Moments lie in their parameter's memory order and follow it when it changes, so that a step is one linear
// pass. For threads the pass is cut into pieces of equal size over all parameters together, so that they get
// equal work, whatever the tensors' sizes.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kfer/autograd/variable.hpp"
#include "kfer/device/captured_graph.hpp"

namespace kfer {

/// (name, tensor) pairs: an optimiser's state.
template <FloatingElement T, class D>
using NamedTensors = std::vector<std::pair<std::string, Tensor<T, D>>>;

/// The `piece_size` of a device that deals out work itself.
inline constexpr std::int64_t whole_tensors = std::numeric_limits<std::int64_t>::max();

/// A stretch of one parameter: weights, gradient and up to three moments, `count` elements each.
template <FloatingElement T>
struct ParameterPiece {
  T* weight;
  const T* grad;
  std::array<T*, 3> moments;  ///< null: the optimiser has no such moment
  std::int64_t count;
  bfloat16* rounded = nullptr;  ///< becomes the weights rounded, if not null
};

/// Parameters, each with as many moments as `names`: their names' prefixes in the saved state ("m", "v").
template <FloatingElement T, class D>
class ParameterList {
 public:
  /// Throws ValueError if a name is there twice or there is no parameter at all.
  ParameterList(std::vector<std::pair<std::string, Variable<T, D>>> parameters,
                std::vector<std::string> names)
      : names_(std::move(names)) {
    require(!parameters.empty(), "an optimiser needs at least one parameter");
    for (auto& [name, variable] : parameters) {
      for (const Entry& entry : entries_)
        require(entry.name != name, "the parameter '", name, "' is there twice");
      entries_.push_back({std::move(name), std::move(variable), {}});
    }
  }

  void zero_grad() {
    for (Entry& entry : entries_) entry.variable.zero_grad();
  }

  /// Pieces of at most `piece_size` elements of all parameters that have a gradient. Moments are made (zero)
  /// when a parameter first has one. Gradients in another memory order are copied; the result owns the
  /// copies. Throws ValueError if there is no gradient at all.
  struct Pieces {
    std::vector<ParameterPiece<T>> items;
    std::vector<Tensor<T, D>> gradients;
  };
  Pieces pieces(std::int64_t piece_size) {
    Pieces out;
    for (Entry& entry : entries_) {
      if (!entry.variable.has_grad()) continue;
      auto [weight, rounded] = writable(entry.variable);
      out.gradients.push_back(entry.variable.grad().to(weight.layout()));
      follow(entry, weight);
      ParameterPiece<T> whole{weight.mutable_data(), out.gradients.back().data(), {}, weight.storage_size()};
      for (std::size_t k = 0; k < entry.moments.size(); ++k)
        whole.moments[k] = entry.moments[k].mutable_data();
      if (rounded) whole.rounded = rounded->mutable_data();
      for (std::int64_t at = 0; at < whole.count; at += std::min(piece_size, whole.count - at)) {
        ParameterPiece<T> piece{
            whole.weight + at, whole.grad + at, {}, std::min(piece_size, whole.count - at), nullptr};
        for (std::size_t k = 0; k < entry.moments.size(); ++k) piece.moments[k] = whole.moments[k] + at;
        if (whole.rounded) piece.rounded = whole.rounded + at;
        out.items.push_back(piece);
      }
    }
    require(!out.gradients.empty(), "an optimiser's step needs gradients: call backward() first");
    return out;
  }

  /// Makes moments that no other tensor shares; appends their addresses.
  void own_storage(std::vector<const void*>& places) {
    for (Entry& entry : entries_)
      for (auto& moment : entry.moments) places.push_back(moment.mutable_data());
  }

  /// "<moment>.<parameter>" -> moment, for every parameter that was ever stepped; row-major.
  NamedTensors<T, D> state() const {
    NamedTensors<T, D> out;
    for (const Entry& entry : entries_)
      for (std::size_t k = 0; k < entry.moments.size(); ++k)
        out.emplace_back(text(names_[k], '.', entry.name), entry.moments[k].row_major());
    return out;
  }
  /// Sets all moments from what `state()` gave. Throws ValueError for a moment of no parameter here, or for
  /// some but not all moments of a parameter; ShapeError for one of another shape (both are named). Unchanged
  /// if it throws.
  void load(const NamedTensors<T, D>& state) {
    std::vector<std::vector<Tensor<T, D>>> fresh(entries_.size());
    std::size_t used = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      for (const auto& prefix : names_) {
        const std::string name = text(prefix, '.', entries_[i].name);
        for (const auto& [key, value] : state) {
          if (key != name) continue;
          require<ShapeError>(value.shape() == entries_[i].variable.shape(), "optimiser state '", key,
                              "': expected ", entries_[i].variable.shape(), ", got ", value.shape());
          fresh[i].push_back(value);
          ++used;
        }
      }
      require(fresh[i].empty() || fresh[i].size() == names_.size(), "optimiser state of '", entries_[i].name,
              "': expected ", names_.size(), " moments, got ", fresh[i].size());
    }
    if (used != state.size()) throw ValueError(text("optimiser state: ", unknown(state)));
    for (std::size_t i = 0; i < entries_.size(); ++i) entries_[i].moments = std::move(fresh[i]);
  }

 private:
  struct Entry {
    std::string name;
    Variable<T, D> variable;
    std::vector<Tensor<T, D>> moments;
  };

  /// The value, and the rounded copy where the device's steps write one.
  static std::pair<Tensor<T, D>&, Tensor<bfloat16, D>*> writable(Variable<T, D>& variable) {
    if constexpr (Capturing<D>)
      return variable.mutable_both();
    else
      return {variable.mutable_value(), nullptr};
  }

  void follow(Entry& entry, const Tensor<T, D>& weight) {
    if constexpr (Capturing<D>)
      require<DeviceError>(entry.moments.size() == names_.size() || !D::capturing(), "the first step of '",
                           entry.name, "' cannot be captured: its moments are made then");
    if (entry.moments.empty())
      for (std::size_t k = 0; k < names_.size(); ++k)
        entry.moments.push_back(zeros<T, D>(weight.shape(), weight.layout()));
    for (auto& moment : entry.moments) moment = std::move(moment).to(weight.layout());
  }

  std::string unknown(const NamedTensors<T, D>& state) const {
    for (const auto& [key, value] : state) {
      bool known = false;
      for (const Entry& entry : entries_)
        for (const auto& prefix : names_) known = known || key == text(prefix, '.', entry.name);
      if (!known) return text("'", key, "' belongs to no parameter of this optimiser");
    }
    return "an entry is there twice";
  }

  std::vector<std::string> names_;
  std::vector<Entry> entries_;
};

}  // namespace kfer
