// Streams and events as owners; time between two events.
#pragma once

#include <utility>

#include "kfer/device/cuda/error.hpp"

namespace kfer::cuda {

/// A stream that does not wait for the default stream.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreateWithFlags"); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }

  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in the work of a stream. An event that was never recorded counts as reached.
class Event {
 public:
  enum class Timing { off, on };

  explicit Event(Timing timing = Timing::off) {
    check(cudaEventCreateWithFlags(&event_, timing == Timing::on ? cudaEventDefault : cudaEventDisableTiming),
          "cudaEventCreateWithFlags");
  }
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~Event() {
    if (event_) static_cast<void>(cudaEventDestroy(event_));
  }

  cudaEvent_t get() const { return event_; }

  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  /// Later work of `stream` begins after what was recorded.
  void make_wait(cudaStream_t stream) const {
    check(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  /// Blocks the calling thread until what was recorded is done; reports errors of that work.
  void wait() const { check(cudaEventSynchronize(event_), "cudaEventSynchronize"); }
  bool reached() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) {
      static_cast<void>(cudaGetLastError());
      return false;
    }
    check(status, "cudaEventQuery");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

/// Seconds that the work `enqueue()` puts on `stream` takes there. Waits for it.
template <class Enqueue>
double seconds_on(cudaStream_t stream, Enqueue&& enqueue) {
  Event begin(Event::Timing::on), end(Event::Timing::on);
  begin.record(stream);
  enqueue();
  end.record(stream);
  end.wait();
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), "cudaEventElapsedTime");
  return milliseconds * 1e-3;
}

}  // namespace kfer::cuda
