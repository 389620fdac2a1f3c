// A row in the registers of a warp, or of 4, 8 or 16 lanes of one if it is short: read once, reduced by
// shuffles, written once. No shared memory and no barrier.
//
// Rows of up to 1024 elements (512 doubles). Moves the floor: 2 n sizeof(T) bytes forward, 3 n sizeof(T)
// backward, 16 bytes an access where the row's length allows it (then every row is aligned as the first).
#pragma once

#include "../common/row.cuh"

KFER_KERNELS_BEGIN

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::threads)
    softmax_warp_kernel(const T* __restrict__ x, T* __restrict__ y, long long rows, int cols,
                        bool logarithm) {
  using A = accum_t<T>;
  for (long long first = static_cast<long long>(blockIdx.x) * Tile::rows_per_block; first < rows;
       first += static_cast<long long>(gridDim.x) * Tile::rows_per_block) {
    const long long r = first + threadIdx.x / Tile::lanes;
    A v[Tile::size];
    Tile::load(x + r * cols, cols, r < rows, A(-INFINITY), v);
    const A sum = Tile::shift_and_sum(v), log_sum = std::log(sum), share = A(1) / sum;
#pragma unroll
    for (int i = 0; i < Tile::size; ++i) v[i] = logarithm ? v[i] - log_sum : std::exp(v[i]) * share;
    Tile::store(y + r * cols, cols, r < rows, v);
  }
}

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::threads)
    softmax_backward_warp_kernel(const T* __restrict__ y, const T* __restrict__ dy, T* __restrict__ dx,
                                 long long rows, int cols, bool logarithm) {
  using A = accum_t<T>;
  for (long long first = static_cast<long long>(blockIdx.x) * Tile::rows_per_block; first < rows;
       first += static_cast<long long>(gridDim.x) * Tile::rows_per_block) {
    const long long r = first + threadIdx.x / Tile::lanes;
    A v[Tile::size], d[Tile::size], sum = A(0);
    Tile::load(y + r * cols, cols, r < rows, A(0), v);
    Tile::load(dy + r * cols, cols, r < rows, A(0), d);
#pragma unroll
    for (int i = 0; i < Tile::size; ++i) sum += logarithm ? d[i] : d[i] * v[i];
    sum = Tile::reduce(sum, Sum{});
#pragma unroll
    for (int i = 0; i < Tile::size; ++i) d[i] = logarithm ? d[i] - std::exp(v[i]) * sum : v[i] * (d[i] - sum);
    Tile::store(dx + r * cols, cols, r < rows, d);
  }
}

/// cols <= longest_tile_row<T>.
template <class T>
void softmax_warp(const T* x, T* y, long long rows, long long cols, bool logarithm, Stream stream) {
  if (rows == 0 || cols == 0) return;
  const auto run = [&]<class Tile>(Tile) {
    launch(softmax_warp_kernel<T, Tile>, dim3(grid_blocks(rows, Tile::rows_per_block)), dim3(Tile::threads),
           0, stream, x, y, rows, static_cast<int>(cols), logarithm);
  };
  if (cols % vec_width<T> == 0 && aligned16(x, y))
    with_row_tile<T, vec_width<T>>(cols, run);
  else
    with_row_tile<T, 1>(cols, run);
}
template <class T>
void softmax_backward_warp(const T* y, const T* dy, T* dx, long long rows, long long cols, bool logarithm,
                           Stream stream) {
  if (rows == 0 || cols == 0) return;
  const auto run = [&]<class Tile>(Tile) {
    launch(softmax_backward_warp_kernel<T, Tile>, dim3(grid_blocks(rows, Tile::rows_per_block)),
           dim3(Tile::threads), 0, stream, y, dy, dx, rows, static_cast<int>(cols), logarithm);
  };
  if (cols % vec_width<T> == 0 && aligned16(y, dy, dx))
    with_row_tile<T, vec_width<T>>(cols, run);
  else
    with_row_tile<T, 1>(cols, run);
}

KFER_KERNELS_END
