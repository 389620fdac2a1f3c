// Keeping a batch whose loss or gradients are not finite from changing anything, without asking the host.
#pragma once

#include <vector>

#include "kfer/optim/clip.hpp"

namespace kfer {

/// What became of the steps that were under way.
struct StepsTaken {
  std::vector<double> losses;  ///< of those that were taken, in order
  bool refused = false;        ///< the step after them was not, and so none after that
};

/// For captured steps; one specialisation for devices that capture:
/// - StepGuard(buffers, clip_norm): what a step changes beside parameters and moments (non-owning), and the
///   largest norm of the gradients (0: not clipped);
/// - begin(), at the start of the captured work: notes the buffers' values;
/// - judge(loss, parameters), after backward: decides whether the step is taken;
/// - scale(), for an optimiser's apply(): device memory with the factor of the gradients, NaN if it is not;
/// - end(): a step that is not taken gives the buffers their values back;
/// - read(), outside of a capture: waits for the device and tells of the steps since the last read(), at most
///   `most_steps` of them.
template <FloatingElement T, class D>
class StepGuard;

}  // namespace kfer
