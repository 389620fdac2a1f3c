// Sums and bounds of gradients on the Cpu.
#pragma once

#include "kfer/core/parallel.hpp"
#include "kfer/device/cpu.hpp"
#include "kfer/optim/clip.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <class T>
requires std::floating_point<T>
struct clip_impl<T, Cpu> {
  static constexpr std::int64_t piece_size = 16384;

  static double sum_of_squares(std::span<const std::span<const T>> pieces) {
    std::vector<double> parts(pieces.size());
    parallel_for(static_cast<std::int64_t>(pieces.size()), [&](std::int64_t k) {
      const auto piece = pieces[static_cast<std::size_t>(k)];
      const T* p = piece.data();
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (std::size_t i = 0; i < piece.size(); ++i)
        sum += static_cast<double>(p[i]) * static_cast<double>(p[i]);
      parts[static_cast<std::size_t>(k)] = sum;
    });
    double total = 0;
    for (const double part : parts) total += part;
    return total;
  }
  static void scale(Tensor<T, Cpu>& x, double factor) {
    for_each(x, [f = T(factor)](T v) { return v * f; });
  }
  static void clamp(Tensor<T, Cpu>& x, double low, double high) {
    for_each(x, [l = T(low), h = T(high)](T v) { return v < l ? l : v > h ? h : v; });
  }

 private:
  template <class F>
  static void for_each(Tensor<T, Cpu>& x, F f) {
    T* p = x.mutable_data();
    parallel_ranges(x.storage_size(), piece_size, [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) p[i] = f(p[i]);
    });
  }
};

}  // namespace kfer
