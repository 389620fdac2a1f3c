// Batch normalisation on a GPU, in NHWC.
#pragma once

#include "kfer/kernels/batch_norm/shipped.cuh"
#include "kfer/ops/batch_norm/batch_norm.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {
namespace detail {
/// [N, C, ...] with the channels last in memory: rows of C.
inline Layout channels_last(std::size_t rank) {
  switch (rank) {
    case 2:
      return {0, 1};
    case 3:
      return {0, 2, 1};
    case 4:
      return {0, 2, 3, 1};
    case 5:
      return {0, 2, 3, 4, 1};
    case 6:
      return {0, 2, 3, 4, 5, 1};
    case 7:
      return {0, 2, 3, 4, 5, 6, 1};
    default:
      return {0, 2, 3, 4, 5, 6, 7, 1};
  }
}
}  // namespace detail

template <FloatingElement T, Gpu D>
struct batch_norm_impl<T, D> {
  using P = parameter_t<T>;
  using Tn = Tensor<T, D>;
  using Pn = Tensor<P, D>;

  static Tn forward(const Tn& input, const Pn& gamma, const Pn& beta, const Tn* residual, Pn& running_mean,
                    Pn& running_var, const BatchNormOptions& options, BatchNormStatistics<T, D>& statistics) {
    const Layout layout = detail::channels_last(input.rank());
    const Tn x = input.to(layout), add = residual ? residual->to(layout) : Tn();
    const std::int64_t channels = x.shape()[1], rows = channels ? x.numel() / channels : 0;
    Tn y(x.shape(), layout);
    statistics = {Pn({channels}), Pn({channels})};
    P *mean = statistics.mean.mutable_data(), *inverse = statistics.inverse_deviation.mutable_data();
    if (options.training && rows > 0) {
      Tensor<std::uint8_t, D> scratch({kernels::batch_norm_scratch_bytes(rows, channels)});
      kernels::batch_norm_statistics(detail::raw(x.data()), rows, channels, options.eps, options.momentum,
                                     mean, inverse, running_mean.mutable_data(), running_var.mutable_data(),
                                     scratch.mutable_data(), D::stream());
    } else {
      kernels::batch_norm_frozen_statistics(running_mean.data(), running_var.data(), channels, options.eps,
                                            mean, inverse, D::stream());
    }
    kernels::batch_norm_normalise(detail::raw(x.data()), detail::raw(add.data()),
                                  detail::raw(y.mutable_data()), rows, channels,
                                  {mean, inverse, gamma.data(), beta.data()}, options.relu, D::stream());
    return y;
  }

  static BatchNormGrads<T, D> backward(const Tn& input, const Pn& gamma, const Pn* beta, const Tn* result,
                                       const BatchNormStatistics<T, D>& statistics, Tn grad, bool training,
                                       const BatchNormWants& wants) {
    const Layout layout = detail::channels_last(input.rank());
    const Tn x = input.to(layout), y = result && !beta ? result->to(layout) : Tn();
    grad = grad.to(layout);
    const std::int64_t channels = x.shape()[1], rows = channels ? x.numel() / channels : 0;
    BatchNormGrads<T, D> grads;
    const kernels::BatchNormChannels<P> table{statistics.mean.data(), statistics.inverse_deviation.data(),
                                              gamma.data(), beta ? beta->data() : nullptr};
    const auto *in = detail::raw(x.data()), *out = detail::raw(y.data());
    const auto like_x = [&] { return Tn(x.shape(), layout); };

    // The incoming gradient's memory, if nobody else holds it, becomes the masked gradient, else dx.
    const auto* dy = detail::raw(grad.data());
    const bool mask = wants.residual && result;
    if (mask)
      grads.residual = grad.is_unique() ? std::move(grad) : like_x();
    else if (wants.residual)
      grads.residual = grad;
    if (wants.x) grads.x = !mask && grad.is_unique() ? std::move(grad) : like_x();
    auto* masked = mask ? detail::raw(grads.residual.mutable_data()) : nullptr;
    auto* dx = wants.x ? detail::raw(grads.x.mutable_data()) : nullptr;

    const bool sums = wants.gamma || wants.beta || (training && wants.x);
    if (sums) {
      grads.gamma = zeros<P, D>({channels});
      grads.beta = zeros<P, D>({channels});
      Tensor<std::uint8_t, D> scratch({kernels::batch_norm_scratch_bytes(rows, channels)});
      kernels::batch_norm_gradient_sums(in, out, dy, masked, rows, channels, table,
                                        grads.gamma.mutable_data(), grads.beta.mutable_data(),
                                        scratch.mutable_data(), D::stream());
    }
    if (!wants.x && (!mask || sums)) return grads;
    const P *dgamma = training ? grads.gamma.data() : nullptr,
            *dbeta = training ? grads.beta.data() : nullptr;
    if (sums && mask)  // `masked` holds the gradient already
      kernels::batch_norm_gradient<detail::kernel_t<T>>(in, nullptr, masked, dx, nullptr, rows, channels,
                                                        {table.mean, table.inverse, table.gamma, nullptr},
                                                        dgamma, dbeta, D::stream());
    else
      kernels::batch_norm_gradient(in, out, dy, dx, masked, rows, channels, table, dgamma, dbeta,
                                   D::stream());
    return grads;
  }
};

}  // namespace kfer
