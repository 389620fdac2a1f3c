// The product of two matrices.
#pragma once

#include "kfer/autograd/variable.hpp"

namespace kfer {

struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
};

/// run(a, b, options) -> op(a) op(b), row-major. One specialisation a device and type.
template <FloatingElement T, class D>
struct matmul_impl;

namespace detail {
/// {m, n, k} of op(a) [m, k] and op(b) [k, n]. Throws ShapeError naming both shapes.
struct MatmulShape {
  std::int64_t m, n, k;
  static MatmulShape of(const Shape& a, const Shape& b, const MatmulOptions& o) {
    require<ShapeError>(a.rank() == 2 && b.rank() == 2, "matmul: expected two matrices, got ", a, " and ", b);
    const MatmulShape s{a[o.transpose_a ? 1 : 0], b[o.transpose_b ? 0 : 1], a[o.transpose_a ? 0 : 1]};
    require<ShapeError>(b[o.transpose_b ? 1 : 0] == s.k, "matmul: the inner extents of ", a,
                        o.transpose_a ? " (transposed)" : "", " and ", b,
                        o.transpose_b ? " (transposed)" : "", " differ: ", s.k, " and ",
                        b[o.transpose_b ? 1 : 0]);
    return s;
  }
};

template <FloatingElement T, class D>
struct MatmulBackward {
  MatmulOptions options;
  Tensor<T, D> a, b;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    const auto [ta, tb] = options;
    using impl = matmul_impl<T, D>;
    if (grads.wants(0)) grads.add(0, ta ? impl::run(b, dy, {tb, true}) : impl::run(dy, b, {false, !tb}));
    if (grads.wants(1)) grads.add(1, tb ? impl::run(dy, a, {true, ta}) : impl::run(a, dy, {!ta, false}));
  }
};
}  // namespace detail

/// op(a) op(b), where op transposes if the options say so: [m, k] x [k, n] -> [m, n]. Differentiable in both.
/// Throws ShapeError naming both shapes.
template <FloatingElement T, class D>
Variable<T, D> matmul(const Variable<T, D>& a, const Variable<T, D>& b, const MatmulOptions& options = {}) {
  static_cast<void>(detail::MatmulShape::of(a.shape(), b.shape(), options));
  return record(matmul_impl<T, D>::run(a.value(), b.value(), options), {a, b},
                detail::MatmulBackward<T, D>{options, a.value(), b.value()});
}

}  // namespace kfer
