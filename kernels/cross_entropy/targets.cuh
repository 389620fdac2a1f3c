// What softmax cross-entropy compares with: a label a row, or a distribution over classes a row.
//
//   q[c] = weight[c] (rest t[c] + spread),  rest = 1 - smoothing, spread = smoothing / classes
//   loss of a row = -sum of q[c] log softmax(x)[c],  gradient = softmax(x)[c] (sum of q) - q[c]
#pragma once

#include <cstdint>

#include "../common/row.cuh"

KFER_KERNELS_BEGIN

template <class T>
struct LabelTargets {
  const std::int64_t* labels;
  static constexpr bool vectors = true;  // nothing to read that would have to be aligned

  __device__ bool accepts(long long row, long long cols) const {
    return labels[row] >= 0 && labels[row] < cols;
  }
  /// The elements of a row at columns [c, c + N).
  template <int N>
  __device__ void load(long long row, long long, long long c, accum_t<T> (&t)[N]) const {
    const long long label = labels[row];
#pragma unroll
    for (int j = 0; j < N; ++j) t[j] = accum_t<T>(label == c + j ? 1 : 0);
  }
};

template <class T>
struct SoftTargets {
  const T* targets;
  bool vectors;  ///< aligned to 16 bytes

  __device__ bool accepts(long long, long long) const { return true; }
  template <int N>
  __device__ void load(long long row, long long cols, long long c, accum_t<T> (&t)[N]) const {
    const Vec<T, N> v = load_vec<N>(targets + row * cols + c, 0);
#pragma unroll
    for (int j = 0; j < N; ++j) t[j] = widen(v[j]);
  }
};

template <class T>
struct ClassWeights {
  const T* weights;  ///< [cols], or null for 1
  accum_t<T> rest, spread;

  ClassWeights(const T* weights, double smoothing, long long cols)
      : weights(weights),
        rest(static_cast<accum_t<T>>(1 - smoothing)),
        spread(static_cast<accum_t<T>>(smoothing / static_cast<double>(cols))) {}
  /// q from t, at column c.
  __device__ accum_t<T> of(accum_t<T> t, long long c) const {
    return (weights ? widen(weights[c]) : accum_t<T>(1)) * (rest * t + spread);
  }
};

/// -q log p, where a share of nothing costs nothing even if p is 0.
template <class A>
__device__ inline A log_cost(A q, A log_p) {
  return q != A(0) ? -q * log_p : A(0);
}

KFER_KERNELS_END
