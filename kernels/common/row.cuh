// Short rows in registers: a row of up to 1024 elements spread over some lanes of a warp, so that it is read
// once and reduced by shuffles alone.
#pragma once

#include <cmath>

#include "grid.cuh"
#include "reduce.cuh"
#include "vec.cuh"

KFER_KERNELS_BEGIN

/// Lane l of `Lanes` neighbours holds, for each item k, elements (k Lanes + l) Width + [0, Width) of a row. A
/// row of 7 classes takes 8 lanes, and a warp then works on four rows.
template <int Lanes, int Items, int Width>
struct RowTile {
  static constexpr int lanes = Lanes, items = Items, width = Width, size = Items * Width;
  static constexpr int threads = 256, rows_per_block = threads / Lanes;

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % Lanes; }
  /// The column of the first element of item k.
  __device__ static int column(int k) { return (k * Lanes + lane()) * Width; }

  /// The lane's elements of a row; `fill` past its end, and everywhere unless `inside`.
  template <class T>
  __device__ static void load(const T* row, int cols, bool inside, accum_t<T> fill, accum_t<T> (&out)[size]) {
#pragma unroll
    for (int k = 0; k < Items; ++k) {
      Vec<T, Width> v;
      const bool there = inside && column(k) < cols;
      if (there) v = load_vec<Width>(row + column(k), 0);
#pragma unroll
      for (int j = 0; j < Width; ++j) out[k * Width + j] = there ? widen(v[j]) : fill;
    }
  }
  template <class T>
  __device__ static void store(T* row, int cols, bool inside, const accum_t<T> (&in)[size]) {
#pragma unroll
    for (int k = 0; k < Items; ++k) {
      if (!inside || column(k) >= cols) continue;
      Vec<T, Width> v;
#pragma unroll
      for (int j = 0; j < Width; ++j) v[j] = narrow<T>(in[k * Width + j]);
      store_vec<Width>(row + column(k), 0, v);
    }
  }
  /// Takes the row's largest element off all of them and returns the sum of their exponentials, as softmax
  /// needs them. The whole warp takes part.
  template <class A>
  __device__ static A shift_and_sum(A (&x)[size]) {
    A largest = x[0], sum = A(0);
#pragma unroll
    for (int i = 1; i < size; ++i) largest = Max{}(x[i], largest);
    largest = reduce(largest, Max{});
#pragma unroll
    for (int i = 0; i < size; ++i) {
      x[i] -= largest;
      sum += std::exp(x[i]);
    }
    return reduce(sum, Sum{});
  }
  /// The reduction over a row's lanes, in all of them. The whole warp takes part.
  template <class Op, class A>
  __device__ static A reduce(A value, Op op) {
#pragma unroll
    for (int l = Lanes / 2; l > 0; l /= 2) value = op(value, __shfl_xor_sync(full_warp, value, l));
    return value;
  }
};

/// The longest row that a tile holds: 32 elements a lane, or 16 doubles, which are two registers each.
template <class T>
inline constexpr int longest_tile_row = sizeof(T) == 8 ? 512 : 1024;

/// Calls `f(RowTile)` with the smallest tile for rows of `cols` <= longest_tile_row<T> elements, which start
/// at multiples of Width.
template <class T, int Width, class F>
void with_row_tile(long long cols, const F& f) {
  const long long vectors = div_up(cols, Width);
  constexpr int most = longest_tile_row<T> / 32 / Width;  // items
  if (vectors <= 4) return f(RowTile<4, 1, Width>{});
  if (vectors <= 8) return f(RowTile<8, 1, Width>{});
  if (vectors <= 16) return f(RowTile<16, 1, Width>{});
  if (vectors <= 32) return f(RowTile<32, 1, Width>{});
  if (vectors <= 64) return f(RowTile<32, 2, Width>{});
  if constexpr (most > 4)
    if (vectors <= 128) return f(RowTile<32, 4, Width>{});
  if constexpr (most > 8)
    if (vectors <= 256) return f(RowTile<32, 8, Width>{});
  if constexpr (most > 16)
    if (vectors <= 512) return f(RowTile<32, 16, Width>{});
  f(RowTile<32, most, Width>{});
}

/// exp(x - largest), where x <= largest; 1 for equal ones, infinities included.
template <class A>
__device__ inline A exp_below(A x, A largest) {
  return x == largest ? A(1) : std::exp(x - largest);
}

/// The largest of what was taken so far, and the sum of exp(x - largest) over it, in one pass (Milakov and
/// Gimelshein 2018): when a larger element comes, the sum is scaled down to it.
template <class A>
struct OnlineMaxSum {
  A largest = A(-INFINITY), sum = A(0);

  template <int N>
  __device__ void take(const A (&x)[N]) {
    A top = x[0];
#pragma unroll
    for (int j = 1; j < N; ++j) top = x[j] > top ? x[j] : top;
    if (top > largest) {
      sum *= std::exp(largest - top);
      largest = top;
    }
#pragma unroll
    for (int j = 0; j < N; ++j) sum += exp_below(x[j], largest);
  }
  /// Joins those of a whole block. An infinity among the elements makes the sum a NaN.
  __device__ void join_block() {
    const A mine = largest;
    largest = block_reduce(mine, Max{}, A(-INFINITY));
    sum = block_sum(sum * exp_below(mine, largest)) + largest * A(0);
  }
};

KFER_KERNELS_END
