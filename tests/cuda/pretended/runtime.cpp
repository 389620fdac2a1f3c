#include "cuda/pretended/runtime.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <utility>
#include <vector>

// The handles that CUDA's headers declare and do not define.
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::shared_ptr<const CUgraph_st> graph;
};
struct CUevent_st {
  std::size_t recording = 0;  ///< the last one; 0: never recorded
  std::shared_ptr<double> time = std::make_shared<double>(0);
};
struct CUstream_st {
  struct Operation {
    std::function<void()> run;
    std::size_t after = 0;    ///< recording that must have been reached
    std::size_t reaches = 0;  ///< recording that it reaches
  };
  std::deque<Operation> queue;
  std::unique_ptr<CUgraph_st> capture;
  bool invalid = false;  ///< the capture
};

namespace {

constexpr std::size_t capacity = std::size_t{1} << 30;

// What the beginning of freed memory is filled with.
constexpr unsigned char mark = 0xDB;
constexpr std::size_t marked = std::size_t{1} << 20;

struct Device {
  std::recursive_mutex mutex;
  std::mt19937 random{1};
  std::set<CUstream_st*> streams;
  std::set<std::size_t> reached;
  std::size_t recordings = 0, used = 0;
  std::map<char*, std::size_t> memory, pinned;
  std::multimap<std::size_t, void*> freed;  ///< handed out again first, as devices tend to

  bool may_run(const CUstream_st& s) const {
    return !s.queue.empty() && (s.queue.front().after == 0 || reached.count(s.queue.front().after));
  }
  void run_one(CUstream_st& s) {
    const auto operation = std::move(s.queue.front());
    s.queue.pop_front();
    if (operation.run) operation.run();
    if (operation.reaches) reached.insert(operation.reaches);
  }
  template <class Done>
  void run_until(Done done) {
    while (!done()) {
      std::vector<CUstream_st*> ready;
      for (auto* s : streams)
        if (may_run(*s)) ready.push_back(s);
      if (ready.empty()) std::abort();  // streams that wait for each other
      run_one(*ready[random() % ready.size()]);
    }
  }
  void drain() {
    run_until([&] {
      return std::all_of(streams.begin(), streams.end(), [](auto* s) { return s->queue.empty(); });
    });
  }
  /// The device goes on by itself, too.
  void drift() {
    for (unsigned n = random() % 3; n > 0; --n)
      for (auto* s : streams)
        if (random() % 2 && may_run(*s)) run_one(*s);
  }
  static bool holds(const std::map<char*, std::size_t>& blocks, const void* p) {
    auto it = blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    return it != blocks.begin() && (--it, static_cast<const char*>(p) < it->first + it->second);
  }
};

Device& device() {
  static Device& d = *new Device;
  return d;
}

/// KFER_PRETENDED_HMM=1: the device reads the host's memory itself, as late as it can.
const bool reads_pageable_memory = [] {
  const char* setting = std::getenv("KFER_PRETENDED_HMM");
  return setting && std::strcmp(setting, "1") == 0;
}();

thread_local cudaError_t last_error = cudaSuccess;
thread_local CUstream_st* capturing = nullptr;
thread_local cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;

cudaError_t fail(cudaError_t error) {
  return last_error = error;
}

/// Calls that CUDA calls unsafe spoil the capture of their thread, unless it asked for the relaxed mode.
cudaError_t unsafe_call() {
  if (!capturing || mode == cudaStreamCaptureModeRelaxed) return cudaSuccess;
  capturing->invalid = true;
  return fail(cudaErrorStreamCaptureUnsupported);
}

cudaError_t enqueue(cudaStream_t s, std::function<void()> run) {
  if (!s) std::abort();  // the default stream is never used
  if (s->capture) {
    if (s->invalid) return fail(cudaErrorStreamCaptureInvalidated);
    s->capture->work.push_back(std::move(run));
    return cudaSuccess;
  }
  s->queue.push_back({std::move(run)});
  device().drift();
  return cudaSuccess;
}

using Lock = std::lock_guard<std::recursive_mutex>;

double now() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

void pretended::launch(cudaStream_t stream, std::function<void()> kernel) {
  const Lock lock(device().mutex);
  static_cast<void>(enqueue(stream, std::move(kernel)));
}

extern "C" {

const char* cudaGetErrorName(cudaError_t e) {
  return e == cudaErrorStreamCaptureUnsupported ? "cudaErrorStreamCaptureUnsupported" : "cudaErrorOfSomeKind";
}
const char* cudaGetErrorString(cudaError_t) {
  return "something failed";
}
cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int ordinal) {
  return ordinal == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  std::memset(p, 0, sizeof *p);
  std::strcpy(p->name, "Pretended GPU");
  p->major = 9;
  p->totalGlobalMem = capacity;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  if (attribute != cudaDevAttrPageableMemoryAccess) std::abort();
  *value = reads_pageable_memory;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  const Lock lock(device().mutex);
  if (const auto e = unsafe_call()) return e;
  if (bytes > capacity - device().used) return fail(cudaErrorMemoryAllocation);
  if (const auto freed = device().freed.find(bytes); freed != device().freed.end()) {
    *p = freed->second;
    device().freed.erase(freed);
    const auto* memory = static_cast<const unsigned char*>(*p);
    for (std::size_t i = 0; i < std::min(bytes, marked); ++i)
      if (memory[i] != mark) std::abort();  // somebody wrote to freed memory
  } else {
    *p = std::aligned_alloc(512, (bytes + 511) / 512 * 512);
  }
  if (!*p) return fail(cudaErrorMemoryAllocation);
  device().memory[static_cast<char*>(*p)] = bytes;
  device().used += bytes;
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) {
  const Lock lock(device().mutex);
  if (capturing) {  // in any mode: it waits for the device
    capturing->invalid = true;
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  device().drain();
  const auto it = device().memory.find(static_cast<char*>(p));
  if (it == device().memory.end()) std::abort();
  const std::size_t bytes = it->second;
  device().used -= bytes;
  device().memory.erase(it);
  if (bytes > 64 * marked) {
    std::free(p);
  } else {
    std::memset(p, mark, std::min(bytes, marked));
    device().freed.emplace(bytes, p);
  }
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const Lock lock(device().mutex);
  *total = capacity;
  *free = capacity - device().used;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) {
  const Lock lock(device().mutex);
  if (const auto e = unsafe_call()) return e;
  *p = std::malloc(bytes);
  device().pinned[static_cast<char*>(*p)] = bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) {
  const Lock lock(device().mutex);
  if (const auto e = unsafe_call()) return e;
  device().drain();
  device().pinned.erase(static_cast<char*>(p));
  std::free(p);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  const Lock lock(device().mutex);
  a->type = Device::holds(device().pinned, p)   ? cudaMemoryTypeHost
            : Device::holds(device().memory, p) ? cudaMemoryTypeDevice
                                                : cudaMemoryTypeUnregistered;
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s) {
  const Lock lock(device().mutex);
  const void* const host = kind == cudaMemcpyHostToDevice   ? from
                           : kind == cudaMemcpyDeviceToHost ? to
                                                            : nullptr;
  const bool pageable = host && !Device::holds(device().pinned, host);
  if (pageable && s->capture) {
    s->invalid = true;
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  if (pageable && kind == cudaMemcpyHostToDevice &&
      !reads_pageable_memory) {  // taken before the call returns
    const auto* p = static_cast<const char*>(from);
    return enqueue(
        s, [to, staged = std::vector<char>(p, p + bytes)] { std::memcpy(to, staged.data(), staged.size()); });
  }
  return enqueue(s, [=] { std::memmove(to, from, bytes); });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t s) {
  const Lock lock(device().mutex);
  return enqueue(s, [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
  const Lock lock(device().mutex);
  if (flags != cudaStreamNonBlocking) std::abort();
  *s = new CUstream_st;
  device().streams.insert(*s);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  const Lock lock(device().mutex);
  device().drain();
  device().streams.erase(s);
  delete s;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  const Lock lock(device().mutex);
  if (s->capture) {
    s->invalid = true;
    return fail(cudaErrorStreamCaptureUnsupported);
  }
  if (const auto e = unsafe_call()) return e;
  device().run_until([&] { return s->queue.empty(); });
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  const Lock lock(device().mutex);
  if (s->capture) std::abort();
  s->queue.push_back({{}, e->recording});
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  *e = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t e) {
  delete e;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  const Lock lock(device().mutex);
  if (s->capture) std::abort();
  e->recording = ++device().recordings;
  s->queue.push_back({[time = e->time] { *time = now(); }, 0, e->recording});
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  const Lock lock(device().mutex);
  if (const auto error = unsafe_call()) return error;
  device().run_until([&] { return e->recording == 0 || device().reached.count(e->recording); });
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t e) {
  const Lock lock(device().mutex);
  if (const auto error = unsafe_call()) return error;
  return e->recording == 0 || device().reached.count(e->recording) ? cudaSuccess : fail(cudaErrorNotReady);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  *milliseconds = static_cast<float>(*end->time - *begin->time);
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* m) {
  std::swap(mode, *m);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode m) {
  const Lock lock(device().mutex);
  if (s->capture || m != cudaStreamCaptureModeThreadLocal) std::abort();
  s->capture = std::make_unique<CUgraph_st>();
  s->invalid = false;
  capturing = s;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  const Lock lock(device().mutex);
  if (capturing != s) std::abort();
  capturing = nullptr;
  *graph = s->invalid ? nullptr : s->capture.release();
  s->capture.reset();
  return s->invalid ? fail(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new CUgraphExec_st{std::make_shared<CUgraph_st>(*graph)};
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  const Lock lock(device().mutex);
  if (s->capture) std::abort();
  for (const auto& work : exec->graph->work) s->queue.push_back({work});
  s->queue.push_back({[graph = exec->graph] {}});
  device().drift();
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const Lock lock(device().mutex);
  if (exec->graph.use_count() > 1) std::abort();  // while it runs
  delete exec;
  return cudaSuccess;
}

}  // extern "C"
