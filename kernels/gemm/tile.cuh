// What 5_vectorised and 6_double_buffer share: 256 threads, a square tile of C in their registers, and the
// way of a tile of A or B from device memory through registers to shared memory, 16 bytes at a time.
#pragma once

#include "problem.cuh"

KFER_KERNELS_BEGIN

namespace detail {

/// A or B as a tile loader sees it: `outer` counts op(A)'s rows or op(B)'s columns.
template <class T>
struct Operand {
  const T* p;
  long long ld, outer, k;
  bool k_contiguous;  ///< neighbours along k are neighbours in memory: A as it is, B transposed
  bool vectors;       ///< every row begins at a multiple of 16 bytes

  static Operand a(const Gemm<T>& g) { return of(g.a, g.lda, g.m, g.k, !g.transpose_a); }
  static Operand b(const Gemm<T>& g) { return of(g.b, g.ldb, g.n, g.k, g.transpose_b); }

 private:
  static Operand of(const T* p, long long ld, long long outer, long long k, bool k_contiguous) {
    return {p, ld, outer, k, k_contiguous, aligned16(p) && ld % vec_width<T> == 0};
  }
};

__device__ inline int clamp(long long left, int most) {
  return left < most ? static_cast<int>(left) : most;
}

/// The shape of a block's work: C in tiles of Outer x Outer, `depth` of k a step; thread (x, y) of 16 x 16
/// has rows and columns in pieces of 16 bytes, 16 pieces apart.
template <class T, int Outer>
struct TileShape {
  using A = accum_t<T>;
  static constexpr int threads = 256, width = vec_width<T>;
  static constexpr int depth = width * threads / Outer > 16 ? width* threads / Outer : 16;
  static constexpr int piece = vec_width<A>;         ///< elements of a piece
  static constexpr int pieces = Outer / 16 / piece;  ///< of a thread, in each direction
  static constexpr int per_thread = pieces * piece;
  static constexpr int chunks = Outer * depth / width / threads;  ///< 16-byte loads of a thread and tile
  static_assert(chunks * width * threads == Outer * depth && per_thread * 16 == Outer);

  using Piece = Vec<A, piece>;
  /// A row of the tile in shared memory is one k: what threads read together lies together. One piece of
  /// padding moves the rows apart by 4 banks.
  static constexpr int row_pieces = Outer / piece + 1;
  using Row = Piece[row_pieces];
};

/// A thread's share of a tile on its way through registers.
template <class T, int Outer>
struct StagedTile {
  using S = TileShape<T, Outer>;
  Vec<T, S::width> staged[S::chunks];

  /// Where chunk c begins, relative to the tile.
  __device__ static int outer_of(int c, bool k_contiguous) {
    return k_contiguous ? c / (S::depth / S::width) : c % (Outer / S::width) * S::width;
  }
  __device__ static int k_of(int c, bool k_contiguous) {
    return k_contiguous ? c % (S::depth / S::width) * S::width : c / (Outer / S::width);
  }

  __device__ void load(const Operand<T>& x, long long outer0, long long k0, int thread) {
    const long long corner = x.k_contiguous ? outer0 * x.ld + k0 : k0 * x.ld + outer0;
    const int outer_left = clamp(x.outer - outer0, Outer), k_left = clamp(x.k - k0, S::depth);
#pragma unroll
    for (int i = 0; i < S::chunks; ++i) {
      const int c = thread + i * S::threads;
      const int o = outer_of(c, x.k_contiguous), l = k_of(c, x.k_contiguous);
      const long long from = corner + (x.k_contiguous ? o * x.ld + l : l * x.ld + o);
      const int left = o < outer_left && l < k_left ? (x.k_contiguous ? k_left - l : outer_left - o) : 0;
      if (x.vectors && left >= S::width) {
        staged[i] = load_vec<S::width>(x.p + from, 0);
      } else {
#pragma unroll
        for (int v = 0; v < S::width; ++v) staged[i][v] = v < left ? x.p[from + v] : narrow<T>(0);
      }
    }
  }

  /// Into shared memory, transposed where k is contiguous.
  __device__ void store(typename S::Row* tile, bool k_contiguous, int thread) const {
#pragma unroll
    for (int i = 0; i < S::chunks; ++i) {
      const int c = thread + i * S::threads, o = outer_of(c, k_contiguous), l = k_of(c, k_contiguous);
#pragma unroll
      for (int v = 0; v < S::width; v += S::piece) {
        typename S::Piece piece;
#pragma unroll
        for (int e = 0; e < S::piece; ++e) {
          if (v + e < S::width) piece[e] = widen(staged[i][v + e]);
        }
        if (!k_contiguous) {
          tile[l][(o + v) / S::piece] = piece;
        } else {
#pragma unroll
          for (int e = 0; e < S::piece; ++e) tile[l + v + e][o / S::piece][o % S::piece] = piece[e];
        }
      }
    }
  }
};

/// A thread's tile of C.
template <class T, int Outer>
struct ThreadTile {
  using S = TileShape<T, Outer>;
  typename S::A sum[S::per_thread][S::per_thread] = {};

  __device__ void multiply(const typename S::Row* a, const typename S::Row* b, int tx, int ty) {
#pragma unroll 2  // more, and 128 registers no longer hold what is in flight
    for (int l = 0; l < S::depth; ++l) {
      typename S::Piece x[S::pieces], y[S::pieces];
#pragma unroll
      for (int p = 0; p < S::pieces; ++p) {
        x[p] = a[l][ty + 16 * p];
        y[p] = b[l][tx + 16 * p];
      }
#pragma unroll
      for (int i = 0; i < S::per_thread; ++i)
#pragma unroll
        for (int j = 0; j < S::per_thread; ++j)
          sum[i][j] += x[i / S::piece][i % S::piece] * y[j / S::piece][j % S::piece];
    }
  }

  __device__ void store(const Gemm<T>& g, bool vectors, long long i0, long long j0, int tx, int ty) const {
#pragma unroll
    for (int p = 0; p < S::per_thread; ++p) {
      const long long i = i0 + (p / S::piece * 16 + ty) * S::piece + p % S::piece;
#pragma unroll
      for (int q = 0; q < S::per_thread; q += S::piece) {
        const long long j = j0 + (q / S::piece * 16 + tx) * S::piece;
        if (vectors && i < g.m && j + S::piece <= g.n) {
          Vec<T, S::piece> out;
#pragma unroll
          for (int e = 0; e < S::piece; ++e) out[e] = gemm_epilogue(g, i, j + e, sum[p][q + e]);
          store_vec(g.c + i * g.ldc + j, 0, out);
        } else {
#pragma unroll
          for (int e = 0; e < S::piece; ++e)
            if (i < g.m && j + e < g.n) g.c[i * g.ldc + j + e] = gemm_epilogue(g, i, j + e, sum[p][q + e]);
        }
      }
    }
  }
};

/// Whether C can be written 16 bytes at a time.
template <class T>
bool vectors_c(const Gemm<T>& g) {
  return aligned16(g.c) && g.ldc % vec_width<T> == 0;
}

}  // namespace detail

KFER_KERNELS_END
