// Tensors and xtensor, the host's array type: views, slicing, printing, statistics. Kept apart because it
// costs a compiler several seconds.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)  // 0.26 moved its headers into folders
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include "kfer/device/cpu.hpp"
#include "kfer/tensor/relayout.hpp"
#include "kfer/tensor/tensor.hpp"

namespace kfer {

/// A row-major tensor's memory as an xtensor expression, without a copy; valid while `x` lives unchanged.
/// Throws ValueError if the tensor is in another memory order: take `x.row_major()` first.
template <Element T>
auto host(const Tensor<T, Cpu>& x) {
  require(x.layout().is_row_major(), "host: the tensor of shape ", x.shape(),
          " is not row-major; use row_major()");
  const std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  return xt::adapt(x.data(), static_cast<std::size_t>(x.numel()), xt::no_ownership(), shape);
}
/// The same for writing: takes a storage of its own first if it is shared with other tensors.
template <Element T>
auto host(Tensor<T, Cpu>& x) {
  require(x.layout().is_row_major(), "host: the tensor of shape ", x.shape(),
          " is not row-major; use row_major()");
  const std::vector<std::size_t> shape(x.shape().begin(), x.shape().end());
  T* data = x.mutable_data();
  return xt::adapt(data, static_cast<std::size_t>(x.numel()), xt::no_ownership(), shape);
}

/// A tensor with the elements of any xtensor expression.
template <class Expression>
auto from_host(const xt::xexpression<Expression>& expression) {
  using T = std::remove_const_t<typename Expression::value_type>;
  const xt::xarray<T> values = expression.derived_cast();
  Shape shape;
  for (const auto extent : values.shape()) shape.push_back(static_cast<std::int64_t>(extent));
  return Tensor<T, Cpu>(shape, std::span<const T>(values.data(), values.size()));
}

/// All elements of a tensor on any device, copied to an array of their own.
template <Element T, class D>
xt::xarray<T> to_host(const Tensor<T, D>& x) {
  const std::vector<T> values = x.to_vector();
  xt::xarray<T> out(std::vector<std::size_t>(x.shape().begin(), x.shape().end()));
  std::copy(values.begin(), values.end(), out.begin());
  return out;
}

}  // namespace kfer
