// Transposes of matrices [batch, rows, cols] -> [batch, cols, rows] through tiles in shared memory.
//
// A transpose read in order is written with a stride of `rows`: each of a warp's 32 elements touches a line
// of its own, and 32 bytes move for every 4 that are wanted. A tile of 32 x 32 turns in shared memory
// instead, so that both sides of it are whole lines. Shared memory has 32 banks of 4 bytes; in a tile of
// [32][32] floats a column lies in one bank, and reading it takes 32 turns. A row of 33 puts element (r, c)
// into bank (33 r + c) mod 32 = (r + c) mod 32: rows and columns both touch all banks once. For bf16 a row
// is 16.5 words: column element r lies in word 16.5 r, bank r / 2 for even r and r / 2 + 16 for odd: no
// conflict either.
#pragma once

#include "../common/grid.cuh"

KFER_KERNELS_BEGIN

/// Grid: batch times tiles of 32 x 32 (columns fastest), flat. Blocks of [8][32] threads.
template <class T>
__global__ void __launch_bounds__(256)
    transpose_tiled(const T* __restrict__ x, T* __restrict__ y, long long rows, long long cols) {
  constexpr int side = 32;
  KFER_SHARED(T, tile, [side][side + 1]);
  const long long across = div_up(cols, side), down = div_up(rows, side), block = blockIdx.x;
  const long long row0 = block / across % down * side, col0 = block % across * side,
                  base = block / (across * down) * rows * cols;
  for (int r = static_cast<int>(threadIdx.y); r < side; r += static_cast<int>(blockDim.y))
    if (row0 + r < rows && col0 + threadIdx.x < cols)
      tile[r][threadIdx.x] = x[base + (row0 + r) * cols + col0 + threadIdx.x];
  __syncthreads();
  for (int c = static_cast<int>(threadIdx.y); c < side; c += static_cast<int>(blockDim.y))
    if (col0 + c < cols && row0 + threadIdx.x < rows)
      y[base + (col0 + c) * rows + row0 + threadIdx.x] = tile[threadIdx.x][c];
}

KFER_KERNELS_END
