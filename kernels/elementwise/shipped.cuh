// The elementwise kernels that ship: map_unrolled where pointers are aligned, map_naive elsewhere, and what
// stands on them: functions of one and two tensors with their gradients, sums, casts, fills.
//
// A functor comes as a template parameter and offers value(x) and derivative(x, y), or value(a, b) and the
// derivatives derivative_a(a, b) and derivative_b(a, b), for accum_t<T>, in which all arithmetic is done.
#pragma once

#include "../common/convert.cuh"
#include "1_naive.cuh"
#include "3_unrolled.cuh"
#include "broadcast.cuh"

KFER_KERNELS_BEGIN

/// y[i] = f(x0[i], x1[i], ...) for i < n. `f` takes elements as they are stored. y may be one of the
/// operands.
template <class F, class Out, class... In>
void map(F f, long long n, Out* y, Stream stream, const In*... x) {
  if (n == 0) return;
  constexpr int N = map_width<Out, In...>, U = sizeof...(In) > 1 ? 2 : 4, threads = 256;
  if (aligned16(y, x...) && n >= N)
    launch(map_unrolled<N, U, F, Out, In...>, dim3(grid_blocks(n / N, threads * U)), dim3(threads), 0, stream,
           f, n, y, x...);
  else
    launch(map_naive<F, Out, In...>, dim3(static_cast<unsigned>(div_up(n, threads))), dim3(threads), 0,
           stream, f, n, y, x...);
}

namespace detail {
/// broadcast, with at most `most` elements a launch.
template <class F, class T, class... Same>
void broadcast(long long most, F f, const Broadcast& shape, const T* a, const T* b, T* y, Stream stream,
               const Same*... same) {
  constexpr int N = vec_width<T>;
  const int last = shape.dims - 1;
  const long long size = shape.size();
  if (size == 0) return;
  if (last < 0 || (last == 0 && shape.step_a[0] == 1 && shape.step_b[0] == 1))
    return map(f, size, y, stream, a, b, same...);
  if (size > most) {  // halves along the slowest dimension that there is, the first of whole vectors
    int d = 0;
    long long inner = size / shape.extent[0];
    while (shape.extent[d] == 1) inner /= shape.extent[++d];
    const long long all = shape.extent[d], half = all > 2 * N ? all / (2 * N) * N : all / 2;
    Broadcast first = shape, second = shape;
    first.extent[d] = half;
    second.extent[d] = all - half;
    broadcast(most, f, first, a, b, y, stream, same...);
    return broadcast(most, f, second, a + half * shape.step_a[d], b + half * shape.step_b[d],
                     y + half * inner, stream, (same + half * inner)...);
  }
  if (shape.extent[last] % N == 0 && aligned16(a, b, y, same...) &&
      broadcast_steps_fit(shape.step_a, shape.dims, N) && broadcast_steps_fit(shape.step_b, shape.dims, N))
    return launch_broadcast<N>(f, shape, a, b, y, stream, same...);
  launch_broadcast<1>(f, shape, a, b, y, stream, same...);
}
}  // namespace detail

/// y = f(a, b, same...) over `shape`; operands after b have y's own shape, and y may be one of them. f takes
/// elements as they are stored.
template <class F, class T, class... Same>
void broadcast(F f, const Broadcast& shape, const T* a, const T* b, T* y, Stream stream,
               const Same*... same) {
  detail::broadcast(most_indexed, f, shape, a, b, y, stream, same...);
}

namespace detail {
template <class F, class T>
struct UnaryValue {
  F f;
  __host__ __device__ T operator()(T x) const { return narrow<T>(f.value(widen(x))); }
};
template <class F, class T>
struct UnaryGradient {
  F f;
  __host__ __device__ T operator()(T dy, T x, T y) const {
    return narrow<T>(widen(dy) * f.derivative(widen(x), widen(y)));
  }
};
template <class F, class T>
struct BinaryValue {
  F f;
  __host__ __device__ T operator()(T a, T b) const { return narrow<T>(f.value(widen(a), widen(b))); }
};
template <class F, class T>
struct BinaryGradientA {
  F f;
  __host__ __device__ T operator()(T a, T b, T dy) const {
    return narrow<T>(widen(dy) * f.derivative_a(widen(a), widen(b)));
  }
};
template <class F, class T>
struct BinaryGradientB {
  F f;
  __host__ __device__ T operator()(T a, T b, T dy) const {
    return narrow<T>(widen(dy) * f.derivative_b(widen(a), widen(b)));
  }
};
template <class T>
struct Scaled {
  accum_t<T> factor;
  __host__ __device__ T operator()(T x, T) const { return narrow<T>(widen(x) * factor); }
};
template <class T>
struct Plus {
  __host__ __device__ T operator()(T a, T b) const { return narrow<T>(widen(a) + widen(b)); }
};
template <class T>
struct Constant {
  T value;
  __host__ __device__ T operator()() const { return value; }
};
}  // namespace detail

/// y = f(x).
template <class F, class T>
void unary_forward(F f, const T* x, T* y, long long n, Stream stream) {
  map(detail::UnaryValue<F, T>{f}, n, y, stream, x);
}
/// dx = dy * f'(x), where y = f(x). dx may be dy. What the derivative does not use is not read.
template <class F, class T>
void unary_backward(F f, const T* dy, const T* x, const T* y, T* dx, long long n, Stream stream) {
  map(detail::UnaryGradient<F, T>{f}, n, dx, stream, dy, x, y);
}

/// y = f(a, b), repeated to `shape`.
template <class F, class T>
void binary_forward(F f, const Broadcast& shape, const T* a, const T* b, T* y, Stream stream) {
  broadcast(detail::BinaryValue<F, T>{f}, shape, a, b, y, stream);
}
/// g = dy * df/da over `shape`; the gradient of a is its sum over the dimensions that a repeats along. g may
/// be dy.
template <class F, class T>
void binary_backward_a(F f, const Broadcast& shape, const T* dy, const T* a, const T* b, T* g,
                       Stream stream) {
  broadcast(detail::BinaryGradientA<F, T>{f}, shape, a, b, g, stream, dy);
}
/// g = dy * df/db over `shape`; the gradient of b is its sum over the dimensions that b repeats along. g may
/// be dy.
template <class F, class T>
void binary_backward_b(F f, const Broadcast& shape, const T* dy, const T* a, const T* b, T* g,
                       Stream stream) {
  broadcast(detail::BinaryGradientB<F, T>{f}, shape, a, b, g, stream, dy);
}
/// y = factor * x, repeated to `shape`, whose operands are both x.
template <class T>
void expand(const Broadcast& shape, const T* x, T* y, accum_t<T> factor, Stream stream) {
  broadcast(detail::Scaled<T>{factor}, shape, x, x, y, stream);
}

/// sum[i] += more[i]: what gradients of a value used twice need.
template <class T>
void accumulate(T* sum, const T* more, long long n, Stream stream) {
  map(detail::Plus<T>{}, n, sum, stream, static_cast<const T*>(sum), more);
}
/// y = x in another floating type.
template <class To, class From>
void cast(const From* x, To* y, long long n, Stream stream) {
  map(Convert<To, From>{}, n, y, stream, x);
}
/// y[i] = value, for any element type.
template <class T>
void fill(T* y, T value, long long n, Stream stream) {
  map(detail::Constant<T>{value}, n, y, stream);
}

KFER_KERNELS_END
