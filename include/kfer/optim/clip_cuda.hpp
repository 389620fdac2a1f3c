// Sums and bounds of gradients on a GPU.
#pragma once

#include "kfer/device/gpu.hpp"
#include "kfer/kernels/optim/shipped.cuh"
#include "kfer/optim/clip.hpp"

namespace kfer {

template <FloatingElement T, Gpu D>
struct clip_impl<T, D> {
  static constexpr std::int64_t piece_size = whole_tensors;

  /// As the kernels take them.
  static auto spans(std::span<const std::span<const T>> tensors) {
    std::vector<kernels::Span<detail::kernel_t<T>>> entries;
    entries.reserve(tensors.size());
    for (const auto t : tensors) entries.push_back({detail::raw(t.data()), static_cast<long long>(t.size())});
    return entries;
  }
  /// The host waits for the sum.
  static double sum_of_squares(std::span<const std::span<const T>> tensors) {
    const auto entries = spans(tensors);
    const Buffer<D> room((kernels::most_square_parts + 1) * sizeof(double));
    auto* const sum = static_cast<double*>(room.data());
    kernels::sum_of_squares(entries.data(), static_cast<long long>(entries.size()), sum + 1,
                            kernels::StoreTo{sum}, D::stream());
    double result = 0;
    D::copy_to_host(&result, sum, sizeof result);
    return result;
  }
  static void scale(Tensor<T, D>& x, double factor) {
    kernels::scale_in_place(detail::raw(x.mutable_data()), x.storage_size(), factor, D::stream());
  }
  static void clamp(Tensor<T, D>& x, double low, double high) {
    kernels::clamp_in_place(detail::raw(x.mutable_data()), x.storage_size(), low, high, D::stream());
  }
};

}  // namespace kfer
