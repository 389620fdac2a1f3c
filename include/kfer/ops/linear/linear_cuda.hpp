// The fully connected layer on a GPU.
#pragma once

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/gemm/shipped.cuh"
#include "kfer/kernels/reduce/shipped.cuh"
#include "kfer/ops/dropout/dropout_cuda.hpp"
#include "kfer/ops/linear/linear.hpp"

namespace kfer {
namespace detail {

/// The layer's three products by the kernels of kernels/gemm. No result is empty; a sum may be.
template <FloatingElement T, Gpu D>
struct LinearByKernels {
  using Tn = Tensor<T, D>;
  using E = kernel_t<T>;

  /// y [batch, out] = x w^T + bias, then ReLU if asked for.
  static void forward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* bias, bool relu, Tn& y) {
    kernels::gemm(kernels::Gemm<E>{.m = s.batch,
                                   .n = s.out,
                                   .k = s.in,
                                   .a = raw(x.data()),
                                   .lda = s.in,
                                   .b = raw(w.data()),
                                   .ldb = s.in,
                                   .c = raw(y.mutable_data()),
                                   .ldc = s.out,
                                   .transpose_b = true,
                                   .bias = bias ? raw(bias->data()) : nullptr,
                                   .relu = relu},
                  D::stream());
  }

  /// dx [batch, in] = dy w.
  static void backward_data(const LinearShape& s, const Tn& dy, const Tn& w, Tn& dx) {
    kernels::gemm(kernels::Gemm<E>{.m = s.batch,
                                   .n = s.in,
                                   .k = s.out,
                                   .a = raw(dy.data()),
                                   .lda = s.out,
                                   .b = raw(w.data()),
                                   .ldb = s.in,
                                   .c = raw(dx.mutable_data()),
                                   .ldc = s.in},
                  D::stream());
  }

  /// dw [out, in] = dy^T x; db [out], if not null, = the sum of dy's rows.
  static void backward_weights(const LinearShape& s, const Tn& dy, const Tn& x, Tn& dw, Tn* db) {
    kernels::gemm(kernels::Gemm<E>{.m = s.out,
                                   .n = s.in,
                                   .k = s.batch,
                                   .a = raw(dy.data()),
                                   .lda = s.out,
                                   .b = raw(x.data()),
                                   .ldb = s.in,
                                   .c = raw(dw.mutable_data()),
                                   .ldc = s.in,
                                   .transpose_a = true},
                  D::stream());
    if (db) backward_bias(s, dy, *db);
  }

  static void backward_bias(const LinearShape& s, const Tn& dy, Tn& db) {
    const Buffer<D> workspace(kernels::channel_sums_workspace<E>(s.batch, s.out));
    kernels::channel_sums(raw(dy.data()), raw(db.mutable_data()), s.batch, s.out, workspace.data(),
                          D::stream());
  }
};

/// Who computes the products: the kernels, except for float and bfloat16 on Cuda (linear_cublaslt.hpp).
template <FloatingElement T, Gpu D>
struct LinearProducts : LinearByKernels<T, D> {};

}  // namespace detail

template <FloatingElement T, Gpu D>
struct linear_impl<T, D> {
  using Tn = Tensor<T, D>;
  using Products = detail::LinearProducts<T, D>;

  static Tn forward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const LinearOptions& options) {
    Tn y({s.batch, s.out});
    if (y.numel() == 0) return y;
    Products::forward(s, x, w, bias, options.relu, y);
    detail::bias_relu_dropout<T, D>(y, nullptr, false, options.dropout);
    return y;
  }

  static LinearGrads<T, D> backward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                    const LinearOptions& options, const LinearWants& wants) {
    if (y)
      dy =
          detail::relu_dropout_backward(*y, std::move(dy), options.dropout ? options.dropout->scale() : 1.0f);
    LinearGrads<T, D> grads;
    if (wants.x) {
      grads.x = Tn({s.batch, s.in});
      if (grads.x.numel()) Products::backward_data(s, dy, w, grads.x);
    }
    if (wants.bias) grads.bias = Tn({s.out});
    if (wants.w) grads.w = Tn({s.out, s.in});
    Tn* db = wants.bias && s.out ? &grads.bias : nullptr;
    if (grads.w.numel())
      Products::backward_weights(s, dy, x, grads.w, db);
    else if (db)
      Products::backward_bias(s, dy, *db);
    return grads;
  }
};

}  // namespace kfer

#if defined(__CUDACC__)
#include "kfer/ops/linear/linear_cublaslt.hpp"
#endif
