// Losses on a GPU: value and gradient in one pass, sums in double and always in the same order.
//
// Targets are checked by the kernels. Outside of a captured graph the op waits for their verdict and throws,
// as on the Cpu. A captured graph cannot be interrupted: there a target that is refused makes the loss a NaN.
#pragma once

#include "kfer/kernels/bce_with_logits/shipped.cuh"
#include "kfer/kernels/cross_entropy/shipped.cuh"
#include "kfer/kernels/mse/shipped.cuh"
#include "kfer/ops/loss/loss.hpp"
#include "kfer/tensor/relayout_cuda.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct loss_impl<T, D> {
  using Tn = Tensor<T, D>;

  static Tn cross_entropy(const Tn& logits, const Tensor<std::int64_t, D>& labels,
                          const CrossEntropyOptions<T, D>& options, Tn* gradient) {
    const Tensor<std::int64_t, D> plain = labels.row_major();
    Result result;
    rows(result, logits, kernels::LabelTargets<detail::kernel_t<T>>{plain.data()},
         options.class_weights && options.reduction == Reduction::mean ? kernels::LossMean::weights
                                                                       : mean_of(options),
         options, gradient);
    const std::int64_t at = result.refused();
    if (at >= 0)
      throw ValueError(text("softmax_cross_entropy: label ", plain.narrow(at, 1).item(), " at index ", at,
                            " is not one of ", logits.shape()[1], " classes"));
    require(at != kernels::loss_has_no_weight,
            "softmax_cross_entropy: the class weights of all labels are zero");
    return result.loss;
  }

  static Tn cross_entropy(const Tn& logits, const Tn& targets, const CrossEntropyOptions<T, D>& options,
                          Tn* gradient) {
    const Tn plain = targets.row_major();
    const auto* t = detail::raw(plain.data());
    Result result;
    rows(result, logits, kernels::SoftTargets<detail::kernel_t<T>>{t, kernels::aligned16(t)},
         mean_of(options), options, gradient);
    return result.loss;
  }

  static Tn bce_with_logits(const Tn& logits, const Tn& targets, const BceOptions<T, D>& options,
                            Tn* gradient) {
    const bool weighted = options.positive_weights.has_value();
    const Tn x = weighted || logits.layout().has_padding(logits.shape()) ? logits.row_major() : logits;
    const Tn target = targets.to(x.layout());
    const Tn weights = weighted ? options.positive_weights->row_major() : Tn();
    Result result;
    kernels::bce_with_logits(detail::raw(x.data()), detail::raw(target.data()), detail::raw(weights.data()),
                             fresh(x, gradient), x.numel(), weighted ? x.size(-1) : std::int64_t{1},
                             result.out(), result.status(), result.workspace(), D::stream());
    if (result.refused() >= 0) refuse(targets);
    return result.loss;
  }

  static Tn mse(const Tn& input, const Tn& targets, Tn* gradient) {
    const Tn x = input.layout().has_padding(input.shape()) ? input.row_major() : input;
    const Tn target = targets.to(x.layout());
    Result result;
    kernels::mse(detail::raw(x.data()), detail::raw(target.data()), fresh(x, gradient), x.numel(),
                 result.out(), result.status(), result.workspace(), D::stream());
    return result.loss;
  }

  static Tn scale(Tn gradient, const Tn& factor) {
    kernels::scale_by(detail::raw(gradient.mutable_data()), gradient.storage_size(),
                      detail::raw(factor.data()), D::stream());
    return gradient;
  }

 private:
  /// The loss, and behind it what the kernels need while they run.
  struct Result {
    struct Room {
      kernels::LossWorkspace workspace;
      long long status;
    };
    Tn loss{Shape{}};
    Buffer<D> room{sizeof(Room)};

    auto* out() { return detail::raw(loss.mutable_data()); }
    kernels::LossWorkspace* workspace() { return &static_cast<Room*>(room.data())->workspace; }
    long long* status() { return &static_cast<Room*>(room.data())->status; }
    /// The kernels' verdict, for which the host waits; in a captured graph, where it cannot, that all is
    /// fine.
    std::int64_t refused() const {
      long long verdict = kernels::loss_is_fine;
      if (!D::capturing())
        D::copy_to_host(&verdict, &static_cast<const Room*>(room.data())->status, sizeof verdict);
      return verdict;
    }
  };

  static detail::kernel_t<T>* fresh(const Tn& like, Tn* gradient) {
    if (!gradient) return nullptr;
    *gradient = Tn(like.shape(), like.layout());
    return detail::raw(gradient->mutable_data());
  }

  static kernels::LossMean mean_of(const CrossEntropyOptions<T, D>& options) {
    return options.reduction == Reduction::sum ? kernels::LossMean::none : kernels::LossMean::rows;
  }

  template <class Targets>
  static void rows(Result& result, const Tn& logits, const Targets& targets, kernels::LossMean mean,
                   const CrossEntropyOptions<T, D>& options, Tn* gradient) {
    const Tn x = logits.row_major();
    const Tn weights = options.class_weights ? options.class_weights->row_major() : Tn();
    kernels::cross_entropy(detail::raw(x.data()), targets, detail::raw(weights.data()),
                           options.label_smoothing, mean, fresh(x, gradient), result.out(), result.status(),
                           x.shape()[0], x.shape()[1], result.workspace(), D::stream());
  }

  [[noreturn]] static void refuse(const Tn& targets) {
    const auto values = targets.to_vector();
    for (std::size_t i = 0; i < values.size(); ++i)
      require(values[i] >= T(0) && values[i] <= T(1), "bce_with_logits: target ",
              static_cast<double>(values[i]), " at index ", i, " is not in [0, 1]");
    throw ValueError("bce_with_logits: a target is not in [0, 1]");
  }
};

}  // namespace kfer
