// The product of two matrices on the Cpu.
#pragma once

#include "kfer/device/cpu_gemm.hpp"
#include "kfer/ops/matmul/matmul_reference.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <>
struct matmul_impl<float, Cpu> {
  static Tensor<float, Cpu> run(const Tensor<float, Cpu>& a, const Tensor<float, Cpu>& b,
                                const MatmulOptions& o) {
    const auto [m, n, k] = detail::MatmulShape::of(a.shape(), b.shape(), o);
    const Tensor<float, Cpu> p = a.row_major(), q = b.row_major();
    Tensor<float, Cpu> y({m, n});
    cpu::gemm(o.transpose_a, o.transpose_b, m, n, k, p.data(), std::max<std::int64_t>(1, a.shape()[1]),
              q.data(), std::max<std::int64_t>(1, b.shape()[1]), y.mutable_data(), n);
    return y;
  }
};

template <>
struct matmul_impl<double, Cpu> {
  static Tensor<double, Cpu> run(const Tensor<double, Cpu>& a, const Tensor<double, Cpu>& b,
                                 const MatmulOptions& o) {
    return reference::matmul(a, b, o);
  }
};

}  // namespace kfer
