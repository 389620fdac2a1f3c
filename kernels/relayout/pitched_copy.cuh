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
template <class Unit>
__global__ void __launch_bounds__(256)
    pitched_copy_kernel(const Unit* __restrict__ x, long long x_pitch, Unit* __restrict__ y,
                        long long y_pitch, Divider<unsigned> length, unsigned units) {
  const unsigned stride = gridDim.x * blockDim.x;
  for (unsigned at = blockIdx.x * blockDim.x + threadIdx.x; at < units; at += stride) {
    unsigned column = 0;
    const unsigned row = length.divide(at, column);
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
  const long long units = rows * (bytes / size);
  launch(pitched_copy_kernel<Unit>, dim3(grid_blocks(units, 256)), dim3(256), 0, stream,
         static_cast<const Unit*>(x), x_pitch / size, static_cast<Unit*>(y), y_pitch / size,
         Divider<unsigned>(bytes / size), static_cast<unsigned>(units));
  return true;
}

/// pitched_copy, with at most `most` bytes a launch.
inline void pitched_copy(long long most, const void* x, long long x_pitch, void* y, long long y_pitch,
                         long long rows, long long bytes, Stream stream) {
  if (rows == 0 || bytes == 0) return;
  const auto* from = static_cast<const unsigned char*>(x);
  auto* to = static_cast<unsigned char*>(y);
  if (rows > 1 && rows * bytes > most) {
    const long long half = rows / 2;
    pitched_copy(most, from, x_pitch, to, y_pitch, half, bytes, stream);
    return pitched_copy(most, from + half * x_pitch, x_pitch, to + half * y_pitch, y_pitch, rows - half,
                        bytes, stream);
  }
  if (bytes > most) {  // one long row
    pitched_copy(most, from, x_pitch, to, y_pitch, 1, most, stream);
    return pitched_copy(most, from + most, x_pitch, to + most, y_pitch, 1, bytes - most, stream);
  }
  static_cast<void>(launch_pitched_copy<Vec<unsigned, 4>>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
                    launch_pitched_copy<unsigned long long>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
                    launch_pitched_copy<unsigned>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
                    launch_pitched_copy<unsigned short>(x, x_pitch, y, y_pitch, rows, bytes, stream) ||
                    launch_pitched_copy<unsigned char>(x, x_pitch, y, y_pitch, rows, bytes, stream));
}
}  // namespace detail

/// `rows` rows of `bytes` bytes, `x_pitch` bytes apart in x and `y_pitch` in y.
inline void pitched_copy(const void* x, long long x_pitch, void* y, long long y_pitch, long long rows,
                         long long bytes, Stream stream) {
  detail::pitched_copy(most_indexed, x, x_pitch, y, y_pitch, rows, bytes, stream);
}

KFER_KERNELS_END
