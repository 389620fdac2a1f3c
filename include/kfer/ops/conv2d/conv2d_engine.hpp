// Convolutions of float and bfloat16 on Cuda: by cuDNN, and by kfer's own kernels what cuDNN has no engine
// for.
#pragma once

#if defined(__CUDACC__)

#include "kfer/ops/conv2d/conv2d_cuda.hpp"
#include "kfer/ops/conv2d/conv2d_cudnn.hpp"

namespace kfer::detail {

/// Shapes without elements, which cuDNN refuses, and shapes for which it has no plan that keeps to
/// Cuda::math(), go to the kernels, which take any.
template <FloatingElement T>
struct ConvLibrary {
  using Tn = Tensor<T, Cuda>;
  using Library = ConvCudnn<T>;
  using Kernels = ConvKernels<T, Cuda>;

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias, bool relu) {
    return choose(
        s, [&] { return Library::forward(s, x, w, bias, relu); },
        [&] { return Kernels::forward(s, x, w, bias, relu); });
  }
  static Tn backward_data(const Conv2dShape& s, const Tn& w, const Tn& dy) {
    return choose(
        s, [&] { return Library::backward_data(s, w, dy); },
        [&] { return Kernels::backward_data(s, w, dy); });
  }
  static Tn backward_weights(const Conv2dShape& s, const Tn& x, const Tn& dy) {
    return choose(
        s, [&] { return Library::backward_weights(s, x, dy); },
        [&] { return Kernels::backward_weights(s, x, dy); });
  }

 private:
  template <class A, class B>
  static Tn choose(const Conv2dShape& s, const A& library, const B& kernels) {
    if (s.input().numel() == 0 || s.weight().numel() == 0 || s.output().numel() == 0) return kernels();
    try {
      return library();
    } catch (const cudnn::NoPlanError&) {
      return kernels();
    }
  }
};

template <>
struct ConvEngine<float, Cuda> : ConvLibrary<float> {};
template <>
struct ConvEngine<bfloat16, Cuda> : ConvLibrary<bfloat16> {};

}  // namespace kfer::detail

#endif
