// Implicit GEMM, the second step: a convolution is a matrix product (gemm_view.cuh says of what), computed in
// tiles of 16 x 16 that a block shares.
//
// The explicit way stores the im2col matrix and calls a GEMM: for a 3 x 3 kernel it writes and reads nine
// times the input. The implicit way fills the GEMM's shared tiles through index arithmetic: column k of the
// patch matrix is tap k / I and channel k % I, row m is a pixel; tap and pixel meet at an input row and
// column, which may lie in the padding (a zero, not a load).
//
// Traffic: a number loaded to shared memory serves 16 multiplications, so K / 16 loads from global memory an
// element of the result from either operand, instead of K: a sixteenth of the factors travels. Each thread
// loads one element of either tile a step; the thread index runs along channels, so a warp reads whole lines
// (as far as there are channels).
//
// Launch: a block of 16 x 16 threads a tile of the result, depth in steps of 16. Limited by shared memory:
// two reads for one multiplication. The divisions (four an element of the patches) are plain: another cost
// that goes later.
#pragma once

#include "gemm_view.cuh"

KFER_KERNELS_BEGIN

struct SharedTile {
  static constexpr int m = 16, n = 16, depth = 16;
};

/// This thread's element of an operand's tile: rows from r0, depth from k0; zero past its ends. Neighbouring
/// threads take neighbours in memory.
template <class Operand, class Acc, int D, int P>
__device__ inline void load_element(const Operand& operand, int r0, int rows, int k0, int k_end,
                                    Acc (&tile)[D][P]) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int r = Operand::along_depth ? y : x, k = Operand::along_depth ? x : y;
  Acc value = 0;
  if (r0 + r < rows && k0 + k < k_end)
    if (const auto* p = operand.at(operand.row(r0 + r), operand.depth(k0 + k))) value = widen(*p);
  tile[k][r] = value;
}

template <class Gemm>
__global__ void __launch_bounds__(256) conv_implicit_gemm_tile(Gemm gemm) {
  using Acc = typename Gemm::Acc;
  using Tile = SharedTile;
  KFER_SHARED(Acc, a, [Tile::depth][Tile::m + 1]);  // + 1: writes down a column go to different banks
  KFER_SHARED(Acc, b, [Tile::depth][Tile::n + 1]);
  const ConvBlock block = enter_block<Tile::m, Tile::n>(gemm);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  Acc sum = 0;
  for (int k = block.begin; k < block.end; k += Tile::depth) {
    load_element(gemm.a, block.m, gemm.m, k, block.end, a);
    load_element(gemm.b, block.n, gemm.n, k, block.end, b);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < Tile::depth; ++i) sum += a[i][y] * b[i][x];
    __syncthreads();
  }
  const int m = block.m + y, n = block.n + x;
  if (m < gemm.m && n < gemm.n) gemm.result.row(m)[n] = gemm.result.value(sum, n);
}

struct ConvImplicitGemmTile {
  using Divisor = PlainDivider<int>;
  template <class T>
  using Tile = SharedTile;

  template <class Gemm>
  static void run(const Gemm& gemm, bool /*vectors*/, Stream stream) {
    launch(conv_implicit_gemm_tile<Gemm>,
           dim3(static_cast<unsigned>(gemm.blocks(SharedTile::m, SharedTile::n))),
           dim3(SharedTile::n, SharedTile::m), 0, stream, gemm);
  }
};

KFER_KERNELS_END
