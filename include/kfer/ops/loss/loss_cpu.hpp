// Losses on the Cpu. Sums are formed over fixed chunks and joined in order: the same bits at any number of
// threads.
#pragma once

#include "kfer/core/simd_math.hpp"
#include "kfer/ops/loss/loss_reference.hpp"
#include "kfer/tensor/relayout.hpp"

namespace kfer {
namespace detail {

/// The sum over [0, n) of `chunk(begin, end)`, in parallel.
template <class Chunk>
double chunked_sum(std::int64_t n, std::int64_t length, const Chunk& chunk) {
  const std::int64_t chunks = (n + length - 1) / length;
  std::vector<double> sums(static_cast<std::size_t>(chunks));
  parallel_for(chunks, [&](std::int64_t k) {
    sums[static_cast<std::size_t>(k)] = chunk(k * length, std::min(n, (k + 1) * length));
  });
  double total = 0;
  for (const double s : sums) total += s;
  return total;
}

/// The whole vectors of a chunk of bce_with_logits without weights; returns where they end. `total` and
/// `inside` are what the chunk's elements add up to and whether every target lies in [0, 1].
inline std::int64_t bce_vectors(const float* x, const float* t, float* g, std::int64_t begin,
                                std::int64_t end, float share, double& total, bool& inside) {
  constexpr int W = simd_width;
  const simd_f32<W> zero{}, one = simd_fill<W>(1);
  simd_f32<W> sums[2] = {};
  simd_i32<W> within = simd_i32<W>{} - 1;
  std::int64_t i = begin;
  for (; i + W <= end; i += W) {
    const simd_f32<W> v = simd_load<W>(x + i), target = simd_load<W>(t + i);
    const simd_f32<W> e = simd_exp<W>(v < zero ? v : -v);
    sums[i / W & 1] += (v > zero ? v : zero) - v * target + simd_log1p_unit<W>(e);
    within &= (target >= zero) & (target <= one);
    if (g) simd_store<W>(g + i, ((v < zero ? e : one) / (e + 1.0f) - target) * share);
  }
  const simd_f32<W> sum = sums[0] + sums[1];
  for (int l = 0; l < W; ++l) {
    total += static_cast<double>(sum[l]);
    inside &= within[l] != 0;
  }
  return i;
}

}  // namespace detail

template <FloatingElement T>
struct loss_impl<T, Cpu> {
  using Tn = Tensor<T, Cpu>;

  static Tn cross_entropy(const Tn& logits, const Tensor<std::int64_t, Cpu>& labels,
                          const CrossEntropyOptions<T, Cpu>& options, Tn* gradient) {
    const std::int64_t samples = logits.shape()[0], classes = logits.shape()[1];
    const std::int64_t* label = labels.data();
    for (std::int64_t n = 0; n < samples; ++n)
      require(label[n] >= 0 && label[n] < classes, "softmax_cross_entropy: label ", label[n], " at index ", n,
              " is not one of ", classes, " classes");
    const T* weights = options.class_weights ? options.class_weights->data() : nullptr;
    double divisor = static_cast<double>(samples);
    if (weights && options.reduction == Reduction::mean) {
      divisor = 0;
      for (std::int64_t n = 0; n < samples; ++n) divisor += weights[label[n]];
      require(divisor != 0, "softmax_cross_entropy: the class weights of all labels are zero");
    }
    const double spread = options.label_smoothing / static_cast<double>(classes),
                 rest = 1 - options.label_smoothing;
    return rows(logits, options, divisor, gradient,
                [=](std::int64_t n, std::int64_t c) { return (label[n] == c ? rest : 0.0) + spread; });
  }

  static Tn cross_entropy(const Tn& logits, const Tn& targets, const CrossEntropyOptions<T, Cpu>& options,
                          Tn* gradient) {
    const std::int64_t samples = logits.shape()[0], classes = logits.shape()[1];
    const Tn plain = targets.row_major();
    const T* t = plain.data();
    const double spread = options.label_smoothing / static_cast<double>(classes),
                 rest = 1 - options.label_smoothing;
    return rows(logits, options, static_cast<double>(samples), gradient, [=](std::int64_t n, std::int64_t c) {
      return rest * static_cast<double>(t[n * classes + c]) + spread;
    });
  }

  static Tn bce_with_logits(const Tn& logits, const Tn& targets, const BceOptions<T, Cpu>& options,
                            Tn* gradient) {
    const bool weighted = options.positive_weights.has_value();
    const Tn x = weighted || logits.layout().has_padding(logits.shape()) ? logits.row_major() : logits;
    const Tn target = targets.to(x.layout());
    const std::int64_t n = x.numel(), classes = weighted ? x.size(-1) : 1;
    const T *p = x.data(), *t = target.data(), *w = weighted ? options.positive_weights->data() : nullptr;
    const T share = T(1) / static_cast<T>(n);
    T* g = fresh(x, gradient);
    bool valid = true;
    const double sum = detail::chunked_sum(n, 4096, [&](std::int64_t begin, std::int64_t end) {
      double total = 0;
      bool inside = true;
      std::int64_t i = begin;
      if constexpr (std::is_same_v<T, float>) {
        if (!w) i = detail::bce_vectors(p, t, g, begin, end, share, total, inside);
      }
      for (; i < end; ++i) {
        const T weight = w ? w[i % classes] : T(1);
        inside &= t[i] >= T(0) && t[i] <= T(1);
        total += static_cast<double>(reference::bce_value(p[i], t[i], weight));
        if (g) g[i] = reference::bce_derivative(p[i], t[i], weight) * share;
      }
      if (!inside) __atomic_store_n(&valid, false, __ATOMIC_RELAXED);
      return total;
    });
    if (!valid) refuse(targets);
    return scalar(sum / static_cast<double>(n));
  }

  static Tn mse(const Tn& input, const Tn& targets, Tn* gradient) {
    const Tn x = input.layout().has_padding(input.shape()) ? input.row_major() : input;
    const Tn target = targets.to(x.layout());
    const std::int64_t n = x.numel();
    const T *p = x.data(), *t = target.data();
    const T share = T(2) / static_cast<T>(n);
    T* g = fresh(x, gradient);
    const double sum = detail::chunked_sum(n, 4096, [&](std::int64_t begin, std::int64_t end) {
      double total = 0;
      for (std::int64_t i = begin; i < end; ++i) {
        const T d = p[i] - t[i];
        total += static_cast<double>(d) * static_cast<double>(d);
        if (g) g[i] = d * share;
      }
      return total;
    });
    return scalar(sum / static_cast<double>(n));
  }

  static Tn scale(Tn gradient, const Tn& factor) {
    const T f = factor.item();
    if (f == T(1)) return gradient;
    T* g = gradient.mutable_data();
    parallel_ranges(gradient.storage_size(), 16384, [=](int, std::int64_t begin, std::int64_t end) {
#pragma omp simd
      for (std::int64_t i = begin; i < end; ++i) g[i] *= f;
    });
    return gradient;
  }

 private:
  static Tn scalar(double value) {
    return Tn(Shape{}, {static_cast<T>(value)});
  }
  static T* fresh(const Tn& like, Tn* gradient) {
    if (!gradient) return nullptr;
    *gradient = Tn(like.shape(), like.layout());
    return gradient->mutable_data();
  }

  template <class Target>
  static Tn rows(const Tn& logits, const CrossEntropyOptions<T, Cpu>& options, double divisor, Tn* gradient,
                 const Target& target) {
    const Tn x = logits.row_major();
    const std::int64_t samples = x.shape()[0], classes = x.shape()[1];
    const T* weights = options.class_weights ? options.class_weights->data() : nullptr;
    if (options.reduction == Reduction::sum) divisor = 1;
    const T* p = x.data();
    T* g = fresh(x, gradient);
    const double sum =
        detail::chunked_sum(samples, std::max<std::int64_t>(1, 1024 / classes), [&](auto begin, auto end) {
          return reference::cross_entropy_rows(
              p + begin * classes, g ? g + begin * classes : nullptr, end - begin, classes, divisor,
              [&](std::int64_t n, std::int64_t c) { return target(begin + n, c); },
              [&](std::int64_t c) { return weights ? static_cast<double>(weights[c]) : 1.0; });
        });
    return scalar(sum);
  }

  [[noreturn]] static void refuse(const Tn& targets) {
    const auto values = targets.to_vector();
    for (std::size_t i = 0; i < values.size(); ++i)
      require(values[i] >= T(0) && values[i] <= T(1), "bce_with_logits: target ", values[i], " at index ", i,
              " is not in [0, 1]");
    throw ValueError("bce_with_logits: a target is not in [0, 1]");
  }
};

}  // namespace kfer
