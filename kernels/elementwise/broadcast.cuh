// y = f(a, b) where an operand repeats along some dimensions.
//
// The shape is a list of dimensions, each with the steps that the operands take along it; a step of zero
// repeats. Dimensions along which both operands go on as before are joined first (on the host), so that a
// scalar operand leaves one dimension, and a bias over the channels of NHWC two. A thread takes N neighbours
// along the fastest one: an operand that is contiguous there is loaded as a vector, one that repeats there as
// one element. Reads each operand once from memory (repeats come out of the caches) and writes y once.
#pragma once

#include "../common/divide.cuh"
#include "2_vectorised.cuh"

KFER_KERNELS_BEGIN

/// The dimensions of y, slowest first, y being contiguous; steps in elements.
struct Broadcast {
  static constexpr int max_dims = 8;
  int dims = 0;
  long long extent[max_dims] = {}, step_a[max_dims] = {}, step_b[max_dims] = {};

  long long size() const {
    long long n = 1;
    for (int d = 0; d < dims; ++d) n *= extent[d];
    return n;
  }
  /// Adds a dimension inside of those that are there, joined with the last if all steps allow it.
  void push(long long n, long long a, long long b) {
    if (n == 1) return;
    if (dims && step_a[dims - 1] == a * n && step_b[dims - 1] == b * n) {
      extent[dims - 1] *= n;
      step_a[dims - 1] = a;
      step_b[dims - 1] = b;
      return;
    }
    extent[dims] = n;
    step_a[dims] = a;
    step_b[dims++] = b;
  }
};

namespace detail {
struct BroadcastSteps {
  int dims;
  Divider<unsigned> extent[Broadcast::max_dims];  // the last one counts vectors
  long long step_a[Broadcast::max_dims], step_b[Broadcast::max_dims];
};

/// N elements along the fastest dimension, along which the operand steps by 0, by 1, or (N = 1) anyhow.
template <int N, class T>
__device__ inline Vec<T, N> load_operand(const T* x, long long step) {
  if (N > 1 && step != 0) return load_vec<N>(x, 0);
  Vec<T, N> v;
#pragma unroll
  for (int k = 0; k < N; ++k) v[k] = *x;
  return v;
}
}  // namespace detail

/// Any grid. For N > 1: the fastest extent and all steps but the fastest are multiples of N, pointers are
/// aligned to N elements, and the fastest steps are 0 or 1.
template <int N, class F, class T, class... Same>
__global__ void __launch_bounds__(256)
    broadcast_map(F f, detail::BroadcastSteps shape, unsigned vectors, T* y, const T* __restrict__ a,
                  const T* __restrict__ b, const Same*... same) {
  const unsigned stride = gridDim.x * blockDim.x;
  for (unsigned at = blockIdx.x * blockDim.x + threadIdx.x; at < vectors; at += stride) {
    unsigned rest = at, index = 0;
    long long ia = 0, ib = 0;
    for (int d = shape.dims - 1; d >= 0; --d) {
      rest = shape.extent[d].divide(rest, index);
      if (d == shape.dims - 1) index *= N;
      ia += index * shape.step_a[d];
      ib += index * shape.step_b[d];
    }
    const Vec<T, N> p = detail::load_operand<N>(a + ia, shape.step_a[shape.dims - 1]),
                    q = detail::load_operand<N>(b + ib, shape.step_b[shape.dims - 1]);
    store_vec(y, at, detail::map_vec<T, N>(f, p, q, load_vec<N>(same, at)...));
  }
}

namespace detail {
template <int N, class F, class T, class... Same>
void launch_broadcast(F f, const Broadcast& shape, const T* a, const T* b, T* y, Stream stream,
                      const Same*... same) {
  BroadcastSteps steps;
  steps.dims = shape.dims;
  for (int d = 0; d < shape.dims; ++d) {
    steps.extent[d] = Divider<unsigned>(d == shape.dims - 1 ? shape.extent[d] / N : shape.extent[d]);
    steps.step_a[d] = shape.step_a[d];
    steps.step_b[d] = shape.step_b[d];
  }
  const long long vectors = shape.size() / N;
  launch(broadcast_map<N, F, T, Same...>, dim3(grid_blocks(vectors, 256)), dim3(256), 0, stream, f, steps,
         static_cast<unsigned>(vectors), y, a, b, same...);
}
/// Whether an operand can be read N elements at a time.
inline bool broadcast_steps_fit(const long long* step, int dims, int n) {
  for (int d = 0; d + 1 < dims; ++d)
    if (step[d] % n != 0) return false;
  return step[dims - 1] == 0 || step[dims - 1] == 1;
}
}  // namespace detail

KFER_KERNELS_END
