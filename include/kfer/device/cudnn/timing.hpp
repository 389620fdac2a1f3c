// The time of work on a stream, by the device's clock.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "kfer/core/error.hpp"

namespace kfer::cudnn {

namespace detail {
inline void check_cuda(cudaError_t status, std::string_view call) {
  if (status != cudaSuccess) [[unlikely]]
    throw DeviceError(text(call, ": ", cudaGetErrorString(status)));
}

/// A mark on a stream.
class Event {
 public:
  Event() { check_cuda(cudaEventCreate(&event_), "cudaEventCreate"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }

  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  /// Waits for both marks.
  static float milliseconds(const Event& from, const Event& to) {
    check_cuda(cudaEventSynchronize(to.event_), "cudaEventSynchronize");
    float out = 0;
    check_cuda(cudaEventElapsedTime(&out, from.event_, to.event_), "cudaEventElapsedTime");
    return out;
  }

 private:
  cudaEvent_t event_ = nullptr;
};
}  // namespace detail

/// Median time in milliseconds of `runs` calls of `work`, which queues work on `stream`, after one call that is not
/// counted. Waits for the device. Throws what `work` throws, and DeviceError.
template <class Work>
double median_milliseconds(cudaStream_t stream, int runs, const Work& work) {
  work();
  std::vector<detail::Event> marks(static_cast<std::size_t>(runs) + 1);
  marks[0].record(stream);
  for (int i = 0; i < runs; ++i) {
    work();
    marks[static_cast<std::size_t>(i) + 1].record(stream);
  }
  std::vector<float> times;
  for (int i = 0; i < runs; ++i)
    times.push_back(detail::Event::milliseconds(marks[static_cast<std::size_t>(i)], marks[static_cast<std::size_t>(i) + 1]));
  const auto middle = times.begin() + runs / 2;
  std::ranges::nth_element(times, middle);
  return *middle;
}

}  // namespace kfer::cudnn
