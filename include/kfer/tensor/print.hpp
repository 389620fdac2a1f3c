// Tensors as text, for eyes: nested brackets, long dimensions abridged.
#pragma once

#include <cstdio>

#include "kfer/tensor/tensor.hpp"

namespace kfer {
namespace detail {

template <Element T>
std::string element_text(T value) {
  char buffer[32];
  if constexpr (FloatingElement<T>) {
    if (value != value) return "nan";  // its sign says nothing
    std::snprintf(buffer, sizeof buffer, "%.4g", static_cast<double>(value));
  } else {
    std::snprintf(buffer, sizeof buffer, "%lld", static_cast<long long>(value));
  }
  return buffer;
}

template <Element T>
void append_nested(std::string& out, const std::vector<T>& values, const Shape& shape, std::size_t dim,
                   std::int64_t first, std::int64_t edge) {
  if (dim == shape.rank()) {
    out += element_text(values[static_cast<std::size_t>(first)]);
    return;
  }
  std::int64_t step = 1;
  for (std::size_t d = dim + 1; d < shape.rank(); ++d) step *= shape[d];
  const bool last = dim + 1 == shape.rank();
  const std::string separator = last ? ", " : ",\n" + std::string(dim + 1, ' ');
  out += '[';
  for (std::int64_t i = 0; i < shape[dim]; ++i) {
    if (i) out += separator;
    if (shape[dim] - edge > edge && i == edge) {
      out += "..." + separator;
      i = shape[dim] - edge;
    }
    append_nested(out, values, shape, dim + 1, first + i * step, edge);
  }
  out += ']';
}

}  // namespace detail

/// "float32[2, 3] on cpu\n[[1, 2, 3],\n [4, 5, 6]]"; dimensions longer than 2 * edge show their ends.
/// Throws ValueError if edge < 1.
template <Element T, class D>
std::string to_string(const Tensor<T, D>& x, std::int64_t edge = 3) {
  require(edge >= 1, "to_string: edge must be at least 1, got ", edge);
  std::string out = text(dtype_name<T>(), x.shape(), " on ", D::name, '\n');
  if (x.numel() == 0) return out += "[]";
  detail::append_nested(out, x.to_vector(), x.shape(), 0, 0, edge);
  return out;
}

}  // namespace kfer
