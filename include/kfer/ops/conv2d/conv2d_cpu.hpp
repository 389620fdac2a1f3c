// 2-D convolution on the Cpu: float by oneDNN, Winograd or a direct loop, double by the reference loops.
#pragma once

#include "kfer/ops/conv2d/conv2d_dnnl.hpp"
#include "kfer/ops/conv2d/conv2d_narrow.hpp"
#include "kfer/ops/conv2d/conv2d_reference.hpp"
#include "kfer/ops/conv2d/conv2d_winograd.hpp"

namespace kfer {

template <>
struct conv2d_impl<double, Cpu> {
  static Layout weight_layout(const Conv2dShape&) { return Layout::row_major(4); }
  static Tensor<double, Cpu> forward(const Conv2dShape& s, const Tensor<double, Cpu>& x,
                                     const Tensor<double, Cpu>& w, const Tensor<double, Cpu>* bias,
                                     const Conv2dEpilogue& epilogue) {
    return reference::conv2d_forward(s, x, w, bias, epilogue);
  }
  static Conv2dGrads<double, Cpu> backward(const Conv2dShape& s, const Tensor<double, Cpu>& x,
                                           const Tensor<double, Cpu>& w, const Tensor<double, Cpu>* y,
                                           const Tensor<double, Cpu>& dy, const Conv2dEpilogue& epilogue,
                                           Conv2dWants wants) {
    return reference::conv2d_backward(s, x, w, y, dy, epilogue, wants);
  }
};

template <>
struct conv2d_impl<float, Cpu> {
  using Tn = Tensor<float, Cpu>;

  /// Which code does a shape: a rule, not a timing, so that a run repeats itself.
  template <class Run>
  static auto with_algorithm(const Conv2dShape& s, const Run& run) {
    if (detail::ConvNarrow::applies(s)) return run(detail::ConvNarrow{});
    if (detail::ConvWinograd::applies(s)) return run(detail::ConvWinograd{});
    return run(detail::ConvDnnl{});
  }

  static Layout weight_layout(const Conv2dShape& s) {
    if (empty(s) || detail::ConvNarrow::applies(s)) return Layout::row_major(4);
    return detail::ConvWinograd::applies(s) ? detail::ConvWinograd::weight_layout()
                                            : detail::ConvDnnl::weight_layout(s);
  }

  static Tn forward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* bias,
                    const Conv2dEpilogue& epilogue) {
    if (empty(s)) return reference::conv2d_forward(s, x, w, bias, epilogue);
    Tn y = with_algorithm(s, [&](auto algorithm) { return algorithm.forward(s, x, w, bias, epilogue.relu); });
    if (epilogue.dropout) apply_dropout(*epilogue.dropout, y);
    return y;
  }

  static Conv2dGrads<float, Cpu> backward(const Conv2dShape& s, const Tn& x, const Tn& w, const Tn* y, Tn dy,
                                          const Conv2dEpilogue& epilogue, Conv2dWants wants) {
    if (empty(s)) return reference::conv2d_backward(s, x, w, y, dy, epilogue, wants);
    if (y) dy = masked(std::move(dy), *y, epilogue.dropout ? epilogue.dropout->scale() : 1.f);
    Conv2dGrads<float, Cpu> grads;
    with_algorithm(s, [&](auto algorithm) {
      if (wants.w || wants.bias)
        std::tie(grads.w, grads.bias) = algorithm.backward_weights(s, x, dy, wants.bias);
      if (wants.x) grads.x = algorithm.backward_data(s, w, dy);
    });
    return grads;
  }

 private:
  static bool empty(const Conv2dShape& s) {
    return s.input().numel() == 0 || s.output().numel() == 0 || s.weight().numel() == 0;
  }

  /// dy where y > 0, scaled; else 0: ReLU and dropout undone in one pass.
  static Tn masked(Tn dy, const Tn& y, float scale) {
    dy = dy.to(y.layout());
    float* d = dy.mutable_data();
    parallel_ranges(dy.storage_size(), 16384,
                    [d, p = y.data(), scale](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
                      for (std::int64_t i = begin; i < end; ++i) d[i] = p[i] > 0 ? d[i] * scale : 0.f;
                    });
    return dy;
  }

  static void apply_dropout(const DropoutMask& mask, Tn& y) {
    const auto planes = detail::Planes::of(y.shape(), y.layout());
    float* p = y.mutable_data();
    parallel_for(planes.images * planes.blocks, [&](std::int64_t k) {
      const std::int64_t n = k / planes.blocks, block = k % planes.blocks;
      for (std::int64_t i = 0; i < planes.pixels; ++i)
        for (std::int64_t lane = 0; lane < planes.lanes; ++lane) {
          float& v = p[(k * planes.pixels + i) * planes.lanes + lane];
          const std::int64_t index =
              (n * planes.pixels + i) * planes.channels() + block * planes.lanes + lane;
          v = mask.keeps(static_cast<std::uint64_t>(index)) ? v * mask.scale() : 0.f;
        }
    });
  }
};

}  // namespace kfer
