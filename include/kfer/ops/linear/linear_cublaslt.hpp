// The fully connected layer's products in float and bfloat16 by cuBLASLt: bias and ReLU are part of the
// product, and the gradient of the bias is a by-product of that of the weight, both of which read dy. What
// the library has no algorithm for, kernels/gemm computes.
#pragma once

#if defined(__CUDACC__)  // the whole file: for other compilers, the Cuda backend means Simt

#include "kfer/device/cublaslt.hpp"
#include "kfer/ops/linear/linear_cuda.hpp"

namespace kfer::detail {

template <class T>
struct LinearByCublaslt {
  using Tn = Tensor<T, Cuda>;
  using Kernels = LinearByKernels<T, Cuda>;
  using Matmul = cublaslt::Matmul<T>;
  using Epilogue = cublaslt::Epilogue;

  static void forward(const LinearShape& s, const Tn& x, const Tn& w, const Tn* bias, bool relu, Tn& y) {
    const Matmul product{.m = s.batch,
                         .n = s.out,
                         .k = s.in,
                         .a = x.data(),
                         .lda = s.in,
                         .b = w.data(),
                         .ldb = s.in,
                         .c = y.mutable_data(),
                         .ldc = s.out,
                         .transpose_b = true,
                         .epilogue = bias   ? (relu ? Epilogue::relu_bias : Epilogue::bias)
                                     : relu ? Epilogue::relu
                                            : Epilogue::none,
                         .bias = bias ? bias->data() : nullptr};
    if (s.in == 0 || !cublaslt::try_matmul(product)) Kernels::forward(s, x, w, bias, relu, y);
  }

  static void backward_data(const LinearShape& s, const Tn& dy, const Tn& w, Tn& dx) {
    const Matmul product{.m = s.batch,
                         .n = s.in,
                         .k = s.out,
                         .a = dy.data(),
                         .lda = s.out,
                         .b = w.data(),
                         .ldb = s.in,
                         .c = dx.mutable_data(),
                         .ldc = s.in};
    if (s.out == 0 || !cublaslt::try_matmul(product)) Kernels::backward_data(s, dy, w, dx);
  }

  static void backward_weights(const LinearShape& s, const Tn& dy, const Tn& x, Tn& dw, Tn* db) {
    if (s.batch == 0) return Kernels::backward_weights(s, dy, x, dw, db);
    Matmul product{.m = s.out,
                   .n = s.in,
                   .k = s.batch,
                   .a = dy.data(),
                   .lda = s.out,
                   .b = x.data(),
                   .ldb = s.in,
                   .c = dw.mutable_data(),
                   .ldc = s.in,
                   .transpose_a = true};
    if (db) {
      product.epilogue = Epilogue::sums_of_a;
      product.sums = db->mutable_data();
      if (cublaslt::try_matmul(product)) return;
      // Not every shape and type has an algorithm with that epilogue.
      product.epilogue = Epilogue::none;
      product.sums = nullptr;
      Kernels::backward_bias(s, dy, *db);
    }
    if (!cublaslt::try_matmul(product)) Kernels::backward_weights(s, dy, x, dw, nullptr);
  }

  static void backward_bias(const LinearShape& s, const Tn& dy, Tn& db) { Kernels::backward_bias(s, dy, db); }
};

template <>
struct LinearProducts<float, Cuda> : LinearByCublaslt<float> {};
template <>
struct LinearProducts<bfloat16, Cuda> : LinearByCublaslt<bfloat16> {};

}  // namespace kfer::detail

#endif
