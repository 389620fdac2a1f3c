// Implicit GEMM, third step: a thread computes an 8 x 8 tile in registers, and channels move 16 bytes at a
// time.
//
// A thread of the second step reads two numbers from shared memory for each multiplication, and shared memory
// gives a multiprocessor 32 floats a clock while it can do 128 multiplications. With 8 x 8 results a thread,
// 16 numbers read serve 64 multiplications: 4 each, which is the balance.
//
// Channels lie next to each other, so a vector of them (4 floats, 8 bf16, 2 doubles) is one load, one bounds
// check and one set of divisions. It runs along the depth where the operand's depth is (tap, channel), along
// the rows where its rows are channels; either way it lands in shared memory as [depth][row], so that the
// inner loop reads rows, 16 bytes at a time. Channels that do not fill vectors, as an image's three, take the
// same kernel with vectors of one.
//
// Launch: a block of 64 threads (128 for double, 4 x 8 results each) a tile of 64 x 64 results, depth in
// steps of 8. Traffic to global memory: K / 64 reads an element of the result from either operand, a quarter
// of the second step's. It loses where the result has too few tiles to fill the device, and it waits for
// memory between two steps of the depth: the next idea.
#pragma once

#include "gemm_view.cuh"

KFER_KERNELS_BEGIN

/// The block's tile and the thread's. Thread (tx, ty) owns rows ty W + i of every (threads_m W)-th row and
/// columns likewise, W = 16 bytes of Acc, so that a warp's 16-byte reads of shared memory do not collide.
template <class Acc>
struct RegisterTile {
  static constexpr int m = 64, n = 64, depth = 8;
  static constexpr int thread_m = sizeof(Acc) == 8 ? 4 : 8,
                       thread_n = 8;  // sums of double take two registers
  static constexpr int threads_m = m / thread_m, threads_n = n / thread_n, threads = threads_m * threads_n;
  static constexpr int W = vec_width<Acc>;
  using Packed = Vec<Acc, W>;
  static constexpr int pitch_m = m / W + 1,
                       pitch_n = n / W + 1;  // + 1: stores down a column spread over banks
};

/// Vector `i` of an operand's tile of `Rows` rows: where it starts.
template <bool AlongDepth, int Rows, int Depth, int V>
struct TileVector {
  int row, depth;
  __device__ explicit TileVector(int i) {
    constexpr int run = (AlongDepth ? Depth : Rows) / V;
    row = AlongDepth ? i / run : i % run * V;
    depth = AlongDepth ? i % run * V : i / run;
  }
};

/// Writes a vector that starts at (row, depth) into the tile [depth][row].
template <bool AlongDepth, int V, class T, class Packed, int D, int P>
__device__ inline void put_vector(Packed (&tile)[D][P], int row, int depth, const Vec<T, V>& v) {
  constexpr int W = sizeof(Packed) / sizeof(accum_t<T>);
#pragma unroll
  for (int e = 0; e < V; ++e) {
    const int r = AlongDepth ? row : row + e, d = AlongDepth ? depth + e : depth;
    tile[d][r / W][r % W] = widen(v[e]);
  }
}

/// Loads rows [r0, r0 + Rows) and depth [k0, k0 + D) of an operand of `rows` rows, zeros past its ends.
template <int Rows, int V, int Threads, class Operand, class Packed, int D, int P>
__device__ inline void load_tile(const Operand& operand, int r0, int rows, int k0, int k_end,
                                 Packed (&tile)[D][P]) {
  using T = typename Operand::value_type;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < Rows * D / V; i += Threads) {
    const TileVector<Operand::along_depth, Rows, D, V> at(i);
    Vec<T, V> v{};
    if (r0 + at.row < rows && k0 + at.depth < k_end)
      if (const T* p = operand.at(operand.row(r0 + at.row), operand.depth(k0 + at.depth)))
        v = load_vec<V>(p, 0);
    put_vector<Operand::along_depth, V>(tile, at.row, at.depth, v);
  }
}

/// sums += the product of two tiles in shared memory.
template <class Tile, class Acc>
__device__ inline void multiply_tiles(const typename Tile::Packed (&a)[Tile::depth][Tile::pitch_m],
                                      const typename Tile::Packed (&b)[Tile::depth][Tile::pitch_n],
                                      Acc (&sums)[Tile::thread_m][Tile::thread_n]) {
  constexpr int W = Tile::W;
  const int tx = static_cast<int>(threadIdx.x) % Tile::threads_n,
            ty = static_cast<int>(threadIdx.x) / Tile::threads_n;
#pragma unroll
  for (int k = 0; k < Tile::depth; ++k) {
    typename Tile::Packed x[Tile::thread_m / W], y[Tile::thread_n / W];
#pragma unroll
    for (int i = 0; i < Tile::thread_m / W; ++i) x[i] = a[k][i * Tile::threads_m + ty];
#pragma unroll
    for (int j = 0; j < Tile::thread_n / W; ++j) y[j] = b[k][j * Tile::threads_n + tx];
#pragma unroll
    for (int i = 0; i < Tile::thread_m; ++i)
#pragma unroll
      for (int j = 0; j < Tile::thread_n; ++j) sums[i][j] += x[i / W][i % W] * y[j / W][j % W];
  }
}

/// Writes the thread's results, W at a time where the channels allow vectors.
template <class Tile, bool Vectors, class Gemm, class Acc>
__device__ inline void store_tile(const Gemm& gemm, const ConvBlock& block,
                                  const Acc (&sums)[Tile::thread_m][Tile::thread_n]) {
  constexpr int W = Tile::W;
  using U = typename decltype(gemm.result)::value_type;
  const int tx = static_cast<int>(threadIdx.x) % Tile::threads_n,
            ty = static_cast<int>(threadIdx.x) / Tile::threads_n;
#pragma unroll
  for (int i = 0; i < Tile::thread_m; ++i) {
    const int m = block.m + (i / W * Tile::threads_m + ty) * W + i % W;
    if (m >= gemm.m) continue;
    U* row = gemm.result.row(m);
#pragma unroll
    for (int j = 0; j < Tile::thread_n; j += W) {
      const int n = block.n + (j / W * Tile::threads_n + tx) * W;
      if (Vectors) {
        if (n >= gemm.n) continue;
        Vec<U, W> v;
#pragma unroll
        for (int e = 0; e < W; ++e) v[e] = gemm.result.value(sums[i][j + e], n + e);
        store_vec(row + n, 0, v);
      } else {
#pragma unroll
        for (int e = 0; e < W; ++e)
          if (n + e < gemm.n) row[n + e] = gemm.result.value(sums[i][j + e], n + e);
      }
    }
  }
}

template <int V, class Gemm>
__global__ void __launch_bounds__(RegisterTile<typename Gemm::Acc>::threads) conv_register_tile(Gemm gemm) {
  using Acc = typename Gemm::Acc;
  using Tile = RegisterTile<Acc>;
  using Packed = typename Tile::Packed;
  KFER_SHARED(Packed, a, [Tile::depth][Tile::pitch_m]);
  KFER_SHARED(Packed, b, [Tile::depth][Tile::pitch_n]);
  const ConvBlock block = enter_block<Tile::m, Tile::n>(gemm);
  Acc sums[Tile::thread_m][Tile::thread_n] = {};
  for (int k = block.begin; k < block.end; k += Tile::depth) {
    load_tile<Tile::m, V, Tile::threads>(gemm.a, block.m, gemm.m, k, block.end, a);
    load_tile<Tile::n, V, Tile::threads>(gemm.b, block.n, gemm.n, k, block.end, b);
    __syncthreads();
    multiply_tiles<Tile>(a, b, sums);
    __syncthreads();
  }
  store_tile<Tile, (V > 1)>(gemm, block, sums);
}

struct ConvRegisterTile {
  using Divisor = PlainDivider<int>;
  template <class T>
  using Tile = RegisterTile<accum_t<T>>;

  template <class Gemm>
  static void run(const Gemm& gemm, bool vectors, Stream stream) {
    constexpr int V = vec_width<typename Gemm::T>;
    launch_tiles<Tile<typename Gemm::T>>(vectors ? conv_register_tile<V, Gemm> : conv_register_tile<1, Gemm>,
                                         gemm, stream);
  }
};

KFER_KERNELS_END
