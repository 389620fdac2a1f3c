// Sums and means over dimensions.
#pragma once

#include <vector>

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// sum(x, kept, factor) -> factor * (sum of x over the dimensions where `kept`, of x's rank, has extent 1),
/// of shape kept; expand(dy, shape, layout, factor) -> factor * dy repeated to shape. One specialisation a
/// device.
template <FloatingElement T, class D>
struct reduce_impl;

struct ReduceOptions {
  std::vector<int> dims = {};  ///< negative ones count from the end; none: all dimensions
  bool keepdim = false;        ///< keep the dimensions, with extent 1
};

namespace detail {
template <FloatingElement T, class D>
struct ReduceBackward {
  Shape shape, kept;
  Layout layout;
  parameter_t<T> factor;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, reduce_impl<T, D>::expand(dy.reshape(kept), shape, layout, factor));
  }
};

template <FloatingElement T, class D>
Variable<T, D> reduce(const char* what, const Variable<T, D>& x, const ReduceOptions& options, bool mean) {
  const Shape& shape = x.shape();
  Shape kept = shape, squeezed;
  std::array<bool, Shape::max_rank> gone{};
  for (const int d : options.dims) {
    bool& slot = gone[shape.dim(d)];
    require(!slot, what, ": dimension ", d, " of ", shape, " is given twice");
    slot = true;
  }
  if (options.dims.empty()) gone.fill(true);
  std::int64_t count = 1;
  for (std::size_t d = 0; d < shape.rank(); ++d) {
    if (gone[d]) {
      count *= shape[d];
      kept.set(d, 1);
    }
    if (!gone[d] || options.keepdim) squeezed.push_back(gone[d] ? 1 : shape[d]);
  }
  require(!mean || count > 0, what, ": there is no mean over no elements, got input ", shape);
  using Factor = parameter_t<T>;
  const Factor factor = mean ? Factor(1) / static_cast<Factor>(count) : Factor(1);
  return record(reduce_impl<T, D>::sum(x.value(), kept, factor).reshape(squeezed), {x},
                ReduceBackward<T, D>{shape, kept, x.value().layout(), factor});
}
}  // namespace detail

/// The sum over the given dimensions, or over all. Throws ShapeError for a dimension that does not exist.
template <FloatingElement T, class D>
Variable<T, D> sum(const Variable<T, D>& x, const ReduceOptions& options = {}) {
  return detail::reduce("sum", x, options, false);
}
/// The mean over the given dimensions, or over all. Throws as sum does, and ValueError for a mean over no
/// elements.
template <FloatingElement T, class D>
Variable<T, D> mean(const Variable<T, D>& x, const ReduceOptions& options = {}) {
  return detail::reduce("mean", x, options, true);
}

}  // namespace kfer
