// Vectorised access: N elements of T as one load or store of up to 16 bytes, the widest that a thread can
// make.
#pragma once

#include "bf16.cuh"

KFER_KERNELS_BEGIN

/// N consecutive elements, aligned as one.
template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T v[N];
  __host__ __device__ T& operator[](int i) { return v[i]; }
  __host__ __device__ const T& operator[](int i) const { return v[i]; }
};

/// Elements of T in 16 bytes.
template <class T>
inline constexpr int vec_width = static_cast<int>(16 / sizeof(T));

/// Elements [i N, i N + N) of p, which is aligned to N elements.
template <int N, class T>
__device__ inline Vec<T, N> load_vec(const T* p, long long i) {
  return reinterpret_cast<const Vec<T, N>*>(p)[i];
}
template <int N, class T>
__device__ inline void store_vec(T* p, long long i, const Vec<T, N>& v) {
  reinterpret_cast<Vec<T, N>*>(p)[i] = v;
}
/// The same of sums, narrowed.
template <class T, int N>
__device__ inline void store_sums(T* p, long long i, const accum_t<T> (&sums)[N]) {
  Vec<T, N> v;
#pragma unroll
  for (int k = 0; k < N; ++k) v[k] = narrow<T>(sums[k]);
  store_vec(p, i, v);
}
template <class T, int N>
__device__ inline void add_to_sums(accum_t<T> (&sums)[N], const Vec<T, N>& v) {
#pragma unroll
  for (int k = 0; k < N; ++k) sums[k] += widen(v[k]);
}

/// Whether every pointer can be read and written 16 bytes at a time.
template <class... P>
inline bool aligned16(const P*... p) {
  return ((reinterpret_cast<unsigned long long>(p) % 16 == 0) && ...);
}

KFER_KERNELS_END
