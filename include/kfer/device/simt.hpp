// The Simt device: the Cuda backend without a GPU. Memory is the host's, and kernels run on the host SIMT
// executor, which checks what a GPU does not: barriers, warp masks and, in sanitizer builds, bounds and
// races. Slow, and exact.
//
// Graphs can be captured here too, by the rules of CUDA's (device/cuda/graph.hpp): a captured step that keeps
// an address that moves, or a value that changes, goes wrong here as it would there.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kfer/core/error.hpp"
#include "kfer/device/captured_graph.hpp"
#include "kfer/device/device.hpp"
#include "kfer/kernels/common/device.cuh"

#if defined(__CUDACC__)
#error "kfer/device/simt.hpp is for host compilers; a CUDA compiler runs the same kernels on Cuda"
#endif

namespace kfer {

class SimtGraph;

struct Simt {
  static constexpr std::string_view name = "simt";

  /// Exact sizes from the heap, so that a memory checker sees the first byte past the end; filled with NaNs,
  /// so that what no kernel wrote shows.
  static void* allocate(std::size_t bytes);
  static void deallocate(void* block, std::size_t) noexcept;
  static void copy(void* to, const void* from, std::size_t bytes);
  static void set_zero(void* to, std::size_t bytes);
  /// Throw DeviceError during a capture.
  static void copy_from_host(void* to, const void* from, std::size_t bytes) { host_copy(to, from, bytes); }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) { host_copy(to, from, bytes); }

  static kernels::Stream stream();
  static void synchronize() {
    require<DeviceError>(!capturing(), "simt: waiting for the device cannot be part of a captured graph");
  }
  static bool capturing() { return current() != nullptr; }
  static const unsigned long long* random_shift();
  static const void* replayed_slot(const std::shared_ptr<const void>& cell, std::size_t bytes);

 private:
  friend class SimtGraph;
  static SimtGraph*& current() {
    thread_local SimtGraph* capturing = nullptr;
    return capturing;
  }
  static void host_copy(void* to, const void* from, std::size_t bytes) {
    require<DeviceError>(!capturing(), "simt: a copy to or from the host cannot be part of a captured graph");
    if (bytes) std::memcpy(to, from, bytes);
  }
};

/// Recorded work and all memory that it was given. See CudaGraph.
class SimtGraph {
 public:
  template <class Work>
  static SimtGraph capture(Work&& work) {
    SimtGraph graph;
    require<DeviceError>(!Simt::capturing(), "simt: a graph is being captured already; captures do not nest");
    struct Scope {
      explicit Scope(SimtGraph& g) { Simt::current() = &g; }
      ~Scope() { Simt::current() = nullptr; }
    };
    const Scope scope(graph);
    work();
    return graph;
  }

  /// Runs the work again, with `shift` added to its random streams.
  void replay(unsigned long long shift) {
    require<DeviceError>(!Simt::capturing(),
                         "simt: a graph cannot be replayed while another one is captured");
    state_->shift = shift;
    for (const Slot& slot : state_->slots) std::memcpy(slot.place.get(), slot.cell.get(), slot.bytes);
    state_->work.replay();
  }

 private:
  friend struct Simt;
  struct Slot {
    std::shared_ptr<const void> cell;
    std::shared_ptr<void> place;
    std::size_t bytes;
  };
  struct State {
    simt::Recording work;
    unsigned long long shift = 0;
    std::vector<Slot> slots;
    std::vector<void*> adopted;  ///< what the work may use at every replay although its tensors are gone
    ~State() {
      for (void* block : adopted) std::free(block);
    }
  };
  SimtGraph() : state_(std::make_shared<State>()) {}

  /// Blocks that a capture allocated and a tensor holds, with the graph that they belong to.
  static std::unordered_map<void*, std::shared_ptr<State>>& held() {
    static auto& blocks = *new std::unordered_map<void*, std::shared_ptr<State>>;
    return blocks;
  }

  std::shared_ptr<State> state_;
};

template <>
struct captured_graph<Simt> {
  using type = SimtGraph;
};

inline void* Simt::allocate(std::size_t bytes) {
  void* block = nullptr;
  require<OutOfMemoryError>(bytes <= PTRDIFF_MAX && posix_memalign(&block, 256, bytes ? bytes : 1) == 0,
                            "simt: cannot allocate ", bytes, " bytes");
  std::memset(block, 0xFF, bytes);
  if (capturing()) SimtGraph::held().emplace(block, current()->state_);
  return block;
}
inline void Simt::deallocate(void* block, std::size_t) noexcept {
  auto& held = SimtGraph::held();
  const auto owner = held.find(block);
  std::shared_ptr<SimtGraph::State> graph = capturing() ? current()->state_ : nullptr;
  if (owner != held.end()) {
    graph = std::move(owner->second);
    held.erase(owner);
  }
  if (!graph) return std::free(block);
  try {
    graph->adopted.push_back(block);
  } catch (const std::bad_alloc&) {  // no room for the note: the block is lost, which is better than shared
  }
}
inline void Simt::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if (capturing())
    current()->state_->work.add([=] { std::memcpy(to, from, bytes); });
  else
    std::memcpy(to, from, bytes);
}
inline void Simt::set_zero(void* to, std::size_t bytes) {
  if (bytes == 0) return;
  if (capturing())
    current()->state_->work.add([=] { std::memset(to, 0, bytes); });
  else
    std::memset(to, 0, bytes);
}
inline kernels::Stream Simt::stream() {
  return capturing() ? &current()->state_->work : nullptr;
}
inline const unsigned long long* Simt::random_shift() {
  return capturing() ? &current()->state_->shift : nullptr;
}
inline const void* Simt::replayed_slot(const std::shared_ptr<const void>& cell, std::size_t bytes) {
  if (!capturing()) return nullptr;
  auto& slots = current()->state_->slots;
  for (const auto& slot : slots)
    if (slot.cell == cell) return slot.place.get();
  slots.push_back(
      {cell, std::shared_ptr<void>(::operator new(bytes), [](void* p) { ::operator delete(p); }), bytes});
  return slots.back().place.get();
}

static_assert(Device<Simt>);

}  // namespace kfer
