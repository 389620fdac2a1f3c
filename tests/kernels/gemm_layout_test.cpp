// What the results of the tensor-core variants do not show: that layouts meet no bank twice, that bands of
// tiles share panels, and that fragments' elements are the ISA's.
#include "kernels/gemm/fragment_layout.cuh"
#include "kernels/gemm/tile_order.cuh"

#include <doctest/doctest.h>

#include <set>
#include <utility>

namespace {

using namespace kfer::kernels;

/// Each of the four matrices that ldmatrix reads of a fragment at `corner`: no two of its rows in the same
/// banks.
template <class T, bool KContiguous, bool is_a>
void check_banks(TileElement corner) {
  using Tile = SharedTile<T, KContiguous, 128>;
  for (int matrix = 0; matrix < 4; ++matrix) {
    std::set<unsigned> banks;
    for (int lane = matrix * 8; lane < matrix * 8 + 8; ++lane) {
      const TileElement e = is_a ? ldmatrix_a<T, KContiguous>(lane) : ldmatrix_b<T, KContiguous>(lane);
      banks.insert(Tile::byte_of({corner.outer + e.outer, corner.k + e.k}) / 16 % 8);
    }
    CHECK(banks.size() == 8);
  }
}
template <class T, bool KContiguous>
void check_banks() {
  for (int outer = 0; outer < 128; outer += 16)
    for (int k = 0; k < SharedTile<T, KContiguous, 128>::depth; k += mma_depth<T>) {
      check_banks<T, KContiguous, true>({outer, k});
      check_banks<T, KContiguous, false>({outer, k});
    }
}

template <class T, bool KContiguous, int Outer>
void check_shared_tile() {
  using Tile = SharedTile<T, KContiguous, Outer>;
  std::set<unsigned> seen;
  for (int o = 0; o < Outer; ++o)
    for (int l = 0; l < Tile::depth; ++l) {
      const unsigned byte = Tile::byte_of({o, l});
      REQUIRE(byte + sizeof(T) <= Tile::bytes);
      seen.insert(byte);
      const int row = KContiguous ? o : l, at = KContiguous ? l : o;
      REQUIRE(byte == static_cast<unsigned>(at / Tile::in_row) * Tile::panel_bytes +
                          swizzle128(static_cast<unsigned>(row * 128 + at % Tile::in_row * int(sizeof(T)))));
    }
  CHECK(seen.size() == static_cast<std::size_t>(Outer * Tile::depth));
  std::set<unsigned> chunks;
  for (int c = 0; c < Tile::chunks; ++c) chunks.insert(Tile::byte_of(Tile::chunk(c)));
  CHECK(chunks.size() == static_cast<std::size_t>(Tile::chunks));
  for (const unsigned byte : chunks) CHECK(byte % 16 == 0);
}

}  // namespace

TEST_CASE("a swizzled tile has one place for each element, and 16-byte chunks stay whole") {
  for (unsigned byte = 0; byte < 4096; ++byte) REQUIRE(swizzle128(swizzle128(byte)) == byte);
  check_shared_tile<bf16, true, 128>();
  check_shared_tile<bf16, false, 128>();
  check_shared_tile<bf16, true, 256>();
  check_shared_tile<bf16, false, 256>();
  check_shared_tile<float, true, 128>();
  check_shared_tile<float, false, 128>();
}

TEST_CASE("ldmatrix meets no bank twice") {
  check_banks<bf16, true>();
  check_banks<bf16, false>();
  check_banks<float, true>();
}

TEST_CASE("fragments' elements are the ISA's") {
  for (int lane = 0; lane < 32; ++lane)
    for (int r = 0; r < 4; ++r) {
      for (int e = 0; e < 2; ++e) {
        const int i = r * 2 + e;
        const TileElement a{i < 2 || (i >= 4 && i < 6) ? lane / 4 : lane / 4 + 8,
                            lane % 4 * 2 + e + (i >= 4 ? 8 : 0)};
        const TileElement b{lane / 4 + (r >= 2 ? 8 : 0), lane % 4 * 2 + e + r % 2 * 8};
        const bool same_a = mma_a<bf16>(lane, r, e) == a, same_b = mma_b<bf16>(lane, r, e) == b;
        CHECK(same_a);
        CHECK(same_b);
      }
      const TileElement a{lane / 4 + r % 2 * 8, lane % 4 + r / 2 * 4},
          b{lane / 4 + r / 2 * 8, lane % 4 + r % 2 * 4};
      const bool same_a = mma_a<float>(lane, r, 0) == a, same_b = mma_b<float>(lane, r, 0) == b;
      CHECK(same_a);
      CHECK(same_b);
    }
}

TEST_CASE("the epilogue's writes and reads meet no bank twice") {
  for (int r = 0; r < 64; r += 2)
    for (int warp = 0; warp < 4; ++warp) {
      std::set<unsigned> banks;
      for (int lane = 0; lane < 32; ++lane) {
        const FragmentElement e = wgmma_c(warp * 32 + lane, r);
        banks.insert((epilogue_byte(e.row, e.column / 8) + static_cast<unsigned>(e.column % 8) * 2) / 4 % 32);
      }
      CHECK(banks.size() == 32);
    }
  for (int row = 0; row < 64; ++row)
    for (int first : {0, 8}) {  // a quarter of a warp reads 8 chunks at a time
      std::set<unsigned> banks;
      for (int c = 0; c < 8; ++c) banks.insert(epilogue_byte(row, first + c) / 16 % 8);
      CHECK(banks.size() == 8);
    }
}

TEST_CASE("bands of tiles visit every tile once, and tiles in flight share panels") {
  for (const auto& [rows, columns] : {std::pair{1u, 1u}, {1u, 40u}, {40u, 1u}, {7u, 11u}, {64u, 32u}}) {
    std::set<std::pair<long long, long long>> seen;
    for (unsigned i = 0; i < rows * columns; ++i) {
      const TilePosition at = tile_in_bands(i, rows, columns, 8);
      CHECK(at.row < rows);
      CHECK(at.column < columns);
      seen.insert({at.row, at.column});
    }
    CHECK(seen.size() == rows * columns);
  }
  for (unsigned first = 0; first + 132 <= 64 * 32; first += 132) {
    std::set<long long> rows, columns;
    for (unsigned i = first; i < first + 132; ++i) {
      rows.insert(tile_in_bands(i, 64, 32, 8).row);
      columns.insert(tile_in_bands(i, 64, 32, 8).column);
    }
    const std::size_t panels = rows.size() + columns.size();
    CHECK(panels <= 34);
  }
}
