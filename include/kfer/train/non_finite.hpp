// Finding the value of a model that is not finite, and what a step that met one must give back.
#pragma once

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "kfer/nn/observe.hpp"
#include "kfer/optim/clip.hpp"

namespace kfer {

/// The first parameter that is not finite, as "parameter 'fc.weight'"; "" if there is none.
template <Module M>
std::string non_finite_parameter(M& model) {
  std::string found;
  for_each_parameter(model, [&](const std::string& name, const auto& p) {
    if (found.empty() && !all_finite(p.value())) found = text("parameter '", name, "'");
  });
  return found;
}

/// The first parameter or else buffer ("buffer 'bn1.running_var'") that is not finite; "" if there is none.
template <Module M>
std::string non_finite_value(M& model) {
  using T = typename tensor_type_t<M>::value_type;
  using D = typename tensor_type_t<M>::device_type;
  std::vector<std::span<const T>> all;
  for_each_parameter(model,
                     [&](const std::string&, const auto& p) { detail::append_pieces(all, p.value()); });
  for_each_buffer(model, [&](const std::string&, const auto& b) { detail::append_pieces(all, b); });
  if (std::isfinite(clip_impl<T, D>::sum_of_squares(all))) return {};  // the rule, in one pass
  std::string found = non_finite_parameter(model);
  for_each_buffer(model, [&](const std::string& name, const auto& b) {
    if (found.empty() && !all_finite(b)) found = text("buffer '", name, "'");
  });
  return found;
}

/// What a step changes beside parameters and moments, as it was before: running statistics and the places of
/// random streams. Everything is given back where it lies, for captured graphs that have the address.
template <Module M>
class StepSnapshot {
 public:
  explicit StepSnapshot(M& model) : model_(model) {
    for_each_random(model, [&](const std::string&, const RandomStream& r) { streams_.push_back(r); });
    for_each_buffer(model, [&](const std::string&, const auto& b) {
      buffers_.push_back(b);
      buffers_.back().mutable_data();  // the copy moves, not the model's
    });
  }
  void restore_streams() {
    auto next = streams_.begin();
    for_each_random(model_, [&](const std::string&, RandomStream& r) { r = *next++; });
  }
  void restore_buffers() {
    using T = typename tensor_type_t<M>::value_type;
    auto next = buffers_.begin();
    for_each_buffer(model_, [&](const std::string&, auto& b) {
      const auto& before = *next++;
      tensor_type_t<M>::device_type::copy(b.mutable_data(), before.data(),
                                          static_cast<std::size_t>(before.storage_size()) * sizeof(T));
    });
  }

 private:
  M& model_;
  std::vector<RandomStream> streams_;
  std::vector<tensor_type_t<M>> buffers_;
};

}  // namespace kfer
