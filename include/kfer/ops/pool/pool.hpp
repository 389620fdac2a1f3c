// Pooling over the pixels of [N, C, H, W]: maximum, average, and the average of a whole map.
#pragma once

#include "kfer/autograd/variable.hpp"
#include "kfer/core/extent2d.hpp"

namespace kfer {

struct MaxPool2dOptions {
  Extent2d kernel = 2;
  Extent2d stride = 0;   ///< 0: the kernel's extent
  Extent2d padding = 0;  ///< of minus infinity, on each side; at most half the kernel
};

struct AvgPool2dOptions {
  Extent2d kernel = 2;
  Extent2d stride = 0;            ///< 0: the kernel's extent
  Extent2d padding = 0;           ///< of zeros, on each side; at most half the kernel
  bool count_include_pad = true;  ///< whether the padding counts in the number that the sum is divided by
};

/// All sizes of one pooling, checked.
struct Pool2dShape {
  std::int64_t batch, channels, height, width, out_height, out_width;
  Extent2d kernel, stride, padding;

  Shape input() const { return {batch, channels, height, width}; }
  Shape output() const { return {batch, channels, out_height, out_width}; }
  std::int64_t window() const { return kernel.height * kernel.width; }

  /// Throws ShapeError or ValueError naming the input and what does not fit.
  static Pool2dShape of(const char* what, const Shape& x, const Extent2d& kernel, const Extent2d& step,
                        const Extent2d& padding) {
    const Extent2d stride = step == Extent2d(0) ? kernel : step;
    require<ShapeError>(x.rank() == 4, what, ": expected input [N, C, H, W], got ", x);
    require(kernel.height >= 1 && kernel.width >= 1 && stride.height >= 1 && stride.width >= 1, what,
            ": kernel and stride must be at least 1, got kernel ", kernel.height, " x ", kernel.width,
            ", stride ", stride.height, " x ", stride.width);
    require(padding.height >= 0 && padding.width >= 0 && 2 * padding.height <= kernel.height &&
                2 * padding.width <= kernel.width,
            what, ": padding must be between 0 and half the kernel, got padding ", padding.height, " x ",
            padding.width, ", kernel ", kernel.height, " x ", kernel.width);
    const std::int64_t h = x[2] + 2 * padding.height, w = x[3] + 2 * padding.width;
    require<ShapeError>(x[2] >= 1 && x[3] >= 1 && h >= kernel.height && w >= kernel.width, what, ": kernel ",
                        kernel.height, " x ", kernel.width, " is larger than the padded input ", h, " x ", w,
                        " of ", x);
    return {x[0],
            x[1],
            x[2],
            x[3],
            (h - kernel.height) / stride.height + 1,
            (w - kernel.width) / stride.width + 1,
            kernel,
            stride,
            padding};
  }
};

/// Which cell of its window (row times kernel width plus column) each maximum came from, in the memory order
/// of y. `narrow` serves windows of up to 256 cells, `wide` larger ones.
template <class D>
struct MaxPoolIndex {
  Tensor<std::uint8_t, D> narrow;
  Tensor<std::int32_t, D> wide;
};

/// forward(shape, x, index or nullptr) -> y in the memory order of x; backward(shape, index, dy) -> dx.
template <FloatingElement T, class D>
struct max_pool2d_impl;
/// forward(shape, count_include_pad, x) -> y; backward(shape, count_include_pad, dy) -> dx.
template <FloatingElement T, class D>
struct avg_pool2d_impl;
/// forward(x) -> y [N, C]; backward(dy, x's shape, x's layout) -> dx.
template <FloatingElement T, class D>
struct global_avg_pool_impl;

namespace detail {
template <FloatingElement T, class D>
struct MaxPool2dBackward {
  Pool2dShape shape;
  MaxPoolIndex<D> index;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, max_pool2d_impl<T, D>::backward(shape, index, dy));
  }
};
template <FloatingElement T, class D>
struct AvgPool2dBackward {
  Pool2dShape shape;
  bool count_include_pad;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, avg_pool2d_impl<T, D>::backward(shape, count_include_pad, dy));
  }
};
template <FloatingElement T, class D>
struct GlobalAvgPoolBackward {
  Shape shape;
  Layout layout;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, global_avg_pool_impl<T, D>::backward(dy, shape, layout));
  }
};
}  // namespace detail

/// The largest element of each window: [N, C, H, W] -> [N, C, floor((H + 2p - k) / s) + 1, ...]. The gradient
/// goes to the first of equal maxima in row-major order; a NaN in the window is the result. Throws ShapeError
/// or ValueError.
template <FloatingElement T, class D>
Variable<T, D> max_pool2d(const Variable<T, D>& x, const MaxPool2dOptions& options = {}) {
  const auto shape =
      Pool2dShape::of("max_pool2d", x.shape(), options.kernel, options.stride, options.padding);
  MaxPoolIndex<D> index;
  Tensor<T, D> y = max_pool2d_impl<T, D>::forward(shape, x.value(), will_record(x) ? &index : nullptr);
  return record(std::move(y), {x}, detail::MaxPool2dBackward<T, D>{shape, std::move(index)});
}

/// The mean of each window, of the same sizes as max_pool2d. Throws ShapeError or ValueError.
template <FloatingElement T, class D>
Variable<T, D> avg_pool2d(const Variable<T, D>& x, const AvgPool2dOptions& options = {}) {
  const auto shape =
      Pool2dShape::of("avg_pool2d", x.shape(), options.kernel, options.stride, options.padding);
  Tensor<T, D> y = avg_pool2d_impl<T, D>::forward(shape, options.count_include_pad, x.value());
  return record(std::move(y), {x}, detail::AvgPool2dBackward<T, D>{shape, options.count_include_pad});
}

/// The mean over all pixels: [N, C, H, W] -> [N, C]. Throws ShapeError unless x has rank 4 and at least one
/// pixel.
template <FloatingElement T, class D>
Variable<T, D> global_avg_pool(const Variable<T, D>& x) {
  const Shape& s = x.shape();
  require<ShapeError>(s.rank() == 4 && s[2] >= 1 && s[3] >= 1,
                      "global_avg_pool: expected input [N, C, H, W] of at least one pixel, got ", s);
  return record(global_avg_pool_impl<T, D>::forward(x.value()), {x},
                detail::GlobalAvgPoolBackward<T, D>{s, x.value().layout()});
}

}  // namespace kfer
