// Where elements lie on their way to the tensor cores: swizzled tiles in shared memory, wgmma's descriptors
// and registers, the boxes of the copy engine; mma.sync's own are in common/mma_layout.cuh. Plain arithmetic,
// the same on host and device, so that a test on the host can follow every element through it.
//
// Sources: PTX ISA, "Asynchronous warpgroup level matrix instructions: shared memory matrix layout", "Tensor
// copies: swizzling modes".
#pragma once

#include "../common/mma_layout.cuh"

KFER_KERNELS_BEGIN

/// The swizzle of 128 bytes: of each 8 rows of 128 bytes, row r has its 16-byte chunks permuted by XOR with
/// r. Chunk c of 8 neighbouring rows then lies in 8 different groups of banks. An involution. `byte` counts
/// from an address that is a multiple of 1024.
__host__ __device__ constexpr unsigned swizzle128(unsigned byte) {
  return byte ^ ((byte >> 7 & 7) << 4);
}

/// A tile of A or B in shared memory: `Outer` rows of op(A) (columns of op(B)) by 128 bytes' worth of k.
/// Memory keeps the direction that is contiguous outside: rows of 128 bytes along k, or (KContiguous false)
/// panels of 128 bytes' worth of `outer`, a row for each k. Rows are swizzled.
template <class T, bool KContiguous, int Outer>
struct SharedTile {
  static constexpr int in_row = static_cast<int>(128 / sizeof(T)), depth = in_row;
  static constexpr int rows = KContiguous ? Outer : depth;  ///< of a panel
  static constexpr int panels = KContiguous ? 1 : Outer / in_row;
  static constexpr unsigned panel_bytes = rows * 128u, bytes = panels * panel_bytes;
  static constexpr int width = static_cast<int>(16 / sizeof(T)), chunks = Outer * depth / width;

  __host__ __device__ static constexpr unsigned byte_of(TileElement e) {
    const unsigned row = static_cast<unsigned>(KContiguous ? e.outer : e.k),
                   at = static_cast<unsigned>((KContiguous ? e.k : e.outer)) * sizeof(T);
    // swizzle128 of the place within the panel, with the terms kept apart so that a compiler sees which of
    // them are constant.
    return at / 128 * panel_bytes + row * 128 + ((at / 16 ^ row) % 8 * 16 + at % 16);
  }
  /// The first element of 16-byte chunk c of `chunks`; neighbours lie side by side in device memory.
  __host__ __device__ static constexpr TileElement chunk(int c) {
    return KContiguous ? TileElement{c / (depth / width), c % (depth / width) * width}
                       : TileElement{c % (Outer / width) * width, c / (Outer / width)};
  }
  /// Where the copy engine puts its box number `panel` of in_row x rows elements: the corner's element. The
  /// box lies at panel * panel_bytes.
  __host__ __device__ static constexpr TileElement box(int panel) { return {panel * in_row, 0}; }
};

// ---- wgmma: 64 x N x 16 in bf16, A and B in shared memory -----------------------------------------------

/// How a wgmma finds a matrix in a SharedTile of bf16: bytes from the tile's start, and the two strides of
/// its descriptor.
struct WgmmaMatrix {
  unsigned start;
  unsigned leading;  ///< k not contiguous: from a panel of 64 `outer` to the next; else unused
  unsigned stride;   ///< k contiguous: from 8 rows to the next 8; else from 8 k to the next 8
};

/// The matrix that begins at row or column `outer` (a multiple of 64; 8 would do where k is contiguous) and
/// at k (a multiple of 16) of the tile.
template <class Tile, bool KContiguous>
__host__ __device__ constexpr WgmmaMatrix wgmma_matrix(int outer, int k) {
  // The hardware applies the swizzle to addresses, so starts are counted without it.
  if (KContiguous) return {static_cast<unsigned>(outer * 128 + k * 2), 16, 1024};
  return {static_cast<unsigned>(outer / 64) * Tile::panel_bytes + static_cast<unsigned>(k) * 128,
          Tile::panel_bytes, 1024};
}

/// The descriptor of a matrix whose tile lies at `address` of shared memory, a multiple of 1024.
__host__ __device__ constexpr unsigned long long wgmma_descriptor(unsigned address, WgmmaMatrix m) {
  const auto field = [](unsigned bytes) { return static_cast<unsigned long long>((bytes & 0x3FFFF) >> 4); };
  return field(address + m.start) | field(m.leading) << 16 | field(m.stride) << 32 | 1ull << 62;
}

/// {row, column} of register r of a warpgroup's 64 x N result: thread of 128.
__host__ __device__ constexpr FragmentElement wgmma_c(int thread, int r) {
  const FragmentElement c = mma_c(thread % 32, r % 4);
  return {thread / 32 * 16 + c.row, r / 4 * 8 + c.column};
}

/// Where 8_wgmma_tma's epilogue keeps 16-byte chunk `chunk` of row `row` of a 64 x 128 piece of C in bf16:
/// swizzled, so that neither the writes of fragments nor the reads of rows meet in a bank.
__host__ __device__ constexpr unsigned epilogue_byte(int row, int chunk) {
  return static_cast<unsigned>(row * 256 + (chunk ^ row % 8) * 16);
}

KFER_KERNELS_END
