// Batch normalisation on the Cpu.
//
// One vector of channels is one job: its statistics, then its elements, while they are still in the cache.
// Mean and squared deviations are formed in two passes over pieces that fit the first-level cache, and the
// pieces are joined by the formula of Chan, Golub and LeVeque (1979) in double precision: safe for any mean,
// and one pass over memory.
#pragma once

#include <cmath>
#include <vector>

#include "kfer/ops/batch_norm/batch_norm_reference.hpp"
#include "kfer/tensor/lanes.hpp"

namespace kfer {
namespace detail {

/// One vector of values for every row of every image: `lanes` <= simd_width of them at
/// offset + image * image_stride + row * row_stride.
struct Strip {
  std::int64_t offset = 0, images = 0, image_stride = 0, rows = 0, row_stride = 0;
  int lanes = 0;

  /// Calls `visit(position)` for images [i0, i1) and rows [r0, r1).
  template <class Visit>
  [[gnu::always_inline]] void each(std::int64_t i0, std::int64_t i1, std::int64_t r0, std::int64_t r1,
                                   const Visit& visit) const {
    for (std::int64_t i = i0; i < i1; ++i) {
      const std::int64_t at = offset + i * image_stride;
      for (std::int64_t r = r0; r < r1; ++r) visit(at + r * row_stride);
    }
  }
  /// Cuts the strip into pieces of about `piece_rows` rows: whole images if they are short, else parts of
  /// one. Calls `visit(i0, i1, r0, r1)`.
  template <class Visit>
  void pieces(const Visit& visit) const {
    constexpr std::int64_t piece_rows = 256;  // of one vector each: 16 KiB with AVX-512
    if (rows == 0) return;
    const std::int64_t group = std::max<std::int64_t>(1, piece_rows / rows);
    for (std::int64_t i = 0; i < images; i += group)
      for (std::int64_t r = 0; r < rows; r += piece_rows)
        visit(i, std::min(images, i + group), r, std::min(rows, r + piece_rows));
  }
};

/// How the channels of activations are cut into jobs of one vector each. In NCHW, where pixels and not
/// channels are neighbours, a job is one channel and its vectors run over pixels.
class ChannelJobs {
 public:
  static constexpr int width = simd_width;

  explicit ChannelJobs(const Shape& shape, const Layout& layout) {
    if (shape.rank() == 4 && Planes::fits(shape, layout)) {
      planes_ = Planes::of(shape, layout);
    } else {
      const std::int64_t rest = shape.numel() ? shape.numel() / (shape[0] * shape[1]) : 0;
      planes_ = {shape[0], shape[1], rest, 1};
    }
    if (planes_.lanes == 1 && planes_.pixels == 1)  // [N, C]: the channels are neighbours after all
      planes_ = {planes_.images, 1, 1, planes_.blocks};
    vectors_ = (planes_.lanes + width - 1) / width;
    // Enough parts of the batch for every thread to have one, should the channels be few.
    const std::int64_t jobs = std::max<std::int64_t>(1, count());
    parts_ =
        std::clamp<std::int64_t>((num_threads() + jobs - 1) / jobs, 1, std::max<std::int64_t>(1, units()));
  }

  std::int64_t count() const { return planes_.blocks * vectors_; }
  std::int64_t parts() const { return parts_; }
  std::int64_t first_channel(std::int64_t job) const {
    return job / vectors_ * planes_.lanes + job % vectors_ * width;
  }
  int channels(std::int64_t job) const {
    return static_cast<int>(std::min<std::int64_t>(width, planes_.lanes - job % vectors_ * width));
  }
  bool over_pixels() const { return planes_.lanes == 1; }
  std::int64_t values_per_channel() const { return planes_.images * planes_.pixels; }

  /// Calls `visit(strip)` for the one or two strips of a part of a job.
  template <class Visit>
  void strips(std::int64_t job, std::int64_t part, const Visit& visit) const {
    const std::int64_t begin = units() * part / parts_, end = units() * (part + 1) / parts_;
    if (begin == end) return;
    if (over_pixels()) {
      const std::int64_t image = planes_.blocks * planes_.pixels, at = job * planes_.pixels + begin * image;
      const std::int64_t rows = planes_.pixels / width, rest = planes_.pixels % width;
      if (rows) visit(Strip{at, end - begin, image, rows, width, width});
      if (rest) visit(Strip{at + rows * width, 1, 0, end - begin, image, static_cast<int>(rest)});
      return;
    }
    const std::int64_t block = job / vectors_, inner = job % vectors_ * width, plane = planes_.plane();
    if (planes_.blocks == 1)  // the images follow each other without a gap: units are pixels
      return visit(Strip{inner + begin * planes_.lanes, 1, 0, end - begin, planes_.lanes, channels(job)});
    visit(Strip{block * plane + inner + begin * planes_.blocks * plane, end - begin, planes_.blocks * plane,
                planes_.pixels, planes_.lanes, channels(job)});
  }

 private:
  std::int64_t units() const {
    return planes_.blocks == 1 && !over_pixels() ? planes_.images * planes_.pixels : planes_.images;
  }

  Planes planes_;
  std::int64_t vectors_ = 1, parts_ = 1;
};

using BatchVector = simd_f32<simd_width>;

template <bool full>
[[gnu::always_inline]] inline BatchVector load_part(const float* p, int lanes) {
  if constexpr (full) {
    return simd_load<simd_width>(p);
  } else {
    BatchVector v{};
    for (int l = 0; l < lanes; ++l) v[l] = p[l];
    return v;
  }
}
template <bool full>
[[gnu::always_inline]] inline void store_part(float* p, BatchVector v, int lanes) {
  if constexpr (full) {
    simd_store<simd_width>(p, v);
  } else {
    for (int l = 0; l < lanes; ++l) p[l] = v[l];
  }
}
/// Calls `f(std::bool_constant<full>())`: whether every vector of the strip is whole.
template <class F>
[[gnu::always_inline]] inline void with_width(const Strip& strip, const F& f) {
  if (strip.lanes == simd_width)
    f(std::true_type());
  else
    f(std::false_type());
}

/// Count, mean and sum of squared deviations of a set of numbers.
struct Moments {
  double count = 0, mean = 0, squares = 0;
  void join(const Moments& o) {
    if (o.count == 0) return;
    const double n = count + o.count, delta = o.mean - mean;
    mean += delta * (o.count / n);
    squares += o.squares + delta * delta * (count * o.count / n);
    count = n;
  }
};
using LaneMoments = std::array<Moments, simd_width>;

template <bool full>
void strip_moments(const Strip& s, const float* x, LaneMoments& lanes) {
  s.pieces([&](std::int64_t i0, std::int64_t i1, std::int64_t r0, std::int64_t r1) {
    const auto n = static_cast<float>((i1 - i0) * (r1 - r0));
    BatchVector sums[4] = {}, squares[2] = {}, rest[2] = {};
    int k = 0;
    for (std::int64_t i = i0; i < i1; ++i) {
      const float* p = x + s.offset + i * s.image_stride;
      std::int64_t r = r0;
      for (; r + 4 <= r1; r += 4)
        for (int q = 0; q < 4; ++q) sums[q] += load_part<full>(p + (r + q) * s.row_stride, s.lanes);
      for (; r < r1; ++r) sums[k++ & 3] += load_part<full>(p + r * s.row_stride, s.lanes);
    }
    const BatchVector mean = ((sums[0] + sums[1]) + (sums[2] + sums[3])) / n;
    for (std::int64_t i = i0; i < i1; ++i) {
      const float* p = x + s.offset + i * s.image_stride;
      std::int64_t r = r0;
      const auto add = [&](std::int64_t row, int q) {
        const BatchVector d = load_part<full>(p + row * s.row_stride, s.lanes) - mean;
        squares[q] += d * d;
        rest[q] += d;
      };
      for (; r + 2 <= r1; r += 2) add(r, 0), add(r + 1, 1);
      for (; r < r1; ++r) add(r, 0);
    }
    const BatchVector square = squares[0] + squares[1],
                      left = rest[0] + rest[1];  // left: what rounding the mean missed
    for (int l = 0; l < s.lanes; ++l) {
      const double e = static_cast<double>(left[l]) / n;
      lanes[static_cast<std::size_t>(l)].join({n, mean[l] + e, square[l] - e * left[l]});
    }
  });
}

/// What a channel's elements become: (x - mean) * scale + shift.
struct ChannelMap {
  BatchVector mean{}, scale{}, shift{};
};

template <bool full, bool residual, bool relu>
void strip_normalise(const Strip& s, const float* x, const float* r, float* y, const ChannelMap& m) {
  const BatchVector mean = m.mean, scale = m.scale, shift = m.shift;
  s.each(0, s.images, 0, s.rows, [&](std::int64_t at) {
    BatchVector v = (load_part<full>(x + at, s.lanes) - mean) * scale + shift;
    if constexpr (residual) v += load_part<full>(r + at, s.lanes);
    if constexpr (relu) v = v < BatchVector{} ? BatchVector{} : v;
    store_part<full>(y + at, v, s.lanes);
  });
}

/// Sums of g and of g (x - mean), with g = dy where y > 0 (everywhere without y), by lane. Writes g to
/// `masked` if asked.
struct GradSums {
  std::array<double, simd_width> g{}, gx{};
};

/// How backward learns where the ReLU let a value pass.
enum class Passed {
  everywhere,  ///< there was no ReLU
  read,        ///< from y
  recomputed,  ///< from x: y is not read
};

/// The gradient at one place, zero where the ReLU did not pass.
template <bool full, Passed passed>
[[gnu::always_inline]] inline BatchVector masked_grad(const float* x, const float* y, const float* dy,
                                                      std::int64_t at, int lanes, const ChannelMap& m) {
  const BatchVector d = load_part<full>(dy + at, lanes);
  if constexpr (passed == Passed::read)
    return load_part<full>(y + at, lanes) > BatchVector{} ? d : BatchVector{};
  if constexpr (passed == Passed::recomputed)
    return (load_part<full>(x + at, lanes) - m.mean) * m.scale + m.shift > BatchVector{} ? d : BatchVector{};
  return d;
}

template <bool full, Passed passed>
void strip_sums(const Strip& s, const float* x, const float* y, const float* dy, float* masked,
                const ChannelMap& map, GradSums& sums) {
  const ChannelMap m = map;
  s.pieces([&](std::int64_t i0, std::int64_t i1, std::int64_t r0, std::int64_t r1) {
    BatchVector g[2] = {}, gx[2] = {};
    int k = 0;
    s.each(i0, i1, r0, r1, [&](std::int64_t at) {
      const BatchVector d = masked_grad<full, passed>(x, y, dy, at, s.lanes, m);
      if (passed != Passed::everywhere && masked) store_part<full>(masked + at, d, s.lanes);
      g[k] += d;
      gx[k] += d * (load_part<full>(x + at, s.lanes) - m.mean);
      k ^= 1;
    });
    const BatchVector a = g[0] + g[1], b = gx[0] + gx[1];
    for (int l = 0; l < s.lanes; ++l) {
      sums.g[static_cast<std::size_t>(l)] += a[l];
      sums.gx[static_cast<std::size_t>(l)] += b[l];
    }
  });
}

/// dx = scale * (g - shift - (x - mean) * slope).
struct GradMap {
  BatchVector scale{}, shift{}, slope{};
};

template <bool full, Passed passed, bool centred>
void strip_grad(const Strip& s, const float* x, const float* y, const float* dy, float* dx,
                const ChannelMap& map, const GradMap& grad) {
  const ChannelMap m = map;
  const BatchVector scale = grad.scale, shift = grad.shift, slope = grad.slope;
  s.each(0, s.images, 0, s.rows, [&](std::int64_t at) {
    BatchVector g = masked_grad<full, passed>(x, y, dy, at, s.lanes, m);
    if constexpr (centred) g = g - shift - (load_part<full>(x + at, s.lanes) - m.mean) * slope;
    store_part<full>(dx + at, g * scale, s.lanes);
  });
}

/// Runs `first(job, part)` on every part, then `join(job)`, then `second(job, part)`: job by job where every
/// job is one part, so that the second pass finds the elements in the cache.
template <class First, class Join, class Second>
void channel_passes(const ChannelJobs& jobs, const First& first, const Join& join, const Second& second) {
  if (jobs.parts() == 1) {
    parallel_for(jobs.count(), [&](std::int64_t job) {
      first(job, std::int64_t{0});
      join(job);
      second(job, std::int64_t{0});
    });
    return;
  }
  const std::int64_t parts = jobs.parts();
  parallel_for(jobs.count() * parts, [&](std::int64_t k) { first(k / parts, k % parts); });
  for (std::int64_t job = 0; job < jobs.count(); ++job) join(job);
  parallel_for(jobs.count() * parts, [&](std::int64_t k) { second(k / parts, k % parts); });
}

/// The value of a per-channel table for the lanes of a job.
inline BatchVector channel_values(const ChannelJobs& jobs, std::int64_t job, const float* table) {
  const float* p = table + jobs.first_channel(job);
  return jobs.over_pixels() ? simd_fill<simd_width>(*p) : load_part<false>(p, jobs.channels(job));
}

}  // namespace detail

template <>
struct batch_norm_impl<float, Cpu> {
  using Tn = Tensor<float, Cpu>;

  static Tn forward(const Tn& input, const Tn& gamma, const Tn& beta, const Tn* residual, Tn& running_mean,
                    Tn& running_var, const BatchNormOptions& options,
                    BatchNormStatistics<float, Cpu>& statistics) {
    const Tn x = detail::planar(input), other = residual ? residual->to(x.layout()) : Tn();
    const std::int64_t channels = x.shape()[1];
    Tn y(x.shape(), x.layout());
    statistics = {Tn({channels}), Tn({channels})};
    float *mean = statistics.mean.mutable_data(), *inverse = statistics.inverse_deviation.mutable_data();
    const bool batch = options.training && x.numel() > 0;
    if (!batch)
      for (std::int64_t c = 0; c < channels; ++c) {
        mean[c] = running_mean.data()[c];
        inverse[c] = static_cast<float>(1 / std::sqrt(running_var.data()[c] + options.eps));
      }
    if (x.numel() == 0) return y;
    const detail::ChannelJobs jobs(x.shape(), x.layout());
    const std::int64_t parts = jobs.parts();
    std::vector<detail::LaneMoments> moments(static_cast<std::size_t>(batch ? jobs.count() * parts : 0));
    float *rm = batch ? running_mean.mutable_data() : nullptr,
          *rv = batch ? running_var.mutable_data() : nullptr;
    const float *in = x.data(), *add = residual ? other.data() : nullptr;
    float* out = y.mutable_data();

    const auto measure = [&](std::int64_t job, std::int64_t part) {
      if (!batch) return;
      auto& lanes = moments[static_cast<std::size_t>(job * parts + part)];
      jobs.strips(job, part, [&](const detail::Strip& strip) {
        detail::with_width(
            strip, [&](auto full) { detail::strip_moments<decltype(full)::value>(strip, in, lanes); });
      });
    };
    const auto join = [&](std::int64_t job) {
      if (!batch) return;
      auto& lanes = moments[static_cast<std::size_t>(job * parts)];
      for (std::int64_t part = 1; part < parts; ++part)
        for (std::size_t l = 0; l < lanes.size(); ++l)
          lanes[l].join(moments[static_cast<std::size_t>(job * parts + part)][l]);
      if (jobs.over_pixels())
        for (std::size_t l = 1; l < lanes.size(); ++l) lanes[0].join(lanes[l]);
      for (int l = 0; l < jobs.channels(job); ++l) {
        const detail::Moments& m = lanes[static_cast<std::size_t>(l)];
        const std::int64_t c = jobs.first_channel(job) + l;
        mean[c] = static_cast<float>(m.mean);
        inverse[c] = static_cast<float>(1 / std::sqrt(m.squares / m.count + options.eps));
        rm[c] = static_cast<float>(rm[c] + options.momentum * (m.mean - rm[c]));
        rv[c] = static_cast<float>(rv[c] + options.momentum * (m.squares / (m.count - 1) - rv[c]));
      }
    };
    const auto apply = [&](std::int64_t job, std::int64_t part) {
      const detail::ChannelMap map{
          detail::channel_values(jobs, job, mean),
          detail::channel_values(jobs, job, inverse) * detail::channel_values(jobs, job, gamma.data()),
          detail::channel_values(jobs, job, beta.data())};
      jobs.strips(job, part, [&](const detail::Strip& strip) {
        detail::with_width(strip, [&](auto width) {
          constexpr bool full = decltype(width)::value;
          if (add && options.relu) detail::strip_normalise<full, true, true>(strip, in, add, out, map);
          if (add && !options.relu) detail::strip_normalise<full, true, false>(strip, in, add, out, map);
          if (!add && options.relu) detail::strip_normalise<full, false, true>(strip, in, add, out, map);
          if (!add && !options.relu) detail::strip_normalise<full, false, false>(strip, in, add, out, map);
        });
      });
    };
    detail::channel_passes(jobs, measure, join, apply);
    return y;
  }

  static BatchNormGrads<float, Cpu> backward(const Tn& input, const Tn& gamma, const Tn* beta,
                                             const Tn* result,
                                             const BatchNormStatistics<float, Cpu>& statistics, Tn grad,
                                             bool training, const BatchNormWants& wants) {
    const Tn x = detail::planar(input);
    grad = grad.to(x.layout());
    const std::int64_t channels = x.shape()[1];
    BatchNormGrads<float, Cpu> grads{{}, zeros<float, Cpu>({channels}), zeros<float, Cpu>({channels}), {}};
    if (x.numel() == 0) {
      grads.x = grads.residual = Tn(x.shape(), x.layout());
      return grads;
    }
    const detail::ChannelJobs jobs(x.shape(), x.layout());
    const std::int64_t parts = jobs.parts();
    const Tn y = result ? result->to(x.layout()) : Tn();
    const float *in = x.data(), *out = result ? y.data() : nullptr;

    // The incoming gradient's memory becomes the masked gradient if the residual wants it, else dx.
    const bool mask = result && wants.residual;
    float *masked = nullptr, *dx = nullptr;
    const float* dy = grad.data();
    if (!wants.residual) {
      if (wants.x) {
        grads.x = grad.is_unique() ? std::move(grad) : Tn(x.shape(), x.layout());
        dx = grads.x.mutable_data();
      }
    } else {
      if (mask) {
        grads.residual = grad.is_unique() ? std::move(grad) : Tn(x.shape(), x.layout());
        masked = grads.residual.mutable_data();
      } else {
        grads.residual = grad;
      }
      if (wants.x) {
        grads.x = Tn(x.shape(), x.layout());
        dx = grads.x.mutable_data();
      }
    }
    const bool sums = wants.gamma || wants.beta || (training && wants.x) || mask;
    std::vector<detail::GradSums> totals(static_cast<std::size_t>(jobs.count() * parts));
    float *dgamma = grads.gamma.mutable_data(), *dbeta = grads.beta.mutable_data();
    const float *mean = statistics.mean.data(), *inverse = statistics.inverse_deviation.data();

    using detail::Passed;
    const Passed passed = !result ? Passed::everywhere : (beta ? Passed::recomputed : Passed::read);
    // Calls `run(full, passed)`, both known when compiling.
    const auto specialise = [](const detail::Strip& strip, Passed how, const auto& run) {
      detail::with_width(strip, [&](auto full) {
        if (how == Passed::everywhere) run(full, std::integral_constant<Passed, Passed::everywhere>());
        if (how == Passed::read) run(full, std::integral_constant<Passed, Passed::read>());
        if (how == Passed::recomputed) run(full, std::integral_constant<Passed, Passed::recomputed>());
      });
    };
    const auto forward_map = [&](std::int64_t job) {  // as in the forward pass, to the bit
      return detail::ChannelMap{
          detail::channel_values(jobs, job, mean),
          detail::channel_values(jobs, job, inverse) * detail::channel_values(jobs, job, gamma.data()),
          beta ? detail::channel_values(jobs, job, beta->data()) : detail::BatchVector{}};
    };

    const auto measure = [&](std::int64_t job, std::int64_t part) {
      if (!sums) return;
      auto& total = totals[static_cast<std::size_t>(job * parts + part)];
      const detail::ChannelMap centre = forward_map(job);
      jobs.strips(job, part, [&](const detail::Strip& strip) {
        specialise(strip, passed, [&](auto full, auto how) {
          detail::strip_sums<decltype(full)::value, decltype(how)::value>(strip, in, out, dy, masked, centre,
                                                                          total);
        });
      });
    };
    const auto join = [&](std::int64_t job) {
      auto& total = totals[static_cast<std::size_t>(job * parts)];
      for (std::int64_t part = 1; part < parts; ++part)
        for (std::size_t l = 0; l < total.g.size(); ++l) {
          total.g[l] += totals[static_cast<std::size_t>(job * parts + part)].g[l];
          total.gx[l] += totals[static_cast<std::size_t>(job * parts + part)].gx[l];
        }
      if (jobs.over_pixels())
        for (std::size_t l = 1; l < total.g.size(); ++l) total.g[0] += total.g[l], total.gx[0] += total.gx[l];
      for (int l = 0; l < jobs.channels(job); ++l) {
        const std::int64_t c = jobs.first_channel(job) + l;
        dbeta[c] = static_cast<float>(total.g[static_cast<std::size_t>(l)]);
        dgamma[c] = static_cast<float>(total.gx[static_cast<std::size_t>(l)] * inverse[c]);
      }
    };
    const auto apply = [&](std::int64_t job, std::int64_t part) {
      if (!dx) return;
      const auto n = static_cast<float>(jobs.values_per_channel());
      const detail::ChannelMap centre = forward_map(job);
      const detail::BatchVector k = detail::channel_values(jobs, job, inverse);
      const detail::GradMap map{k * detail::channel_values(jobs, job, gamma.data()),
                                detail::channel_values(jobs, job, dbeta) / n,
                                detail::channel_values(jobs, job, dgamma) * k / n};
      const float* g = masked ? masked : dy;
      jobs.strips(job, part, [&](const detail::Strip& strip) {
        specialise(strip, masked ? Passed::everywhere : passed, [&](auto width, auto how) {
          constexpr bool full = decltype(width)::value;
          constexpr Passed where = decltype(how)::value;
          if (training)
            detail::strip_grad<full, where, true>(strip, in, out, g, dx, centre, map);
          else
            detail::strip_grad<full, where, false>(strip, in, out, g, dx, centre, map);
        });
      });
    };
    detail::channel_passes(jobs, measure, join, apply);
    return grads;
  }
};

template <>
struct batch_norm_impl<double, Cpu> {
  using Tn = Tensor<double, Cpu>;
  static Tn forward(const Tn& x, const Tn& gamma, const Tn& beta, const Tn* residual, Tn& running_mean,
                    Tn& running_var, const BatchNormOptions& options,
                    BatchNormStatistics<double, Cpu>& statistics) {
    return reference::batch_norm_forward(x, gamma, beta, residual, running_mean, running_var, options,
                                         statistics);
  }
  static BatchNormGrads<double, Cpu> backward(const Tn& x, const Tn& gamma, const Tn*, const Tn* y,
                                              const BatchNormStatistics<double, Cpu>& statistics,
                                              const Tn& dy, bool training, const BatchNormWants&) {
    return reference::batch_norm_backward(x, gamma, y, statistics, dy, training);
  }
};

}  // namespace kfer
