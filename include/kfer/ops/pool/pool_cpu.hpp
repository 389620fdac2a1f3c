// Pooling on the Cpu, vectorised over channels, in any memory order. The backward passes gather: a row of dx
// is formed by one thread, from the windows that cover it.
#pragma once

#include <limits>

#include "kfer/ops/pool/pool_reference.hpp"
#include "kfer/tensor/lanes.hpp"

namespace kfer {
namespace detail {

/// Half-open range of positions along one axis.
struct PoolRange {
  std::int64_t begin, end;
};
/// The cells of window `i` that lie inside an axis of `size`.
inline PoolRange window_cells(std::int64_t i, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                              std::int64_t size) {
  const std::int64_t start = i * stride - padding;
  return {std::max<std::int64_t>(0, -start), std::min(kernel, size - start)};
}
/// The windows, of `count`, that cover position `at`.
inline PoolRange covering_windows(std::int64_t at, std::int64_t kernel, std::int64_t stride,
                                  std::int64_t padding, std::int64_t count) {
  const std::int64_t p = at + padding;
  return {p < kernel ? 0 : (p - kernel) / stride + 1, std::min(count, p / stride + 1)};
}

template <int V, class Cell>
[[gnu::always_inline]] inline lanes_i32<V> load_cells(const Cell* p) {
  if constexpr (std::is_same_v<Cell, std::int32_t> || V == 1) {
    if constexpr (V == 1)
      return *p;
    else
      return load_lanes<lanes_i32<V>>(p);
  } else {
    return __builtin_convertvector(load_lanes<lanes_u8<V>>(p), lanes_i32<V>);
  }
}
template <int V, class Cell>
[[gnu::always_inline]] inline void store_cells(Cell* p, lanes_i32<V> v) {
  if constexpr (V == 1)
    *p = static_cast<Cell>(v);
  else if constexpr (std::is_same_v<Cell, std::int32_t>)
    store_lanes(p, v);
  else
    store_lanes(p, __builtin_convertvector(v, lanes_u8<V>));
}

/// K: the extent of a square kernel known when compiling, or 0.
template <int V, int K, class Cell>
void max_pool_planes(const Pool2dShape& s, const Planes& planes, const float* x, float* y, Cell* cells) {
  using vec = lanes_f32<V>;
  const std::int64_t lanes = planes.lanes;
  const std::int64_t kh = K ? K : s.kernel.height, kw = K ? K : s.kernel.width;
  parallel_for(planes.images * planes.blocks * s.out_height, [=, &s](std::int64_t r) {
    const std::int64_t i = r % s.out_height;
    const float* plane = x + r / s.out_height * s.height * s.width * lanes;
    const PoolRange rows = window_cells(i, kh, s.stride.height, s.padding.height, s.height);
    for (std::int64_t j = 0; j < s.out_width; ++j) {
      const PoolRange columns = window_cells(j, kw, s.stride.width, s.padding.width, s.width);
      const float* corner =
          plane +
          ((i * s.stride.height - s.padding.height) * s.width + j * s.stride.width - s.padding.width) * lanes;
      const std::int64_t at = (r * s.out_width + j) * lanes;
      const auto window = [&](std::int64_t l, std::int64_t u0, std::int64_t u1, std::int64_t v0,
                              std::int64_t v1) {
        vec best = load_lanes<vec>(corner + (u0 * s.width + v0) * lanes + l);
        lanes_i32<V> from = lanes_i32<V>{} + static_cast<std::int32_t>(u0 * kw + v0);
        for (std::int64_t u = u0; u < u1; ++u)
          for (std::int64_t v = v0; v < v1; ++v) {
            const vec value = load_lanes<vec>(corner + (u * s.width + v) * lanes + l);
            const auto better = (value > best) | (value != value);
            best = better ? value : best;
            from = better ? lanes_i32<V>{} + static_cast<std::int32_t>(u * kw + v) : from;
          }
        store_lanes(y + at + l, best);
        if (cells) store_cells<V>(cells + at + l, from);
      };
      const bool inside = rows.begin == 0 && rows.end == kh && columns.begin == 0 && columns.end == kw;
      for (std::int64_t l = 0; l < lanes; l += V) {
        if (inside)
          window(l, 0, kh, 0, kw);
        else
          window(l, rows.begin, rows.end, columns.begin, columns.end);
      }
    }
  });
}

/// Any windows: a row of dx is gathered from the rows of windows that cover it. K: the width of the kernel if
/// it is known when compiling, or 0.
template <int V, int K, class Cell>
void max_pool_planes_backward(const Pool2dShape& s, const Planes& planes, const float* dy, const Cell* cells,
                              float* dx) {
  using vec = lanes_f32<V>;
  const std::int64_t lanes = planes.lanes, kw = K ? K : s.kernel.width;
  parallel_for(planes.images * planes.blocks * s.height, [=, &s](std::int64_t r) {
    const std::int64_t h = r % s.height, plane = r / s.height * s.out_height * s.out_width;
    float* row = dx + r * s.width * lanes;
    std::fill_n(row, s.width * lanes, 0.0f);
    const PoolRange rows =
        covering_windows(h, s.kernel.height, s.stride.height, s.padding.height, s.out_height);
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const auto first = static_cast<std::int32_t>((h + s.padding.height - i * s.stride.height) * kw);
      for (std::int64_t j = 0; j < s.out_width; ++j) {
        const PoolRange columns = window_cells(j, kw, s.stride.width, s.padding.width, s.width);
        const std::int64_t at = (plane + i * s.out_width + j) * lanes,
                           left = j * s.stride.width - s.padding.width;
        for (std::int64_t l = 0; l < lanes; l += V) {
          const vec g = load_lanes<vec>(dy + at + l);
          const lanes_i32<V> cell = load_cells<V>(cells + at + l) - first;
          const auto add = [&](std::int64_t v) {
            float* to = row + (left + v) * lanes + l;
            store_lanes(to, vec(load_lanes<vec>(to) +
                                (cell == lanes_i32<V>{} + static_cast<std::int32_t>(v) ? g : vec{})));
          };
          if (K && columns.begin == 0 && columns.end == K) {
            for (int v = 0; v < K; ++v) add(v);
          } else {
            for (std::int64_t v = columns.begin; v < columns.end; ++v) add(v);
          }
        }
      }
    }
  });
}

/// Windows that do not overlap, of K x K cells: each is read once and spread over its cells.
template <int V, int K, class Cell>
void max_pool_tiles_backward(const Pool2dShape& s, const Planes& planes, const float* dy, const Cell* cells,
                             float* dx) {
  using vec = lanes_f32<V>;
  const std::int64_t lanes = planes.lanes, row = s.width * lanes;
  parallel_for(planes.images * planes.blocks * s.out_height, [=, &s](std::int64_t r) {
    const std::int64_t i = r % s.out_height;
    float* top = dx + (r / s.out_height * s.height + i * K) * row;
    const float* d = dy + r * s.out_width * lanes;
    const Cell* c = cells + r * s.out_width * lanes;
    for (std::int64_t j = 0; j < s.out_width; ++j)
      for (std::int64_t l = 0; l < lanes; l += V) {
        const vec g = load_lanes<vec>(d + j * lanes + l);
        const lanes_i32<V> cell = load_cells<V>(c + j * lanes + l);
        for (int u = 0; u < K; ++u)
          for (int v = 0; v < K; ++v)
            store_lanes(top + u * row + (j * K + v) * lanes + l,
                        vec(cell == lanes_i32<V>{} + (u * K + v) ? g : vec{}));
      }
    // What no window covers: columns on the right, rows at the bottom.
    const std::int64_t covered = s.out_width * K * lanes, last = i + 1 == s.out_height ? s.height - i * K : K;
    for (std::int64_t u = 0; u < K; ++u) std::fill(top + u * row + covered, top + (u + 1) * row, 0.0f);
    for (std::int64_t u = K; u < last; ++u) std::fill_n(top + u * row, row, 0.0f);
  });
}

template <int V, class Cell>
void max_pool_backward_dispatch(const Pool2dShape& s, const Planes& planes, const float* dy,
                                const Cell* cells, float* dx) {
  if (s.kernel == Extent2d(2) && s.stride == Extent2d(2) && s.padding == Extent2d(0))
    max_pool_tiles_backward<V, 2>(s, planes, dy, cells, dx);
  else if (s.kernel.width == 3)
    max_pool_planes_backward<V, 3>(s, planes, dy, cells, dx);
  else
    max_pool_planes_backward<V, 0>(s, planes, dy, cells, dx);
}

template <class Cell>
void max_pool_dispatch(const Pool2dShape& s, const Planes& planes, const float* x, float* y, Cell* cells) {
  with_lanes(planes.lanes, [&](auto width) {
    constexpr int V = width;
    if (s.kernel == Extent2d(2))
      max_pool_planes<V, 2>(s, planes, x, y, cells);
    else if (s.kernel == Extent2d(3))
      max_pool_planes<V, 3>(s, planes, x, y, cells);
    else
      max_pool_planes<V, 0>(s, planes, x, y, cells);
  });
}

}  // namespace detail

template <>
struct max_pool2d_impl<float, Cpu> {
  static Tensor<float, Cpu> forward(const Pool2dShape& s, const Tensor<float, Cpu>& input,
                                    MaxPoolIndex<Cpu>* index) {
    const Tensor<float, Cpu> x = detail::planar(input);
    const auto planes = detail::Planes::of(x.shape(), x.layout());
    Tensor<float, Cpu> y(s.output(), x.layout());
    float* out = y.mutable_data();
    if (s.window() <= 256) {
      if (index) index->narrow = Tensor<std::uint8_t, Cpu>(s.output(), x.layout());
      detail::max_pool_dispatch(s, planes, x.data(), out, index ? index->narrow.mutable_data() : nullptr);
    } else {
      if (index) index->wide = Tensor<std::int32_t, Cpu>(s.output(), x.layout());
      detail::max_pool_dispatch(s, planes, x.data(), out, index ? index->wide.mutable_data() : nullptr);
    }
    return y;
  }

  static Tensor<float, Cpu> backward(const Pool2dShape& s, const MaxPoolIndex<Cpu>& index,
                                     const Tensor<float, Cpu>& grad) {
    const bool narrow = s.window() <= 256;
    const Layout& layout = narrow ? index.narrow.layout() : index.wide.layout();
    const Tensor<float, Cpu> dy = grad.to(layout);
    const auto planes = detail::Planes::of(s.output(), layout);
    Tensor<float, Cpu> dx(s.input(), layout);
    float* d = dx.mutable_data();
    detail::with_lanes(planes.lanes, [&](auto width) {
      constexpr int V = width;
      if (narrow)
        detail::max_pool_backward_dispatch<V>(s, planes, dy.data(), index.narrow.data(), d);
      else
        detail::max_pool_backward_dispatch<V>(s, planes, dy.data(), index.wide.data(), d);
    });
    return dx;
  }
};

template <>
struct avg_pool2d_impl<float, Cpu> {
  static Tensor<float, Cpu> forward(const Pool2dShape& s, bool count_include_pad,
                                    const Tensor<float, Cpu>& input) {
    const Tensor<float, Cpu> x = detail::planar(input);
    const auto planes = detail::Planes::of(x.shape(), x.layout());
    Tensor<float, Cpu> y(s.output(), x.layout());
    const float* in = x.data();
    float* out = y.mutable_data();
    detail::with_lanes(planes.lanes, [&](auto width) {
      constexpr int V = width;
      using vec = detail::lanes_f32<V>;
      const std::int64_t lanes = planes.lanes;
      parallel_for(planes.images * planes.blocks * s.out_height, [&, lanes](std::int64_t r) {
        const std::int64_t i = r % s.out_height, top = i * s.stride.height - s.padding.height;
        const float* plane = in + r / s.out_height * s.height * s.width * lanes;
        const auto rows =
            detail::window_cells(i, s.kernel.height, s.stride.height, s.padding.height, s.height);
        for (std::int64_t j = 0; j < s.out_width; ++j) {
          const std::int64_t left = j * s.stride.width - s.padding.width;
          const auto columns =
              detail::window_cells(j, s.kernel.width, s.stride.width, s.padding.width, s.width);
          const float divisor = static_cast<float>(reference::pool_divisor(s, count_include_pad, i, j));
          for (std::int64_t l = 0; l < lanes; l += V) {
            vec sum{};
            for (std::int64_t u = rows.begin; u < rows.end; ++u)
              for (std::int64_t v = columns.begin; v < columns.end; ++v)
                sum += detail::load_lanes<vec>(plane + ((top + u) * s.width + left + v) * lanes + l);
            detail::store_lanes(out + (r * s.out_width + j) * lanes + l, vec(sum / divisor));
          }
        }
      });
    });
    return y;
  }

  static Tensor<float, Cpu> backward(const Pool2dShape& s, bool count_include_pad,
                                     const Tensor<float, Cpu>& grad) {
    const Tensor<float, Cpu> dy = detail::planar(grad);
    const auto planes = detail::Planes::of(dy.shape(), dy.layout());
    Tensor<float, Cpu> dx(s.input(), dy.layout());
    const float* in = dy.data();
    float* out = dx.mutable_data();
    std::vector<float> share(static_cast<std::size_t>(s.out_height * s.out_width));
    for (std::int64_t k = 0; k < s.out_height * s.out_width; ++k)
      share[static_cast<std::size_t>(k)] =
          1.0f /
          static_cast<float>(reference::pool_divisor(s, count_include_pad, k / s.out_width, k % s.out_width));
    detail::with_lanes(planes.lanes, [&](auto width) {
      constexpr int V = width;
      using vec = detail::lanes_f32<V>;
      const std::int64_t lanes = planes.lanes;
      parallel_for(planes.images * planes.blocks * s.height, [&, lanes](std::int64_t r) {
        const std::int64_t h = r % s.height;
        const float* plane = in + r / s.height * s.out_height * s.out_width * lanes;
        const auto rows =
            detail::covering_windows(h, s.kernel.height, s.stride.height, s.padding.height, s.out_height);
        for (std::int64_t w = 0; w < s.width; ++w) {
          const auto columns =
              detail::covering_windows(w, s.kernel.width, s.stride.width, s.padding.width, s.out_width);
          for (std::int64_t l = 0; l < lanes; l += V) {
            vec sum{};
            for (std::int64_t i = rows.begin; i < rows.end; ++i)
              for (std::int64_t j = columns.begin; j < columns.end; ++j) {
                const std::int64_t k = i * s.out_width + j;
                sum += detail::load_lanes<vec>(plane + k * lanes + l) * share[static_cast<std::size_t>(k)];
              }
            detail::store_lanes(out + (r * s.width + w) * lanes + l, sum);
          }
        }
      });
    });
    return dx;
  }
};

template <>
struct global_avg_pool_impl<float, Cpu> {
  static Tensor<float, Cpu> forward(const Tensor<float, Cpu>& input) {
    const Tensor<float, Cpu> x = detail::planar(input);
    const auto planes = detail::Planes::of(x.shape(), x.layout());
    Tensor<float, Cpu> y({x.shape()[0], x.shape()[1]});
    const float* in = x.data();
    float* out = y.mutable_data();
    const float factor = 1.0f / static_cast<float>(planes.pixels);
    const std::int64_t lanes = planes.lanes, pixels = planes.pixels;
    parallel_for(planes.images * planes.blocks, [&](std::int64_t k) {
      const float* plane = in + k * pixels * lanes;
      if (lanes == 1) {
        out[k] = sum_of(plane, pixels) * factor;
        return;
      }
      detail::with_lanes(lanes, [&](auto width) {
        constexpr int V = width;
        using vec = detail::lanes_f32<V>;
        for (std::int64_t l = 0; l < lanes; l += V) {
          vec even{}, odd{};
          std::int64_t p = 0;
          for (; p + 2 <= pixels; p += 2) {
            even += detail::load_lanes<vec>(plane + p * lanes + l);
            odd += detail::load_lanes<vec>(plane + (p + 1) * lanes + l);
          }
          if (p < pixels) even += detail::load_lanes<vec>(plane + p * lanes + l);
          detail::store_lanes(out + k * lanes + l, vec((even + odd) * factor));
        }
      });
    });
    return y;
  }

  static Tensor<float, Cpu> backward(const Tensor<float, Cpu>& grad, const Shape& shape,
                                     const Layout& wanted) {
    const Layout layout = detail::Planes::fits(shape, wanted) ? wanted : Layout::row_major(4);
    const Tensor<float, Cpu> dy = grad.row_major();
    const auto planes = detail::Planes::of(shape, layout);
    Tensor<float, Cpu> dx(shape, layout);
    const float* in = dy.data();
    float* out = dx.mutable_data();
    const float factor = 1.0f / static_cast<float>(planes.pixels);
    const std::int64_t lanes = planes.lanes, pixels = planes.pixels;
    parallel_for(planes.images * planes.blocks, [&](std::int64_t k) {
      float* plane = out + k * pixels * lanes;
      if (lanes == 1) {
        std::fill_n(plane, pixels, in[k] * factor);
        return;
      }
      for (std::int64_t l = 0; l < lanes; ++l) plane[l] = in[k * lanes + l] * factor;
      for (std::int64_t p = 1; p < pixels; ++p) std::copy_n(plane, lanes, plane + p * lanes);
    });
    return dx;
  }

 private:
  static float sum_of(const float* p, std::int64_t n) {
    constexpr int W = simd_width;
    simd_f32<W> sums{};
    std::int64_t i = 0;
    for (; i + W <= n; i += W) sums += simd_load<W>(p + i);
    float sum = 0;
    for (int l = 0; l < W; ++l) sum += sums[l];
    for (; i < n; ++i) sum += p[i];
    return sum;
  }
};

template <>
struct max_pool2d_impl<double, Cpu> {
  static Tensor<double, Cpu> forward(const Pool2dShape& s, const Tensor<double, Cpu>& x,
                                     MaxPoolIndex<Cpu>* index) {
    return reference::max_pool2d_forward(s, x, index);
  }
  static Tensor<double, Cpu> backward(const Pool2dShape& s, const MaxPoolIndex<Cpu>& index,
                                      const Tensor<double, Cpu>& dy) {
    return reference::max_pool2d_backward(s, index, dy);
  }
};

template <>
struct avg_pool2d_impl<double, Cpu> {
  static Tensor<double, Cpu> forward(const Pool2dShape& s, bool count_include_pad,
                                     const Tensor<double, Cpu>& x) {
    return reference::avg_pool2d_forward(s, count_include_pad, x);
  }
  static Tensor<double, Cpu> backward(const Pool2dShape& s, bool count_include_pad,
                                      const Tensor<double, Cpu>& dy) {
    return reference::avg_pool2d_backward(s, count_include_pad, dy);
  }
};

template <>
struct global_avg_pool_impl<double, Cpu> {
  static Tensor<double, Cpu> forward(const Tensor<double, Cpu>& x) {
    return reference::global_avg_pool_forward(x);
  }
  static Tensor<double, Cpu> backward(const Tensor<double, Cpu>& dy, const Shape& shape, const Layout&) {
    return reference::global_avg_pool_backward(dy, shape);
  }
};

}  // namespace kfer
