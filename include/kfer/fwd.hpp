// Forward declarations and device tags: what a header needs that only names kfer's types.
#pragma once

#include "kfer/core/dtype.hpp"

namespace kfer {

/// The host processor. Always there.
struct Cpu;
/// An NVIDIA GPU; see kfer/device/cuda.hpp.
struct Cuda;
/// The host SIMT executor: the Cuda backend's own kernels, run thread by thread on the processor. For tests
/// and debugging; see kfer/device/simt.hpp.
struct Simt;

template <Element T = float, class Device = Cpu>
class Tensor;

template <FloatingElement T = float, class Device = Cpu>
class Variable;

}  // namespace kfer
