// Sums over dimensions on the Cpu, in double precision; they are their own reference.
#pragma once

#include "kfer/ops/reduce/reduce.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {

template <FloatingElement T>
struct reduce_impl<T, Cpu> {
  using Tn = Tensor<T, Cpu>;

  static Tn sum(const Tn& input, const Shape& kept, parameter_t<T> factor) {
    Tn y(kept);
    T* out = y.mutable_data();
    if (kept.numel() == 1 && !input.layout().has_padding(input.shape())) {
      out[0] = static_cast<T>(total(input.data(), input.numel()) * static_cast<double>(factor));
      return y;
    }
    const Tn x = input.row_major();
    const T* p = x.data();
    std::vector<double> sums(static_cast<std::size_t>(y.numel()));
    rows(x.shape(), kept, [&](std::int64_t from, std::int64_t to, std::int64_t n, bool repeats) {
      if (repeats) {
        sums[static_cast<std::size_t>(to)] += chunk(p + from, n);
      } else {
        double* s = sums.data() + to;
        for (std::int64_t i = 0; i < n; ++i) s[i] += static_cast<double>(p[from + i]);
      }
    });
    for (std::int64_t i = 0; i < y.numel(); ++i)
      out[i] = static_cast<T>(sums[static_cast<std::size_t>(i)] * static_cast<double>(factor));
    return y;
  }

  static Tn expand(const Tn& grad, const Shape& shape, const Layout& wanted, parameter_t<T> factor) {
    const Tn dy = grad.row_major();
    const Layout layout =
        grad.numel() == 1 && !wanted.has_padding(shape) ? wanted : Layout::row_major(shape.rank());
    Tn dx(shape, layout);
    T* out = dx.mutable_data();
    const T* d = dy.data();
    if (grad.numel() == 1) {
      std::fill_n(out, dx.numel(), d[0] * factor);
      return dx;
    }
    rows(shape, grad.shape(), [&](std::int64_t from, std::int64_t to, std::int64_t n, bool repeats) {
      for (std::int64_t i = 0; i < n; ++i) out[from + i] = d[to + (repeats ? 0 : i)] * factor;
    });
    return dx;
  }

 private:
  static double chunk(const T* p, std::int64_t n) {
    constexpr int W = 8;
    double sums[W] = {};
    std::int64_t i = 0;
    for (; i + W <= n; i += W)
      for (int l = 0; l < W; ++l) sums[l] += static_cast<double>(p[i + l]);
    double sum = 0;
    for (; i < n; ++i) sum += static_cast<double>(p[i]);
    for (const double s : sums) sum += s;
    return sum;
  }
  /// Fixed chunks, joined in order: the same bits at any number of threads.
  static double total(const T* p, std::int64_t n) {
    constexpr std::int64_t length = 16384;
    std::vector<double> sums(static_cast<std::size_t>((n + length - 1) / length));
    parallel_for(static_cast<std::int64_t>(sums.size()), [&](std::int64_t k) {
      sums[static_cast<std::size_t>(k)] = chunk(p + k * length, std::min(length, n - k * length));
    });
    double sum = 0;
    for (const double s : sums) sum += s;
    return sum;
  }

  /// Calls `visit(from, to, n, repeats)` for every innermost row of `shape`: its position, that of its place
  /// in `kept`, its length, and whether all of it falls on that one place.
  template <class Visit>
  static void rows(const Shape& shape, const Shape& kept, const Visit& visit) {
    if (shape.numel() == 0) return;
    const std::size_t rank = shape.rank();
    std::array<std::int64_t, Shape::max_rank> step{}, index{};
    std::int64_t product = 1;
    for (std::size_t d = rank; d-- > 0; product *= kept[d]) step[d] = kept[d] == 1 ? 0 : product;
    const std::int64_t n = rank ? shape[rank - 1] : 1;
    const bool repeats = rank && kept[rank - 1] == 1;
    std::int64_t to = 0;
    for (std::int64_t from = 0, end = shape.numel(); from < end; from += n) {
      visit(from, to, n, repeats);
      for (std::size_t d = rank ? rank - 1 : 0; d-- > 0;) {
        to += step[d];
        if (++index[d] < shape[d]) break;
        to -= step[d] * shape[d];
        index[d] = 0;
      }
    }
  }
};

}  // namespace kfer
