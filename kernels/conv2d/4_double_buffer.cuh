// Implicit GEMM, fourth step: the next tiles travel while this one is multiplied, and the index arithmetic
// leaves the inner loop.
//
// The third step loads, waits, multiplies, waits. Here shared memory holds two stages: loads of the next
// stage are issued into registers before the current one is multiplied, 512 multiplications a thread hide
// their latency, and one barrier a step is enough, since what a step overwrites was last read before the
// barrier of the step before.
//
// Index arithmetic: what a row gives (a pixel's image and corner, or a tap and a channel) does not change
// over the depth, so a thread works it out once for each row that it loads; and its vectors of one step share
// either their row or their depth, so that what is left is two divisions a step (or a vector, where pixels
// are the depth), by numbers known at launch: a multiplication and a shift each (common/divide.cuh).
//
// Launch, tile and traffic are the third step's. Registers: 64 sums, 16 fragments, 16 of loads in flight.
// It ships for double, and for every type where tensor cores are not to be had.
#pragma once

#include "3_register_tile.cuh"

KFER_KERNELS_BEGIN

/// A thread's share of an operand's tiles: Count vectors a step, with what does not change from step to step.
template <class Operand, int Rows, int Depth, int V, int Threads>
class TileLoader {
 public:
  using T = typename Operand::value_type;
  static constexpr bool along_depth = Operand::along_depth;
  static constexpr int count = Rows * Depth / V / Threads, run = (along_depth ? Depth : Rows) / V;
  static_assert(count * Threads * V == Rows * Depth && Threads % run == 0,
                "a thread's vectors share their place along the run");

  __device__ TileLoader(const Operand& operand, int r0, int rows) : operand_(operand) {
#pragma unroll
    for (int j = 0; j < fixed; ++j) {
      const int r = r0 + at(j).row;
      row_[j] = operand.row(r < rows ? r : 0);
      inside_[j] = r < rows;
    }
  }

  /// Starts the loads of depth [k0, k0 + Depth), zeros from k_end.
  __device__ void fetch(int k0, int k_end) {
    if (along_depth) {
      const int k = k0 + at(0).depth;
      const auto depth = operand_.depth(k < k_end ? k : 0);
#pragma unroll
      for (int j = 0; j < count; ++j) load(j, j, depth, k < k_end);
    } else {
#pragma unroll
      for (int j = 0; j < count; ++j) {
        const int k = k0 + at(j).depth;
        load(j, 0, operand_.depth(k < k_end ? k : 0), k < k_end);
      }
    }
  }

  /// Writes what was fetched into shared memory.
  template <class Packed, int P>
  __device__ void put(Packed (&tile)[Depth][P]) const {
#pragma unroll
    for (int j = 0; j < count; ++j) put_vector<along_depth, V>(tile, at(j).row, at(j).depth, vectors_[j]);
  }

 private:
  static constexpr int fixed = along_depth ? count : 1;

  __device__ static TileVector<along_depth, Rows, Depth, V> at(int j) {
    return TileVector<along_depth, Rows, Depth, V>(static_cast<int>(threadIdx.x) + j * Threads);
  }
  __device__ void load(int j, int row, const typename Operand::Depth& depth, bool inside) {
    vectors_[j] = Vec<T, V>{};
    if (inside && inside_[row])
      if (const T* p = operand_.at(row_[row], depth)) vectors_[j] = load_vec<V>(p, 0);
  }

  const Operand& operand_;
  typename Operand::Row row_[fixed];
  bool inside_[fixed];
  Vec<T, V> vectors_[count];
};

template <int V, class Gemm>
__global__ void __launch_bounds__(RegisterTile<typename Gemm::Acc>::threads) conv_double_buffer(Gemm gemm) {
  using Acc = typename Gemm::Acc;
  using Tile = RegisterTile<Acc>;
  using Packed = typename Tile::Packed;
  KFER_SHARED(Packed, a, [2][Tile::depth][Tile::pitch_m]);
  KFER_SHARED(Packed, b, [2][Tile::depth][Tile::pitch_n]);
  const ConvBlock block = enter_block<Tile::m, Tile::n>(gemm);
  Acc sums[Tile::thread_m][Tile::thread_n] = {};
  TileLoader<decltype(gemm.a), Tile::m, Tile::depth, V, Tile::threads> load_a(gemm.a, block.m, gemm.m);
  TileLoader<decltype(gemm.b), Tile::n, Tile::depth, V, Tile::threads> load_b(gemm.b, block.n, gemm.n);
  if (block.begin < block.end) {
    load_a.fetch(block.begin, block.end);
    load_b.fetch(block.begin, block.end);
    load_a.put(a[0]);
    load_b.put(b[0]);
  }
  __syncthreads();
  int stage = 0;
  for (int k = block.begin; k < block.end; k += Tile::depth, stage ^= 1) {
    const bool more = k < block.end - Tile::depth;
    if (more) {
      load_a.fetch(k + Tile::depth, block.end);
      load_b.fetch(k + Tile::depth, block.end);
    }
    multiply_tiles<Tile>(a[stage], b[stage], sums);
    if (more) {
      load_a.put(a[stage ^ 1]);
      load_b.put(b[stage ^ 1]);
    }
    __syncthreads();
  }
  store_tile<Tile, (V > 1)>(gemm, block, sums);
}

struct ConvDoubleBuffer {
  using Divisor = FastDivider<int>;
  template <class T>
  using Tile = RegisterTile<accum_t<T>>;

  template <class Gemm>
  static void run(const Gemm& gemm, bool vectors, Stream stream) {
    constexpr int V = vec_width<typename Gemm::T>;
    launch_tiles<Tile<typename Gemm::T>>(vectors ? conv_double_buffer<V, Gemm> : conv_double_buffer<1, Gemm>,
                                         gemm, stream);
  }
};

KFER_KERNELS_END
