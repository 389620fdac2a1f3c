// Which devices can record work once and replay it by a single call.
#pragma once

namespace kfer {

/// `type`: the graph of a device that captures, with `static type capture(work)` and `replay(random_shift)`.
/// Cuda has one (device/cuda/graph.hpp), and Simt (device/simt.hpp); the Cpu has none.
template <class D>
struct captured_graph;

template <class D>
concept Capturing = requires {
  typename captured_graph<D>::type;
};

}  // namespace kfer
