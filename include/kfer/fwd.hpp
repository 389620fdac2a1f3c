// Forward declarations and device tags: what a header needs that only names kfer's types.
#pragma once

#include "kfer/core/dtype.hpp"

namespace kfer {

/// The host processor. Always there.
struct Cpu;
/// An NVIDIA GPU; defined when a CUDA compiler includes kfer.
struct Cuda;

template <Element T = float, class Device = Cpu>
class Tensor;

template <FloatingElement T = float, class Device = Cpu>
class Variable;

}  // namespace kfer
