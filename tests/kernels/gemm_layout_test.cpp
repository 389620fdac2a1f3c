// The index arithmetic of the tensor-core variants, which no host can run: a plain model of what ldmatrix,
// mma, the copy engine and wgmma do, written from the PTX ISA, fed by the layouts of fragment_layout.cuh.
// Every product of a tile must come out.
#include "kernels/gemm/fragment_layout.cuh"
#include "kernels/gemm/tile_order.cuh"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <set>
#include <vector>

namespace {

using namespace kfer::kernels;

/// A matrix with rows [outer][k] or [k][outer], as in device memory.
template <class T>
struct Matrix {
  int outer, k;
  bool k_contiguous;
  std::vector<T> values;

  Matrix(int outer_, int k_, bool k_contiguous_, unsigned seed)
      : outer(outer_), k(k_), k_contiguous(k_contiguous_), values(static_cast<std::size_t>(outer_ * k_)) {
    std::mt19937 random(seed);
    for (T& v : values) v = narrow<T>(static_cast<float>(static_cast<int>(random() % 33) - 16));
  }
  /// Zero outside.
  T at(int o, int l) const {
    if (o >= outer || l >= k) return narrow<T>(0);
    return values[static_cast<std::size_t>(k_contiguous ? o * k + l : l * outer + o)];
  }
};

template <class V>
V load(const std::vector<unsigned char>& memory, unsigned at) {
  V v;
  REQUIRE(at + sizeof v <= memory.size());
  std::memcpy(&v, &memory[at], sizeof v);
  return v;
}

using Registers = std::array<std::uint32_t, 4>;
using Warp = std::array<Registers, 32>;

/// ldmatrix.x4: lanes 8 j .. 8 j + 7 name the rows of matrix j, 16 bytes each; register j of lane i is word
/// i % 4 of row i / 4, or with .trans elements 2 (i % 4) and the next of column i / 4.
Warp ldmatrix(const std::vector<unsigned char>& shared, const std::array<unsigned, 32>& rows,
              bool transpose) {
  Warp out;
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned j = 0; j < 4; ++j) {
      if (!transpose) {
        out[lane][j] = load<std::uint32_t>(shared, rows[j * 8 + lane / 4] + lane % 4 * 4);
      } else {
        const auto low = load<std::uint16_t>(shared, rows[j * 8 + lane % 4 * 2] + lane / 4 * 2),
                   high = load<std::uint16_t>(shared, rows[j * 8 + lane % 4 * 2 + 1] + lane / 4 * 2);
        out[lane][j] = low | std::uint32_t{high} << 16;
      }
    }
  return out;
}

float part(std::uint32_t word, int e, bf16) {
  return widen(bf16{static_cast<std::uint16_t>(e ? word >> 16 : word)});
}
float part(std::uint32_t word, int, float) {
  float f;
  std::memcpy(&f, &word, sizeof f);
  return f;
}

/// mma.m16n8k16 (bf16) and mma.m16n8k8 (TF32) by the ISA's tables: c[lane][i] += ...
template <class T>
void mma(std::array<std::array<float, 4>, 32>& c, const Warp& a, const Warp& b, int b_first) {
  constexpr int depth = sizeof(T) == 2 ? 16 : 8;
  float A[16][depth], B[depth][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int group = lane >> 2, in_group = lane % 4;
    if constexpr (sizeof(T) == 2) {
      for (int i = 0; i < 8; ++i)
        A[i < 2 || (i >= 4 && i < 6) ? group : group + 8][in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)] =
            part(a[lane][i / 2], i & 1, T{});
      for (int i = 0; i < 4; ++i)
        B[in_group * 2 + (i & 1) + (i < 2 ? 0 : 8)][group] = part(b[lane][b_first + i / 2], i & 1, T{});
    } else {
      for (int i = 0; i < 4; ++i)
        A[i == 0 || i == 2 ? group : group + 8][i < 2 ? in_group : in_group + 4] = part(a[lane][i], 0, T{});
      for (int i = 0; i < 2; ++i)
        B[i == 0 ? in_group : in_group + 4][group] = part(b[lane][b_first + i], 0, T{});
    }
  }
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const int row = i < 2 ? lane >> 2 : (lane >> 2) + 8, column = lane % 4 * 2 + (i & 1);
      for (int l = 0; l < depth; ++l) c[lane][i] += A[row][l] * B[l][column];
    }
}

/// A tile as 7_tensor_core's copies leave it.
template <class T, bool KContiguous, int Outer>
std::vector<unsigned char> copied(const Matrix<T>& m) {
  using Tile = SharedTile<T, KContiguous, Outer>;
  std::vector<unsigned char> shared(Tile::bytes, 0xFF);
  for (int c = 0; c < Tile::chunks; ++c) {
    const TileElement e = Tile::chunk(c);
    for (int v = 0; v < Tile::width; ++v) {
      const T value = KContiguous ? m.at(e.outer, e.k + v) : m.at(e.outer + v, e.k);
      std::memcpy(&shared[Tile::byte_of(e) + static_cast<unsigned>(v) * sizeof(T)], &value, sizeof(T));
    }
  }
  return shared;
}

/// A fragment as 7_tensor_core loads it.
template <class T, bool KContiguous, bool is_a>
Warp fragment(const std::vector<unsigned char>& shared, TileElement corner) {
  using Tile = SharedTile<T, KContiguous, 128>;
  const auto byte = [&](TileElement e) { return Tile::byte_of({corner.outer + e.outer, corner.k + e.k}); };
  if constexpr (KContiguous || sizeof(T) == 2) {
    std::array<unsigned, 32> rows;
    for (int lane = 0; lane < 32; ++lane)
      rows[lane] = byte(is_a ? ldmatrix_a<T, KContiguous>(lane) : ldmatrix_b<T, KContiguous>(lane));
    for (int j = 0; j < 4; ++j) {  // no two rows of a matrix in the same banks
      std::set<unsigned> banks;
      for (int r = 0; r < 8; ++r) banks.insert(rows[j * 8 + r] / 16 % 8);
      CHECK(banks.size() == 8);
    }
    return ldmatrix(shared, rows, !KContiguous);
  } else {
    Warp out;
    for (int lane = 0; lane < 32; ++lane)
      for (int r = 0; r < 4; ++r)
        out[lane][r] = load<std::uint32_t>(shared, byte(is_a ? mma_a<T>(lane, r, 0) : mma_b<T>(lane, r, 0)));
    return out;
  }
}

template <class T, bool AK, bool BK>
void check_mma_tile() {
  using Tile = SharedTile<T, AK, 128>;
  const Matrix<T> a(128, Tile::depth, AK, 1), b(128, Tile::depth, BK, 2);
  const auto shared_a = copied<T, AK, 128>(a), shared_b = copied<T, BK, 128>(b);
  std::vector<float> c(128 * 128, NAN);
  for (int warp = 0; warp < 8; ++warp) {
    const int warp_m = warp / 4 * 64, warp_n = warp % 4 * 32;
    for (int p = 0; p < 4; ++p)
      for (int q = 0; q < 4; ++q) {
        std::array<std::array<float, 4>, 32> sum{};
        for (int k = 0; k < Tile::depth; k += mma_depth<T>)
          mma<T>(sum, fragment<T, AK, true>(shared_a, {warp_m + p * 16, k}),
                 fragment<T, BK, false>(shared_b, {warp_n + q / 2 * 16, k}), q % 2 * 2);
        for (int lane = 0; lane < 32; ++lane)
          for (int r = 0; r < 4; ++r) {
            const FragmentElement e = mma_c(lane, r);
            c[(warp_m + p * 16 + e.row) * 128 + warp_n + q * 8 + e.column] = sum[lane][r];
          }
      }
  }
  int wrong = 0;
  for (int i = 0; i < 128; ++i)
    for (int j = 0; j < 128; ++j) {
      float want = 0;
      for (int l = 0; l < Tile::depth; ++l) want += widen(a.at(i, l)) * widen(b.at(j, l));
      wrong += !(c[i * 128 + j] == want);  // small integers: exact in any order
    }
  CHECK(wrong == 0);
}

/// The copy engine: boxes of 64 x rows of a 2-D matrix, zeros outside it, swizzled by address.
void copy_box(std::vector<unsigned char>& shared, unsigned to, const Matrix<bf16>& m, int x, int y,
              int rows) {
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < 64; ++c) {
      const bf16 value = m.k_contiguous ? m.at(y + r, x + c) : m.at(x + c, y + r);
      const unsigned address = to + static_cast<unsigned>(r * 128 + c * 2);
      std::memcpy(&shared[address ^ ((address >> 7 & 7) << 4)], &value, 2);
    }
}

/// What wgmma takes for element (outer, k) of a matrix, by the canonical layouts of 128-byte swizzle.
float wgmma_element(const std::vector<unsigned char>& shared, unsigned long long descriptor,
                    bool k_contiguous, int outer, int k) {
  const auto swizzle = descriptor >> 62;
  REQUIRE(swizzle == 1);
  const unsigned base_offset = static_cast<unsigned>(descriptor >> 49) & 7;
  REQUIRE(base_offset == 0);
  const auto field = [&](int bit) { return static_cast<unsigned>(descriptor >> bit & 0x3FFF) << 4; };
  const unsigned start = field(0), leading = field(16), stride = field(32);
  const unsigned o = static_cast<unsigned>(outer), l = static_cast<unsigned>(k);
  const unsigned address = k_contiguous
                               ? start + o / 8 * stride + o % 8 * 128 + l * 2
                               : start + o / 64 * leading + o % 64 * 2 + l / 8 * stride + l % 8 * 128;
  return widen(load<bf16>(shared, address ^ ((address >> 7 & 7) << 4)));
}

template <int N, bool AK, bool BK>
void check_wgmma_tile(int m, int n, int k) {
  using TileA = SharedTile<bf16, AK, 128>;
  using TileB = SharedTile<bf16, BK, N>;
  const Matrix<bf16> a(m, k, AK, 3), b(n, k, BK, 4);
  constexpr unsigned at_a = 1024, at_b = at_a + TileA::bytes;
  std::vector<unsigned char> shared(at_b + TileB::bytes, 0xFF);
  for (int p = 0; p < TileA::panels; ++p)
    copy_box(shared, at_a + static_cast<unsigned>(p) * TileA::panel_bytes, a, TileA::box(p).outer, 0,
             TileA::rows);
  for (int p = 0; p < TileB::panels; ++p)
    copy_box(shared, at_b + static_cast<unsigned>(p) * TileB::panel_bytes, b, TileB::box(p).outer, 0,
             TileB::rows);

  int wrong = 0;
  std::vector<unsigned char> room(64 * 256);
  for (int consumer = 0; consumer < 2; ++consumer) {
    std::vector<float> d(64 * N, 0.0f);  // wgmma's result
    for (int step = 0; step < 64; step += 16) {
      const auto da = wgmma_descriptor(at_a, wgmma_matrix<TileA, AK>(consumer * 64, step)),
                 db = wgmma_descriptor(at_b, wgmma_matrix<TileB, BK>(0, step));
      std::vector<float> A(64 * 16), B(N * 16);
      for (int l = 0; l < 16; ++l) {
        for (int i = 0; i < 64; ++i) A[i * 16 + l] = wgmma_element(shared, da, AK, i, l);
        for (int j = 0; j < N; ++j) B[j * 16 + l] = wgmma_element(shared, db, BK, j, l);
      }
      for (int i = 0; i < 64; ++i)
        for (int j = 0; j < N; ++j)
          for (int l = 0; l < 16; ++l) d[i * N + j] += A[i * 16 + l] * B[j * 16 + l];
    }
    for (int half = 0; half < N / 128; ++half) {
      std::fill(room.begin(), room.end(), static_cast<unsigned char>(0xFF));
      for (int t = 0; t < 128; ++t)
        for (int r = 0; r < 64; ++r) {
          // The ISA: row 16 warp + lane / 4 (+ 8 for every second pair), column 8 (r / 4) + 2 (lane % 4) + r
          // % 2.
          const int row = t / 32 * 16 + t % 32 / 4 + r / 2 % 2 * 8, column = r / 4 * 8 + t % 4 * 2 + r % 2;
          const float held = d[row * N + half * 128 + column];
          const FragmentElement e = wgmma_c(t, r);
          const bf16 value = narrow<bf16>(held);
          std::memcpy(&room[epilogue_byte(e.row, e.column / 8) + static_cast<unsigned>(e.column % 8) * 2],
                      &value, 2);
        }
      for (int i = 0; i < 64; ++i)
        for (int j = 0; j < 128; ++j) {
          const int row = consumer * 64 + i, column = half * 128 + j;
          float want = 0;
          for (int l = 0; l < k; ++l) want += widen(a.at(row, l)) * widen(b.at(column, l));
          const bf16 got = load<bf16>(room, epilogue_byte(i, j / 8) + static_cast<unsigned>(j % 8) * 2);
          wrong += !(widen(got) == widen(narrow<bf16>(want)));
        }
    }
  }
  CHECK(wrong == 0);
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

TEST_CASE_TEMPLATE("mma.sync on fragments by ldmatrix multiplies a tile", T, bf16, float) {
  check_mma_tile<T, true, true>();
  check_mma_tile<T, true, false>();
  check_mma_tile<T, false, true>();
  check_mma_tile<T, false, false>();
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

TEST_CASE("wgmma on tiles by the copy engine multiplies a tile, whole and ragged") {
  check_wgmma_tile<128, true, true>(128, 128, 64);
  check_wgmma_tile<256, true, true>(128, 256, 64);
  check_wgmma_tile<256, true, false>(101, 240, 56);
  check_wgmma_tile<256, false, true>(96, 131, 40);
  check_wgmma_tile<256, false, false>(128, 256, 61);
  check_wgmma_tile<128, false, false>(8, 72, 64);
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
  for (const auto& [rows, columns] :
       {std::pair{1LL, 1LL}, {1LL, 40LL}, {40LL, 1LL}, {7LL, 11LL}, {64LL, 32LL}}) {
    std::set<std::pair<long long, long long>> seen;
    for (long long i = 0; i < rows * columns; ++i) {
      const TilePosition at = tile_in_bands(i, rows, columns, 8);
      CHECK(at.row < rows);
      CHECK(at.column < columns);
      seen.insert({at.row, at.column});
    }
    CHECK(static_cast<long long>(seen.size()) == rows * columns);
  }
  for (long long first = 0; first + 132 <= 64 * 32; first += 132) {
    std::set<long long> rows, columns;
    for (long long i = first; i < first + 132; ++i) {
      rows.insert(tile_in_bands(i, 64, 32, 8).row);
      columns.insert(tile_in_bands(i, 64, 32, 8).column);
    }
    const std::size_t panels = rows.size() + columns.size();
    CHECK(panels <= 34);
  }
}
