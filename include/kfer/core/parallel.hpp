// Threads of the Cpu: one OpenMP pool, shared with oneDNN. Loops over it are split statically, so that with a
// given number of threads every sum is formed in the same order and results repeat bit for bit.
#pragma once

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

namespace kfer {

/// Threads that parallel loops started by this thread use (OMP_NUM_THREADS, or `set_num_threads`).
inline int num_threads() {
  return omp_get_max_threads();
}
inline void set_num_threads(int n) {
  omp_set_num_threads(std::max(1, n));
}

/// Calls `body(thread, begin, end)` once per thread on contiguous parts of [0, n) that are multiples of
/// `grain` >= 1 (the last one may be ragged). Runs on the calling thread alone when there is only one grain
/// of work. An exception of a body (the first one, if several throw) reaches the caller when all threads are
/// done.
template <class Body>
void parallel_ranges(std::int64_t n, std::int64_t grain, const Body& body) {
  if (n <= 0) return;
  const std::int64_t grains = n / grain + (n % grain != 0);
  const int threads = static_cast<int>(std::min<std::int64_t>(num_threads(), grains));
  if (threads <= 1 || omp_in_parallel()) return body(0, std::int64_t{0}, n);
  std::exception_ptr failure;
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t t = omp_get_thread_num(), parts = omp_get_num_threads();
    const std::int64_t begin = grains * t / parts * grain,
                       end = t + 1 == parts ? n : grains * (t + 1) / parts * grain;
    try {
      if (begin < end) body(static_cast<int>(t), begin, end);
    } catch (...) {  // must not leave the parallel region
#pragma omp critical(kfer_parallel_failure)
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

/// Calls `body(i)` for every i in [0, n), in contiguous static parts.
template <class Body>
void parallel_for(std::int64_t n, const Body& body) {
  parallel_ranges(n, 1, [&](int, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) body(i);
  });
}

}  // namespace kfer
