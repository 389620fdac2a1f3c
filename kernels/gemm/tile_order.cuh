// In which order the tiles of C are worked on.
#pragma once

#include "../common/device.cuh"

KFER_KERNELS_BEGIN

struct TilePosition {
  long long row, column;  ///< in tiles
};

/// Tile number `index` of rows x columns tiles, in bands of `band` rows, down each column of a band before
/// the next. The tiles in flight at one time (an H200 works on 132) then form a block that is nearly square,
/// band x 132 / band, and share band + 132 / band panels of A and B through the L2 cache; row by row it would
/// be 1 + 132.
///
/// In 32 bits, because a division of 64 is a call of some hundred instructions; a C of 2^31 tiles would be
/// terabytes.
__host__ __device__ constexpr TilePosition tile_in_bands(unsigned index, unsigned rows, unsigned columns,
                                                         unsigned band) {
  const unsigned first = index / (band * columns) * band, rest = index % (band * columns);
  const unsigned height = rows - first < band ? rows - first : band;
  return {first + rest % height, rest / height};
}

KFER_KERNELS_END
