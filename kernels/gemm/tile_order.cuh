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
__host__ __device__ constexpr TilePosition tile_in_bands(long long index, long long rows, long long columns,
                                                         long long band) {
  const long long first = index / (band * columns) * band, rest = index % (band * columns);
  const long long height = rows - first < band ? rows - first : band;
  return {first + rest % height, rest / height};
}

KFER_KERNELS_END
