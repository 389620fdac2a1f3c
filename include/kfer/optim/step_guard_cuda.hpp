// The guard of captured steps on a GPU.
#pragma once

#include "kfer/optim/clip_cuda.hpp"
#include "kfer/optim/step_guard.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
class StepGuard<T, D> {
 public:
  static constexpr int most_steps = kernels::StepLog::capacity;

  StepGuard(std::vector<Tensor<T, D>*> buffers, double clip_norm)
      : buffers_(std::move(buffers)), clip_norm_(clip_norm) {
    for (const Tensor<T, D>* buffer : buffers_) before_.emplace_back(buffer->shape(), buffer->layout());
    D::set_zero(log_.data(), sizeof(kernels::StepLog));
  }

  void begin() {
    copy([](Tensor<T, D>& buffer, Tensor<T, D>& before) {
      return kernels::CopyEntry<T>{buffer.data(), before.mutable_data(), buffer.storage_size()};
    });
  }
  template <FloatingElement L>
  void judge(const Tensor<L, D>& loss,
             const std::vector<std::pair<std::string, Variable<T, D>>>& parameters) {
    const auto gradients = clip_impl<T, D>::spans(detail::gradient_pieces(parameters));
    using Judge = kernels::JudgeStep<detail::kernel_t<L>>;
    kernels::sum_of_squares(
        gradients.data(), static_cast<long long>(gradients.size()), static_cast<double*>(parts_.data()),
        Judge{detail::raw(loss.data()), clip_norm_, static_cast<kernels::StepLog*>(log_.data()), place()},
        D::stream());
  }
  const double* scale() const { return place(); }
  void end() {
    copy(
        [](Tensor<T, D>& buffer, Tensor<T, D>& before) {
          return kernels::CopyEntry<T>{before.data(), buffer.mutable_data(), buffer.storage_size()};
        },
        scale());
  }

  StepsTaken read() {
    kernels::StepLog log;
    D::copy_to_host(&log, log_.data(), sizeof log);
    D::set_zero(log_.data(), sizeof log);
    return {{log.loss, log.loss + log.taken}, log.refused != 0};
  }

 private:
  template <class Entry>
  void copy(const Entry& entry, const double* unless = nullptr) {
    std::vector<kernels::CopyEntry<T>> entries;
    for (std::size_t i = 0; i < buffers_.size(); ++i) entries.push_back(entry(*buffers_[i], before_[i]));
    kernels::copy_tensors(entries.data(), static_cast<long long>(entries.size()), unless, D::stream());
  }
  double* place() const { return static_cast<double*>(scale_.data()); }

  std::vector<Tensor<T, D>*> buffers_;
  std::vector<Tensor<T, D>> before_;
  double clip_norm_;
  Buffer<D> scale_{sizeof(double)}, parts_{kernels::most_square_parts * sizeof(double)},
      log_{sizeof(kernels::StepLog)};
};

}  // namespace kfer
