// Which of cuDNN's engines may run a graph. Plain values, apart from cuDNN itself.
#pragma once

#include <cstdint>
#include <string>

#include "kfer/core/error.hpp"
#include "kfer/device/math_options.hpp"

namespace kfer::cudnn {

/// What cuDNN says of an engine's arithmetic and behaviour.
struct EngineNotes {
  bool tensor_core = false;
  bool down_converts_inputs = false;
  bool reduced_precision_sums = false;
  bool nondeterministic = false;
  bool compiled_at_run_time = false;
};

/// Which engines a caller allows. Sums are in float: an engine that adds up in less is never one of them.
struct PlanFilter {
  MathOptions math = {};
  std::int64_t workspace_limit = std::int64_t{1} << 30;  ///< bytes

  bool admits(const EngineNotes& notes) const {
    const bool narrower = notes.tensor_core || notes.down_converts_inputs;
    return !notes.reduced_precision_sums && !(math.strict_fp32 && narrower) &&
           !(math.deterministic && notes.nondeterministic);
  }
};

/// What a filter adds to a plan's key: "", " strict", " deterministic", " workspace 1024", or several.
inline std::string to_string(const PlanFilter& filter) {
  std::string out;
  if (filter.math.strict_fp32) out += " strict";
  if (filter.math.deterministic) out += " deterministic";
  if (filter.workspace_limit != PlanFilter().workspace_limit)
    out += text(" workspace ", filter.workspace_limit);
  return out;
}

}  // namespace kfer::cudnn
