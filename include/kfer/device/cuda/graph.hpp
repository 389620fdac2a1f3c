// Captured CUDA graphs: work that is recorded once and then replayed by a single call.
//
//   auto step = CudaGraph::capture([&] { loss = train_step(static_images, static_labels); });
//   for (...) { fill static_images; rates.set(...); step.replay(); }
//
// What a graph reads and writes stays where it was while it was captured:
// - Memory allocated meanwhile comes from a pool of the graph. The pool lives until the graph and the last
//   tensor in it are gone; nothing else gets memory from it.
// - Memory allocated before and freed meanwhile is kept by the graph, which may read it. Drop what a step
//   makes anew (gradients) before the capture, or it is there twice.
// - Tensors that a graph reads and does not own (parameters, static inputs) are the caller's to keep.
//
// Values that change between replays go through ReplayedValue (device/replayed.hpp) and the random shift.
#pragma once

#include <array>

#include "kfer/device/captured_graph.hpp"
#include "kfer/device/cuda/device.hpp"

namespace kfer {

class CudaGraph {
 public:
  /// Records what `work()` puts on the compute stream; nothing of it runs. Copies to and from the host, and
  /// waiting for the device, cannot be part of it.
  ///
  /// Throws DeviceError naming the call that cannot be captured, and whatever `work` throws; then all is as
  /// before, and the work can be done without a graph.
  template <class Work>
  static CudaGraph capture(Work&& work) {
    require<DeviceError>(!Cuda::capturing(), "cuda: a graph is being captured already; captures do not nest");
    CudaGraph graph;
    graph.state_->capture(work);
    return graph;
  }

  /// Enqueues the captured work once more, with `shift` added to its random streams. Returns before it is
  /// done, unless several replays are under way already. Throws DeviceError during a capture.
  void replay(unsigned long long shift) {
    require<DeviceError>(state_ != nullptr, "cuda: this graph was moved from");
    state_->replay(shift);
  }
  /// The same for the next shift: the first replay draws the random numbers of the captured pass, each later
  /// one those of the next stream.
  void replay() { replay(replays()); }

  /// How often it was replayed.
  unsigned long long replays() const { return state_ ? state_->replays : 0; }

 private:
  /// Replays that may be under way while the host prepares the next.
  static constexpr unsigned long long in_flight = 4;

  struct State {
    State()
        : block(cuda::ReplayedBlock::capacity),
          values(block.data()),
          images(in_flight * cuda::ReplayedBlock::capacity),
          pool(memory().create_pool(true)) {}
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() {
      const cuda::OutsideCapture outside;
      if (replays) static_cast<void>(cudaEventSynchronize(done[(replays - 1) % in_flight].get()));
      if (executable) static_cast<void>(cudaGraphExecDestroy(executable));
      for (void* old : adopted) Cuda::deallocate(old, 0);
      memory().retire_pool(pool);
    }

    static cuda::Memory& memory() { return cuda::Context::instance().memory(); }

    template <class Work>
    void capture(Work& work) {
      auto& context = cuda::Context::instance();
      const cudaStream_t stream = Cuda::stream();
      cuda::Capture record{pool, &values};
      // What the same work kept for reuse when it ran eagerly: the graph's pool needs as much, and nothing
      // can be given back during a capture.
      memory().release();
      context.begin_capture(record);
      cudaGraph_t graph = nullptr;
      cudaError_t error = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
      const auto end = [&] {
        if (error == cudaSuccess) error = cudaStreamEndCapture(stream, &graph);
        static_cast<void>(cudaGetLastError());
        context.end_capture();
        adopted = std::move(record.adopted);
      };
      if (error == cudaSuccess) {
        try {
          work();
        } catch (...) {
          end();
          if (graph) static_cast<void>(cudaGraphDestroy(graph));
          rethrow();
        }
      }
      end();
      if (error == cudaSuccess) error = cudaGraphInstantiate(&executable, graph, 0);
      if (graph) static_cast<void>(cudaGraphDestroy(graph));
      cuda::check(error, "capturing a graph");
    }

    /// The exception being handled, with what it happened in.
    [[noreturn]] static void rethrow() {
      try {
        throw;
      } catch (const DeviceError& e) {
        throw DeviceError(text("this work cannot be captured as a CUDA graph: ", e.what()));
      } catch (const Error&) {
        throw;
      } catch (const std::runtime_error& e) {  // kernels/ has a LaunchError of its own
        throw DeviceError(text("this work cannot be captured as a CUDA graph: ", e.what()));
      }
    }

    void replay(unsigned long long shift) {
      require<DeviceError>(!Cuda::capturing(),
                           "cuda: a graph cannot be replayed while another one is captured");
      const cudaStream_t stream = Cuda::stream();
      auto& previous = done[replays % in_flight];
      previous.wait();  // its image is free again
      char* image = static_cast<char*>(images.data()) + replays % in_flight * cuda::ReplayedBlock::capacity;
      values.write(image, shift);
      cuda::check(cudaMemcpyAsync(values.device(), image, values.used(), cudaMemcpyHostToDevice, stream),
                  "copying the values of a replay");
      cuda::check(cudaGraphLaunch(executable, stream), "cudaGraphLaunch");
      previous.record(stream);
      ++replays;
      Cuda::enqueued("a replayed graph");
    }

    Buffer<Cuda> block;  ///< on the device: what changes between replays
    cuda::ReplayedBlock values;
    cuda::PinnedBuffer images;  ///< what the replays under way were given
    std::array<cuda::Event, in_flight> done;
    std::vector<void*> adopted;
    cudaGraphExec_t executable = nullptr;
    unsigned long long replays = 0;
    cuda::Memory::PoolId pool;  ///< last: nothing after it can fail to be made
  };

  CudaGraph() : state_(std::make_unique<State>()) {}

  std::unique_ptr<State> state_;
};

template <>
struct captured_graph<Cuda> {
  using type = CudaGraph;
};

}  // namespace kfer
