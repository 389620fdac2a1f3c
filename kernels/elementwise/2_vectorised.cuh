// y[i] = f(x0[i], x1[i], ...), 16 bytes a thread.
//
// The widest load there is: a quarter (float) or an eighth (bf16) of the naive kernel's instructions and
// address arithmetic for the same bytes, and four to eight times the bytes on the way from each thread.
#pragma once

#include "../common/grid.cuh"
#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// Elements a thread takes at a time: 16 bytes of the widest type, so that no access is wider than that.
template <class... T>
inline constexpr int map_width = [] {
  int widest = 1;
  ((widest = static_cast<int>(sizeof(T)) > widest ? static_cast<int>(sizeof(T)) : widest), ...);
  return 16 / widest;
}();

namespace detail {
/// f of N elements of each operand.
template <class Out, int N, class F, class... In>
__device__ inline Vec<Out, N> map_vec(const F& f, const Vec<In, N>&... x) {
  Vec<Out, N> y;
#pragma unroll
  for (int k = 0; k < N; ++k) y[k] = f(x[k]...);
  return y;
}
/// What whole vectors leave, fewer than one: an element each for the first threads of the grid.
template <int N, class F, class Out, class... In>
__device__ inline void map_rest(const F& f, long long n, Out* y, const In*... x) {
  const long long i = n / N * N + threadIdx.x;
  if (blockIdx.x == 0 && i < n) y[i] = f(x[i]...);
}
}  // namespace detail

/// Grid: n / N threads, rounded up to whole blocks. Pointers are aligned to N elements. y may be one of the
/// operands.
template <int N, class F, class Out, class... In>
__global__ void __launch_bounds__(256) map_vectorised(F f, long long n, Out* y, const In*... x) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n / N) store_vec(y, i, detail::map_vec<Out, N>(f, load_vec<N>(x, i)...));
  detail::map_rest<N>(f, n, y, x...);
}

KFER_KERNELS_END
