// Transposes through shared memory with 16 bytes a thread on both sides, several loads on the way, between
// any two axes of a tensor, and with a cast in passing.
//
// Two of the tensor's axes turn: the one that is contiguous in the source and the one that is contiguous in
// the destination. All others are a batch, whatever their order. Eight lanes read 16 bytes each of a row: a
// line of 128 bytes, four rows a warp. They store their N elements down a column of the tile, scalar by
// scalar, with rows of `side + 1` elements. For float (N = 4) the warp's stores of element k go to (4 lane +
// k) 65 + row, bank (4 lane + k + row) mod 32: 8 lanes by 4 rows, 32 banks. bf16 reads of the tile meet in
// pairs, two turns at half a word each; a multiprocessor moves some 10 bytes a clock each way here and its
// shared memory 128, so that does not show.
#pragma once

#include "../common/convert.cuh"
#include "../common/vec.cuh"
#include "axes.cuh"

KFER_KERNELS_BEGIN

namespace detail {

/// Lanes that share a row: eight vectors, or 32 single elements.
template <int N>
inline constexpr int row_lanes = N == 1 ? 32 : 8;

/// The two axes that turn, and the others.
struct Turn {
  static constexpr int most = Axes::most;
  int outer = 0;
  Divider<unsigned> extent[most];          // of the other axes, slowest first
  long long from[most], to[most];          // their steps
  long long rows, cols, from_row, to_col;  // rows: contiguous in y; cols: contiguous in x
  Divider<unsigned> row_tiles, col_tiles;
};

/// Elements a thread takes at a time: 16 bytes, at most 8.
template <class T>
inline constexpr int turn_width = vec_width<T> < 8 ? vec_width<T> : 8;

/// Rows and columns of a tile.
inline constexpr int turn_side = 64;

}  // namespace detail

/// y[c, r] = x[r, c] for every combination of the other axes. Grid: a block a tile, columns of tiles fastest,
/// then rows, then the other axes. Vectors of NI elements in x, NO in y: extents and steps are multiples of
/// them. Blocks of 256 threads; four a multiprocessor leave 64 registers, which 16 doubles on the way need.
template <int NI, int NO, class In, class Out>
__global__ void __launch_bounds__(256, 4)
    transpose_vectorised(const In* __restrict__ x, Out* __restrict__ y, detail::Turn turn) {
  constexpr int side = detail::turn_side, threads = 256;
  KFER_SHARED(Out, tile, [side][side + 1]);  // [column][row]
  unsigned row_tile, col_tile, index, rest = turn.col_tiles.divide(blockIdx.x, col_tile);
  rest = turn.row_tiles.divide(rest, row_tile);
  const long long row0 = static_cast<long long>(row_tile) * side,
                  col0 = static_cast<long long>(col_tile) * side;
  for (int a = turn.outer - 1; a >= 0; --a) {
    rest = turn.extent[a].divide(rest, index);
    x += index * turn.from[a];
    y += index * turn.to[a];
  }
  {
    constexpr int lanes = detail::row_lanes<NI>, high = threads / lanes, down = (side + high - 1) / high,
                  across = side / (lanes * NI);
    const int lane = static_cast<int>(threadIdx.x) % lanes * NI, line = static_cast<int>(threadIdx.x) / lanes;
    Vec<In, NI> v[down][across];
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j) {
        const long long r = row0 + line + i * high, c = col0 + lane + j * lanes * NI;
        if (r < turn.rows && c < turn.cols) v[i][j] = load_vec<NI>(x + r * turn.from_row + c, 0);
      }
#pragma unroll
    for (int i = 0; i < down; ++i)
#pragma unroll
      for (int j = 0; j < across; ++j) {
        const long long r = row0 + line + i * high, c = col0 + lane + j * lanes * NI;
        if (r < turn.rows && c < turn.cols)
#pragma unroll
          for (int k = 0; k < NI; ++k)
            tile[lane + j * lanes * NI + k][line + i * high] = Convert<Out, In>{}(v[i][j][k]);
      }
  }
  __syncthreads();
  constexpr int lanes = detail::row_lanes<NO>, high = threads / lanes, down = (side + high - 1) / high,
                across = side / (lanes * NO);
  const int lane = static_cast<int>(threadIdx.x) % lanes * NO, line = static_cast<int>(threadIdx.x) / lanes;
#pragma unroll
  for (int i = 0; i < down; ++i)
#pragma unroll
    for (int j = 0; j < across; ++j) {
      const int tc = line + i * high, tr = lane + j * lanes * NO;
      const long long r = row0 + tr, c = col0 + tc;
      if (r < turn.rows && c < turn.cols) {
        Vec<Out, NO> v;
#pragma unroll
        for (int k = 0; k < NO; ++k) v[k] = tile[tc][tr + k];
        store_vec(y + c * turn.to_col + r, 0, v);
      }
    }
}

KFER_KERNELS_END
