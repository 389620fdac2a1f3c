// GEMM on tensor cores by mma.sync: bf16 with sums in float, and float in TF32.
//
// Launch: blocks of 256 threads, a block a tile of 128 x 128 of C, a warp 64 x 32 of it: 4 x 4 fragments of
// 16 x 8, 64 registers of sums.
// The idea: one instruction multiplies 16 x 8 x 16, 4096 FLOP of a warp, where FMA does 64. Feeding it is the
// work:
// - cp.async carries 16 bytes from device to shared memory without a register, zeros where the matrix ends;
//   three stages of 128 bytes' worth of k (64 bf16, 32 float), two of them in flight.
// - Rows of 128 bytes, swizzled (fragment_layout.cuh): ldmatrix reads 8 of them without a bank conflict. A
//   step of 16 k of a warp: 4 ldmatrix for A, 2 for B, 6 * 512 bytes for 16 mma, 64 KFLOP: 21 FLOP/byte of
//   shared memory; at 128 bytes a clock that allows 2730 FLOP a clock and multiprocessor, of Hopper's 4096.
//   The rest needs wgmma (8_wgmma_tma), which reads operands from shared memory itself.
// - ldmatrix.trans turns a matrix whose k is not contiguous as it loads; for float there is no such thing:
//   lanes load words one by one (2 lanes a bank).
// Device memory: 2 * 128 * 128 / (2 * 128 * sizeof(T)) FLOP a byte: 64 in bf16, 32 in float; bands of tiles
// share panels through the L2 cache. 96 KiB of shared memory, at most 128 registers: two blocks, 16 warps,
// are resident. Needs 16-byte aligned rows of A and B (gemm_mma_fits).
#pragma once

#include "../common/ptx.cuh"
#include "fragment_layout.cuh"
#include "tile.cuh"
#include "tile_order.cuh"

KFER_KERNELS_BEGIN

namespace detail {

inline constexpr int tensor_core_stages = 3, tensor_core_tile = 128;

/// One stage's copy of A or B: 4 chunks of 16 bytes a thread, at one place of every lines-th line of memory.
template <class T, bool KContiguous>
__device__ inline void copy_tile_async(const Operand<T>& x, long long outer0, long long k0, unsigned to,
                                       int thread) {
  using Tile = SharedTile<T, KContiguous, tensor_core_tile>;
  constexpr int lines = 256 / ((KContiguous ? Tile::depth : tensor_core_tile) / Tile::width);
  static_assert(lines % 8 == 0, "the swizzle is the same in all of them");
  const TileElement first = Tile::chunk(thread);
  const int line = KContiguous ? first.outer : first.k, place = KContiguous ? first.k : first.outer;
  const int outer_left = clamp(x.outer - outer0, tensor_core_tile), k_left = clamp(x.k - k0, Tile::depth);
  const int lines_left = (KContiguous ? outer_left : k_left) - line,
            left = (KContiguous ? k_left : outer_left) - place;
  const int bytes = left <= 0 ? 0 : left < Tile::width ? left * static_cast<int>(sizeof(T)) : 16;
  const T* const from =
      x.p + (KContiguous ? (outer0 + line) * x.ld + k0 : (k0 + line) * x.ld + outer0) + place;
  to += Tile::byte_of(first);
#pragma unroll
  for (int i = 0; i < Tile::chunks / 256; ++i)  // of no bytes, nothing is read
    ptx::cp_async16(to + i * lines * 128, from + i * lines * x.ld, i * lines < lines_left ? bytes : 0);
}

/// A fragment of A (is_a) or two of B that begin at `corner` of the tile at shared address `tile`.
template <class T, bool KContiguous, bool is_a>
__device__ inline void load_fragment(unsigned (&r)[4], unsigned tile, TileElement corner, int lane) {
  using Tile = SharedTile<T, KContiguous, tensor_core_tile>;
  if constexpr (KContiguous || sizeof(T) == 2) {
    const TileElement e = is_a ? ldmatrix_a<T, KContiguous>(lane) : ldmatrix_b<T, KContiguous>(lane);
    ptx::ldmatrix_x4<!KContiguous>(r, tile + Tile::byte_of({corner.outer + e.outer, corner.k + e.k}));
  } else {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const TileElement e = is_a ? mma_a<T>(lane, i, 0) : mma_b<T>(lane, i, 0);
      r[i] = ptx::load_shared(tile + Tile::byte_of({corner.outer + e.outer, corner.k + e.k}));
    }
  }
  if constexpr (sizeof(T) == 4) {
#pragma unroll
    for (int i = 0; i < 4; ++i) r[i] = ptx::to_tf32(r[i]);
  }
}

}  // namespace detail

template <class T, bool AKContiguous, bool BKContiguous>
__global__ void __launch_bounds__(256, 2)
    gemm_mma_kernel(Gemm<T> g, detail::Operand<T> op_a, detail::Operand<T> op_b, bool pairs, unsigned tiles_m,
                    unsigned tiles_n) {
  constexpr int stages = detail::tensor_core_stages, size = detail::tensor_core_tile;
  using TileA = SharedTile<T, AKContiguous, size>;
  using TileB = SharedTile<T, BKContiguous, size>;
  constexpr unsigned stage_bytes = TileA::bytes + TileB::bytes;
  KFER_DYNAMIC_SHARED(unsigned char, shared);
  const unsigned base = ptx::shared_address(shared);
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  [[maybe_unused]] constexpr int unrolled =
      (AKContiguous && BKContiguous) || sizeof(T) == 2 ? 2 : 1;  // what 128 registers hold
  const int warp_m = warp / 4 * 64, warp_n = warp % 4 * 32;
  const TilePosition tile = tile_in_bands(blockIdx.x, tiles_m, tiles_n, 8);
  const long long i0 = tile.row * size, j0 = tile.column * size;
  const int steps = static_cast<int>(div_up(g.k, TileA::depth));

  const auto fetch = [&](int step, int stage) {
    if (step < steps) {
      const unsigned to = base + static_cast<unsigned>(stage) * stage_bytes;
      const long long k0 = static_cast<long long>(step) * TileA::depth;
      const int thread = ptx::computed_here(threadIdx.x) & 255;  // addresses wait for no free register
      detail::copy_tile_async<T, AKContiguous>(op_a, i0, k0, to, thread);
      detail::copy_tile_async<T, BKContiguous>(op_b, j0, k0, to + TileA::bytes, thread);
    }
    ptx::cp_async_commit();  // empty past the end: the count of groups stays that of steps
  };

  float sum[4][4][4] = {};  // [fragment down][fragment across][register]
#pragma unroll
  for (int s = 0; s < stages - 1; ++s) fetch(s, s);
  for (int step = 0, stage = 0; step < steps; ++step, stage = stage + 1 == stages ? 0 : stage + 1) {
    ptx::cp_async_wait<stages - 2>();
    __syncthreads();  // everyone's copies have landed, and nobody reads the stage that is fetched next
    fetch(step + stages - 1, stage == 0 ? stages - 1 : stage - 1);
    const unsigned a = base + static_cast<unsigned>(stage) * stage_bytes, b = a + TileA::bytes;
#pragma unroll unrolled
    for (int k = 0; k < TileA::depth; k += mma_depth<T>) {
      unsigned fb[2][4];
#pragma unroll
      for (int q = 0; q < 2; ++q)
        detail::load_fragment<T, BKContiguous, false>(fb[q], b, {warp_n + q * 16, k}, lane);
#pragma unroll
      for (int p = 0; p < 4; ++p) {
        unsigned fa[4];
        detail::load_fragment<T, AKContiguous, true>(fa, a, {warp_m + p * 16, k}, lane);
#pragma unroll
        for (int q = 0; q < 4; ++q)
          ptx::mma(sum[p][q], fa, fb[q / 2][q % 2 * 2], fb[q / 2][q % 2 * 2 + 1], T{});
      }
    }
  }

  const int out_lane = ptx::computed_here(threadIdx.x) & 31;  // not before the loop, whose registers are full
#pragma unroll
  for (int p = 0; p < 4; ++p)
#pragma unroll
    for (int q = 0; q < 4; ++q)
#pragma unroll
      for (int r = 0; r < 4; r += 2) {  // registers r and r + 1 are neighbours in a row
        const FragmentElement e = mma_c(out_lane, r);
        const long long i = i0 + warp_m + p * 16 + e.row, j = j0 + warp_n + q * 8 + e.column;
        if (i >= g.m || j >= g.n) continue;
        if (pairs && j + 1 < g.n) {
          store_vec(g.c + i * g.ldc + j, 0,
                    Vec<T, 2>{detail::gemm_epilogue(g, i, j, sum[p][q][r]),
                              detail::gemm_epilogue(g, i, j + 1, sum[p][q][r + 1])});
        } else {
          g.c[i * g.ldc + j] = detail::gemm_epilogue(g, i, j, sum[p][q][r]);
          if (j + 1 < g.n) g.c[i * g.ldc + j + 1] = detail::gemm_epilogue(g, i, j + 1, sum[p][q][r + 1]);
        }
      }
}

/// Whether rows of A and B are aligned to the 16 bytes that asynchronous copies move.
template <class T>
bool gemm_mma_fits(const Gemm<T>& g) {
  return detail::Operand<T>::a(g).vectors && detail::Operand<T>::b(g).vectors;
}

/// For T float (products in TF32) and bf16. Takes what gemm_mma_fits allows.
template <class T>
void gemm_mma(const Gemm<T>& g, Stream stream) {
  if (g.m == 0 || g.n == 0) return;
  constexpr int size = detail::tensor_core_tile;
  const auto tiles_m = static_cast<unsigned>(div_up(g.m, size)),
             tiles_n = static_cast<unsigned>(div_up(g.n, size));
  const auto run = [&](auto kernel) {
    launch(kernel, dim3(tiles_m * tiles_n), dim3(256), detail::tensor_core_stages * 2 * size * 128, stream, g,
           detail::Operand<T>::a(g), detail::Operand<T>::b(g), detail::vectors_c(g), tiles_m, tiles_n);
  };
  if (g.transpose_a)
    g.transpose_b ? run(gemm_mma_kernel<T, false, true>) : run(gemm_mma_kernel<T, false, false>);
  else
    g.transpose_b ? run(gemm_mma_kernel<T, true, true>) : run(gemm_mma_kernel<T, true, false>);
}

KFER_KERNELS_END
