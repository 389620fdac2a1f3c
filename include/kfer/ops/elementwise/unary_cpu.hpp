// Elementwise operations of one tensor on the Cpu, and the sum of gradients.
#pragma once

#include "kfer/core/simd_math.hpp"
#include "kfer/ops/elementwise/unary.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {
namespace detail {
/// Elements a thread takes at a time: large enough to hide its start, a multiple of every vector width.
inline constexpr std::int64_t elementwise_grain = 16384;

/// Functors whose value on floats has a vector form, which compilers do not find by themselves.
template <class F>
struct VectorForm {
  static constexpr bool exists = false;
};
template <>
struct VectorForm<SigmoidFunctor> {
  static constexpr bool exists = true;
  template <int W>
  [[gnu::always_inline]] static simd_f32<W> value(simd_f32<W> x) {
    return simd_sigmoid<W>(x);
  }
};
template <>
struct VectorForm<SiluFunctor> {
  static constexpr bool exists = true;
  template <int W>
  [[gnu::always_inline]] static simd_f32<W> value(simd_f32<W> x) {
    return x * simd_sigmoid<W>(x);
  }
};
template <>
struct VectorForm<ExpFunctor> {
  static constexpr bool exists = true;
  template <int W>
  [[gnu::always_inline]] static simd_f32<W> value(simd_f32<W> x) {
    return simd_exp<W>(x);
  }
};

/// y[i] = form(x[i]) for i in [begin, end); the ragged end goes through a padded vector, so that an element's
/// value does not depend on where it stands.
template <class Form>
void vector_map(const float* x, float* y, std::int64_t begin, std::int64_t end) {
  constexpr int W = simd_width;
  std::int64_t i = begin;
  for (; i + W <= end; i += W) simd_store<W>(y + i, Form::template value<W>(simd_load<W>(x + i)));
  if (i == end) return;
  float rest[W] = {};
  std::copy(x + i, x + end, rest);
  simd_store<W>(rest, Form::template value<W>(simd_load<W>(rest)));
  std::copy(rest, rest + (end - i), y + i);
}
}  // namespace detail

template <class F, FloatingElement T>
struct unary_impl<F, T, Cpu> {
  static Tensor<T, Cpu> forward(F f, const Tensor<T, Cpu>& input) {
    const Tensor<T, Cpu> x = unpadded(input);
    Tensor<T, Cpu> out(x.shape(), x.layout());
    const T* p = x.data();
    T* y = out.mutable_data();
    parallel_ranges(x.storage_size(), detail::elementwise_grain,
                    [=](int, std::int64_t begin, std::int64_t end) {
                      if constexpr (std::is_same_v<T, float> && detail::VectorForm<F>::exists) {
                        detail::vector_map<detail::VectorForm<F>>(p, y, begin, end);
                      } else {
                        for (std::int64_t i = begin; i < end; ++i) y[i] = f.value(p[i]);
                      }
                    });
    return out;
  }

  static Tensor<T, Cpu> backward(F f, const Tensor<T, Cpu>& input, const Tensor<T, Cpu>& output,
                                 Tensor<T, Cpu> dy) {
    const Tensor<T, Cpu> x = input.to(output.layout());
    dy = dy.to(output.layout());
    const T *p = x.data(), *y = output.data();
    T* d = dy.mutable_data();
    parallel_ranges(dy.storage_size(), detail::elementwise_grain,
                    [=](int, std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) d[i] *= f.derivative(p[i], y[i]);
                    });
    return dy;
  }

 private:
  /// The padding of a layout is zero and must stay so; functors that would change it work on row-major order.
  static Tensor<T, Cpu> unpadded(const Tensor<T, Cpu>& x) {
    return F::keeps_zero || !x.layout().has_padding(x.shape()) ? x : x.row_major();
  }
};

template <FloatingElement T>
struct accumulate_impl<T, Cpu> {
  static void run(Tensor<T, Cpu>& sum, const Tensor<T, Cpu>& more) {
    const Tensor<T, Cpu> other = more.to(sum.layout());
    const T* m = other.data();
    T* s = sum.mutable_data();
    parallel_ranges(sum.storage_size(), detail::elementwise_grain,
                    [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
                      for (std::int64_t i = begin; i < end; ++i) s[i] = static_cast<T>(s[i] + m[i]);
                    });
  }
};

}  // namespace kfer
