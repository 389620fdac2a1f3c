// Rows of one length from one pitch to another: what concatenation, slicing and padding with zeros are made
// of.
//
// A thread copies the widest unit (1 to 16 bytes) that divides pitches, length and addresses. Reads and
// writes rows * bytes once.
#pragma once

#include "../common/divide.cuh"
#include "../common/grid.cuh"
#include "../common/vec.cuh"

KFER_KERNELS_BEGIN

/// Any grid; pitches and length in units.
template <class Unit, class Index>
__global__ void __launch_bounds__(256)
    pitched_copy_kernel(const Unit* __restrict__ x, Index x_pitch, Unit* __restrict__ y, Index y_pitch,
                        Divider<Index> length, Index units) {
  const Index stride = static_cast<Index>(gridDim.x) * blockDim.x;
  for (Index at = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; at < units; at += stride) {
    Index column = 0;
    const Index row = length.divide(at, column);
    y[row * y_pitch + column] = x[row * x_pitch + column];
  }
}

namespace detail {
template <class Unit>
bool launch_pitched_copy(const void* x, long long x_pitch, void* y, long long y_pitch, long long rows,
                         long long bytes, Stream stream) {
  constexpr long long size = sizeof(Unit);
  const auto fits = [](auto n) { return static_cast<unsigned long long>(n) % size == 0; };
  if (!(fits(reinterpret_cast<unsigned long long>(x)) && fits(reinterpret_cast<unsigned long long>(y)) &&
        fits(bytes) && (rows == 1 || (fits(x_pitch) && fits(y_pitch)))))
    return false;
  const long long units = rows * (bytes / size), farthest = rows * (x_pitch > y_pitch ? x_pitch : y_pitch);
  const auto run = [&]<class Index>(Index) {
    launch(pitched_copy_kernel<Unit, Index>, dim3(grid_blocks(units, 256)), dim3(256), 0, stream,
           static_cast<const Unit*>(x), static_cast<Index>(x_pitch / size), static_cast<Unit*>(y),
           static_cast<Index>(y_pitch / size), Divider<Index>(bytes / size), static_cast<Index>(units));
  };
  if (fits_divider((units > farthest / size ? units : farthest / size) + (1ll << 28)))
    run(0u);
  else
    run(0ull);
  return true;
}
}  // namespace detail

/// `rows` rows of `bytes` bytes, `x_pitch` bytes apart in x and `y_pitch` in y.
inline void pitched_copy(const void* x, long long x_pitch, void* y, long long y_pitch, long long rows,
                         long long bytes, Stream stream) {
  if (rows == 0 || bytes == 0) return;
  static_cast<void>(
      detail::launch_pitched_copy<Vec<unsigned, 4>>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
      detail::launch_pitched_copy<unsigned long long>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
      detail::launch_pitched_copy<unsigned>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
      detail::launch_pitched_copy<unsigned short>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
      detail::launch_pitched_copy<unsigned char>(x, x_pitch, y, y_pitch, rows, bytes, stream));
}

KFER_KERNELS_END
