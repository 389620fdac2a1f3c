// The smallest network whose saved state holds weights, moments and a random stream: for damage and fuzzing.
#pragma once

#include <string_view>
#include <vector>

#include "kfer/nn/dropout.hpp"
#include "kfer/nn/linear.hpp"
#include "kfer/nn/state_dict.hpp"

namespace test {

struct Small {
  static constexpr std::string_view name = "small";
  kfer::Linear<> fc;
  kfer::Dropout dropout;
  explicit Small(kfer::RandomStream random = {.seed = 3}) : fc(2, 1, random), dropout(0.5, random) {}
  template <class Visitor>
  void visit(Visitor&& v) {
    v("fc", fc);
    v("dropout", dropout);
  }
};

/// What a run of it would save in the middle of an epoch. State: a TrainingState, whose header is a large
/// one.
template <class State>
State state_of(Small& net) {
  State state;
  state.epoch = 1, state.batch = 2, state.batches_per_epoch = 3;
  state.history.append({{"loss", 0.25}});
  state.best = kfer::state_dict(net);
  state.arguments["seed"] = 46;
  return state;
}

/// All its weights.
inline std::vector<float> numbers(Small& net) {
  std::vector<float> out;
  for (const auto& [name, value] : kfer::state_dict(net))
    for (const float v : value.to_vector()) out.push_back(v);
  return out;
}

}  // namespace test
