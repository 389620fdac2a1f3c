// Operations that move elements and do no arithmetic: reshape, flatten, permute, transpose, concat, slice.
#pragma once

#include <vector>

#include "kfer/autograd/variable.hpp"

namespace kfer {

/// The copies of a device, for any element type:
///   permute(x, dims) -> y with y's dimension i being x's dimension dims[i]
///   concat(parts, dim) -> the parts one after the other along dim
///   slice(x, dim, begin, count) -> elements [begin, begin + count) of dim
///   pad(dy, shape, dim, begin) -> zeros of `shape` with dy at [begin, ...) of dim: the inverse of slice
template <Element T, class D>
struct rearrange_impl;

namespace detail {
/// The parts one after the other along `dim`, in the order of memory that all of them share if each of them
/// `keeps` it, else in row-major order. `copy(part, y, begin)` puts a part of y's order in its place.
template <Element T, class D, class Keeps, class Copy>
Tensor<T, D> concat(const std::vector<Tensor<T, D>>& parts, std::size_t dim, const Keeps& keeps,
                    const Copy& copy) {
  Shape shape = parts[0].shape();
  Layout layout = parts[0].layout();
  std::int64_t extent = 0;
  for (const auto& part : parts) {
    extent += part.shape()[dim];
    if (part.layout() != layout || !keeps(part)) layout = Layout::row_major(shape.rank());
  }
  shape.set(dim, extent);
  Tensor<T, D> y(shape, layout);
  std::int64_t begin = 0;
  for (const auto& part : parts) {
    copy(part.to(layout), y, begin);
    begin += part.shape()[dim];
  }
  return y;
}

template <FloatingElement T, class D>
struct ReshapeBackward {
  Shape from, to;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) { grads.add(0, dy.reshape(from)); }
};

template <FloatingElement T, class D>
struct PermuteBackward {
  std::vector<int> inverse;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, rearrange_impl<T, D>::permute(dy, inverse));
  }
};

template <FloatingElement T, class D>
struct ConcatBackward {
  std::size_t dim;
  std::vector<std::int64_t> extents;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    std::int64_t begin = 0;
    for (std::size_t i = 0; i < extents.size(); begin += extents[i++])
      if (grads.wants(i)) grads.add(i, rearrange_impl<T, D>::slice(dy, dim, begin, extents[i]));
  }
};

template <FloatingElement T, class D>
struct SliceBackward {
  Shape shape;
  std::size_t dim;
  std::int64_t begin;
  void operator()(const Tensor<T, D>& dy, InputGrads<T, D>& grads) {
    grads.add(0, rearrange_impl<T, D>::pad(dy, shape, dim, begin));
  }
};
}  // namespace detail

/// The same elements, in row-major order, under another shape. Throws ShapeError unless the element counts
/// agree.
template <FloatingElement T, class D>
Variable<T, D> reshape(const Variable<T, D>& x, const Shape& shape) {
  return record(x.value().reshape(shape), {x}, detail::ReshapeBackward<T, D>{x.shape(), shape});
}

/// Joins dimension `first` and all after it into one: [N, C, H, W] -> [N, C * H * W].
template <FloatingElement T, class D>
Variable<T, D> flatten(const Variable<T, D>& x, std::int64_t first = 1) {
  Shape shape;
  std::int64_t rest = 1;
  const std::size_t from = x.shape().dim(first);
  for (std::size_t i = 0; i < x.shape().rank(); ++i) {
    if (i < from)
      shape.push_back(x.shape()[i]);
    else
      rest *= x.shape()[i];
  }
  shape.push_back(rest);
  return reshape(x, shape);
}

/// y's dimension i is x's dimension dims[i]. Throws ValueError unless dims holds every dimension once.
template <FloatingElement T, class D>
Variable<T, D> permute(const Variable<T, D>& x, const std::vector<int>& dims) {
  const std::size_t rank = x.shape().rank();
  std::vector<int> order(rank, -1), inverse(rank, -1);
  bool ok = dims.size() == rank;
  for (std::size_t i = 0; ok && i < rank; ++i) {
    order[i] = static_cast<int>(x.shape().dim(dims[i]));
    int& slot = inverse[static_cast<std::size_t>(order[i])];
    ok = slot < 0;
    slot = static_cast<int>(i);
  }
  if (!ok) {
    std::string list;
    for (const int d : dims) list += text(list.empty() ? "" : ", ", d);
    throw ValueError(text("permute: (", list, ") does not name every dimension of ", x.shape(), " once"));
  }
  return record(rearrange_impl<T, D>::permute(x.value(), order), {x},
                detail::PermuteBackward<T, D>{std::move(inverse)});
}

/// Exchanges two dimensions; a matrix is transposed by transpose(x).
template <FloatingElement T, class D>
Variable<T, D> transpose(const Variable<T, D>& x, std::int64_t first = -2, std::int64_t second = -1) {
  std::vector<int> dims(x.shape().rank());
  const std::size_t a = x.shape().dim(first), b = x.shape().dim(second);
  for (std::size_t i = 0; i < dims.size(); ++i) dims[i] = static_cast<int>(i);
  std::swap(dims[a], dims[b]);
  return permute(x, dims);
}

/// The parts one after the other along `dim`; all other extents agree. Throws ShapeError naming the first
/// that do not.
template <FloatingElement T, class D>
Variable<T, D> concat(const std::vector<Variable<T, D>>& parts, std::int64_t dim = 0) {
  require(!parts.empty(), "concat: there is nothing to concatenate");
  const Shape& first = parts[0].shape();
  detail::ConcatBackward<T, D> backward{first.dim(dim), {}};
  std::vector<Tensor<T, D>> values;
  for (const auto& part : parts) {
    Shape same = part.shape();
    if (same.rank() == first.rank()) same.set(backward.dim, first[backward.dim]);
    require<ShapeError>(same == first, "concat: shapes ", first, " and ", part.shape(),
                        " differ outside of dimension ", backward.dim);
    backward.extents.push_back(part.shape()[backward.dim]);
    values.push_back(part.value());
  }
  Tensor<T, D> y = rearrange_impl<T, D>::concat(values, backward.dim);
  return record(std::move(y), parts, std::move(backward));
}

/// Elements [begin, begin + count) of dimension `dim`. Throws ShapeError unless they exist.
template <FloatingElement T, class D>
Variable<T, D> slice(const Variable<T, D>& x, std::int64_t dim, std::int64_t begin, std::int64_t count) {
  const std::size_t d = x.shape().dim(dim);
  require<ShapeError>(begin >= 0 && count >= 0 && begin <= x.shape()[d] - count, "slice: [", begin, ", ",
                      begin, " + ", count, ") is not inside dimension ", d, " of ", x.shape());
  return record(rearrange_impl<T, D>::slice(x.value(), d, begin, count), {x},
                detail::SliceBackward<T, D>{x.shape(), d, begin});
}

}  // namespace kfer
