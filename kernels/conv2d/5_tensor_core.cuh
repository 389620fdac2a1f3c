// Implicit GEMM, fifth step: tensor cores, fed by asynchronous copies.
//
// One mma.sync multiplies 16 x 8 x 16 bf16 (or 16 x 8 x 8 TF32) for a warp: 4096 FLOPs (or 2048) in an
// instruction, where a multiply-add of the same 32 lanes does 64. All else follows from feeding it.
//  - cp.async moves 16 bytes from global to shared memory without passing through registers, and writes
//    zeros for the padding and for what lies past an end (it is told to read 0 bytes). So loads can run
//    several steps ahead: four stages of shared memory, three in flight while one is multiplied, one barrier
//    a step.
//  - Operands stay in shared memory as they lie in global memory, [row][depth] or [depth][row]. For bf16
//    ldmatrix hands out fragments from either, transposing on the way; TF32 fragments are single words, read
//    from either. Pads of 16 bytes (32 across for TF32) keep both free of bank conflicts (MmaTile).
//  - Results go back through shared memory, so that 16-byte stores of whole lines reach global memory.
//
// Per step of 64 bytes of depth a block of 128 x 128 reads 16 KiB and does 2 * 128 * 128 * 32 FLOPs in bf16:
// 64 FLOPs a byte of L2 traffic, against 32 for tiles of 64 x 64, which serve where the larger ones would
// leave multiprocessors idle or the result is narrow. Channels that do not fill 16 bytes are loaded one by
// one and take the small tile only.
//
// Launch: 256 threads, 8 warps of 64 x 32 results (or 128 threads, 4 warps of 32 x 32); 80 (or 40) KiB of
// shared memory. float is rounded to TF32 (10 bits of mantissa) at the last moment, sums are float for either
// type. Under the host executor the instructions are acted out (common/ptx_host.cuh), which is for tests;
// what ships there is the fourth step.
#pragma once

#include "../common/mma_layout.cuh"
#include "../common/ptx.cuh"
#include "gemm_view.cuh"

KFER_KERNELS_BEGIN

/// An operand's tile of Rows x Depth elements in shared memory, in the order in which it lies in global
/// memory, with a pad behind each line: the eight 16-byte rows that ldmatrix reads at once, and the 32 words
/// that a warp reads of a TF32 fragment, then fall into different banks.
template <class T, bool AlongDepth, int Rows, int Depth>
struct MmaTile {
  static constexpr int lines = AlongDepth ? Rows : Depth;
  static constexpr int pitch = AlongDepth ? Depth + vec_width<T> : Rows + 8;
  static constexpr int size = lines * pitch;

  __host__ __device__ static constexpr int offset(int row, int depth) {
    return AlongDepth ? row * pitch + depth : depth * pitch + row;
  }
};

/// A block's tile, split among warps, with the stages of its pipeline.
template <class T, int M, int N, int WarpM, int WarpN>
struct TensorTile {
  static constexpr int m = M, n = N, depth = static_cast<int>(64 / sizeof(T)), warp_m = WarpM, warp_n = WarpN,
                       stages = 4;
  static constexpr int warps_n = N / WarpN, threads = 32 * (M / WarpM) * warps_n;
  static constexpr int fragments_m = WarpM / 16, fragments_n = WarpN / 8;
  static constexpr int resident = 512 / threads;  // blocks on a multiprocessor: 128 registers a thread
  static constexpr int result_pitch = N + 4;      // floats
};
template <class T>
using LargeTensorTile = TensorTile<T, 128, 128, 64, 32>;
template <class T>
using SmallTensorTile = TensorTile<T, 64, 64, 32, 32>;

namespace detail {

/// The fragments of one mma depth from `depth` on: Count of A (16 rows each), or Count of B (8 columns each,
/// an even number), from `row` on.
template <bool IsA, class Tile, int Count>
__device__ inline void load_fragments(const bf16* tile, int row, int depth,
                                      unsigned (&to)[Count][IsA ? 4 : 2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const TileElement at = IsA ? ldmatrix_a<bf16, Tile::along>(lane) : ldmatrix_b<bf16, Tile::along>(lane);
#pragma unroll
  for (int i = 0; i < Count; i += IsA ? 1 : 2) {
    unsigned r[4];
    ptx::ldmatrix_x4<!Tile::along>(
        r, ptx::shared_address(tile + Tile::offset(row + i * (IsA ? 16 : 8) + at.outer, depth + at.k)));
#pragma unroll
    for (int e = 0; e < 4; ++e) to[IsA ? i : i + e / 2][IsA ? e : e % 2] = r[e];
  }
}
template <bool IsA, class Tile, int Count>
__device__ inline void load_fragments(const float* tile, int row, int depth,
                                      unsigned (&to)[Count][IsA ? 4 : 2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < Count; ++i)
#pragma unroll
    for (int e = 0; e < (IsA ? 4 : 2); ++e) {
      const TileElement at = IsA ? mma_a<float>(lane, e, 0) : mma_b<float>(lane, e, 0);
      to[i][e] = ptx::to_tf32(
          __float_as_uint(tile[Tile::offset(row + i * (IsA ? 16 : 8) + at.outer, depth + at.k)]));
    }
}

}  // namespace detail

/// A thread's share of copying an operand's tiles to shared memory, V elements at a time.
template <class Operand, int Rows, int Depth, int V, int Threads>
class AsyncLoader {
 public:
  using T = typename Operand::value_type;
  struct Tile : MmaTile<T, Operand::along_depth, Rows, Depth> {
    static constexpr bool along = Operand::along_depth;
  };

  __device__ AsyncLoader(const Operand& operand, int r0, int rows) : operand_(operand), r0_(r0), rows_(rows) {
    if (V > 1) {
#pragma unroll
      for (int j = 0; j < fixed; ++j) row_[j] = operand_.row(inside(place(j).row) ? r0_ + place(j).row : 0);
    }
  }

  /// Depth [k0, k0 + Depth) on its way to `tile`; zeros from k_end.
  __device__ void start(T* tile, int k0, int k_end) const {
    if (V > 1 && Operand::along_depth) {
      const int k = k0 + place(0).depth;
      const auto depth = operand_.depth(k < k_end ? k : 0);
#pragma unroll
      for (int j = 0; j < count; ++j) copy(tile, place(j), row_[j % fixed], depth, k < k_end);
    } else if (V > 1) {
#pragma unroll
      for (int j = 0; j < count; ++j) {
        const int k = k0 + place(j).depth;
        copy(tile, place(j), row_[0], operand_.depth(k < k_end ? k : 0), k < k_end);
      }
    } else {
#pragma unroll 4
      for (int j = 0; j < count; ++j) {
        const Place at = place(j);
        const T* p = nullptr;
        if (inside(at.row) && k0 + at.depth < k_end)
          p = operand_.at(operand_.row(r0_ + at.row), operand_.depth(k0 + at.depth));
        tile[Tile::offset(at.row, at.depth)] = p ? *p : narrow<T>(0);
      }
    }
  }

 private:
  static constexpr int run = (Operand::along_depth ? Depth : Rows) / V, count = Rows * Depth / V / Threads,
                       fixed = V == 1                 ? 1
                               : Operand::along_depth ? count
                                                      : 1;
  static_assert(count * Threads * V == Rows * Depth && Threads % run == 0,
                "a thread's vectors share their place along the run");
  struct Place {
    int row, depth;
  };
  __device__ static Place place(int j) {
    const int i = static_cast<int>(threadIdx.x) + j * Threads;
    return Operand::along_depth ? Place{i / run, i % run * V} : Place{i % run * V, i / run};
  }
  __device__ bool inside(int row) const {
    return r0_ + row < rows_;
  }
  __device__ void copy(T* tile, Place at, const typename Operand::Row& row,
                       const typename Operand::Depth& depth, bool in_depth) const {
    const T* p = in_depth && inside(at.row) ? operand_.at(row, depth) : nullptr;
    ptx::cp_async16(ptx::shared_address(tile + Tile::offset(at.row, at.depth)), p ? p : operand_.base(),
                    p ? 16 : 0);
  }

  const Operand& operand_;
  const int r0_, rows_;
  typename Operand::Row row_[fixed];
};

template <class Tile, class A, class B>
constexpr int tensor_core_shared_bytes() {
  using T = typename A::value_type;
  constexpr int stage = MmaTile<T, A::along_depth, Tile::m, Tile::depth>::size +
                        MmaTile<T, B::along_depth, Tile::n, Tile::depth>::size;
  constexpr int pipeline = Tile::stages * stage * static_cast<int>(sizeof(T)),
                result = Tile::m * Tile::result_pitch * static_cast<int>(sizeof(float));
  return pipeline > result ? pipeline : result;
}

template <class Tile, int V, class Gemm>
__global__ void __launch_bounds__(Tile::threads, Tile::resident) conv_tensor_core(Gemm gemm) {
  using T = typename Gemm::T;
  using LoadA = AsyncLoader<decltype(gemm.a), Tile::m, Tile::depth, V, Tile::threads>;
  using LoadB = AsyncLoader<decltype(gemm.b), Tile::n, Tile::depth, V, Tile::threads>;
  constexpr int stage_size = LoadA::Tile::size + LoadB::Tile::size;
  KFER_DYNAMIC_SHARED(unsigned char, memory);
  T* const stages = reinterpret_cast<T*>(memory);

  const ConvBlock block = enter_block<Tile::m, Tile::n>(gemm);
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_m = warp / Tile::warps_n * Tile::warp_m, warp_n = warp % Tile::warps_n * Tile::warp_n;
  const LoadA load_a(gemm.a, block.m, gemm.m);
  const LoadB load_b(gemm.b, block.n, gemm.n);
  const auto start = [&](int stage, int k) {
    T* const tile = stages + stage * stage_size;
    load_a.start(tile, k, block.end);
    load_b.start(tile + LoadA::Tile::size, k, block.end);
  };

  float sums[Tile::fragments_m][Tile::fragments_n][4] = {};
  int next = block.begin;
#pragma unroll
  for (int s = 0; s < Tile::stages - 1; ++s, next += Tile::depth) {
    if (next < block.end) start(s, next);
    ptx::cp_async_commit();
  }
  int stage = 0, free_stage = Tile::stages - 1;
  for (int k = block.begin; k < block.end; k += Tile::depth, next += Tile::depth) {
    ptx::cp_async_wait<Tile::stages - 2>();  // this thread's part of the stage has arrived,
    __syncthreads();                         // everyone's has, and everyone is done with the stage before
    if (next < block.end) start(free_stage, next);
    ptx::cp_async_commit();
    const T* const a = stages + stage * stage_size;
    const T* const b = a + LoadA::Tile::size;
#pragma unroll
    for (int d = 0; d < Tile::depth; d += mma_depth<T>) {
      unsigned fb[Tile::fragments_n][2];
      detail::load_fragments<false, typename LoadB::Tile>(b, warp_n, d, fb);
#pragma unroll
      for (int i = 0; i < Tile::fragments_m; ++i) {
        unsigned fa[1][4];
        detail::load_fragments<true, typename LoadA::Tile>(a, warp_m + i * 16, d, fa);
#pragma unroll
        for (int j = 0; j < Tile::fragments_n; ++j) ptx::mma(sums[i][j], fa[0], fb[j][0], fb[j][1], T{});
      }
    }
    free_stage = stage;
    stage = stage + 1 == Tile::stages ? 0 : stage + 1;
  }

  // Through shared memory, which the pipeline has left, to whole lines of the result.
  ptx::cp_async_wait<0>();
  __syncthreads();
  float* const results = reinterpret_cast<float*>(memory);
#pragma unroll
  for (int i = 0; i < Tile::fragments_m; ++i)
#pragma unroll
    for (int j = 0; j < Tile::fragments_n; ++j)
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        const FragmentElement at = mma_c(lane, e);
        float* p = results + (warp_m + i * 16 + at.row) * Tile::result_pitch + warp_n + j * 8 + at.column;
        store_vec(p, 0, Vec<float, 2>{{sums[i][j][e], sums[i][j][e + 1]}});
      }
  __syncthreads();
  using U = typename decltype(gemm.result)::value_type;
  constexpr int W = V > 1 ? vec_width<U> : 1;
  for (int i = static_cast<int>(threadIdx.x); i < Tile::m * Tile::n / W; i += Tile::threads) {
    const int row = i / (Tile::n / W), column = i % (Tile::n / W) * W;
    if (block.m + row >= gemm.m || block.n + column >= gemm.n) continue;
    const float* from = results + row * Tile::result_pitch + column;
    Vec<U, W> v;
#pragma unroll
    for (int e = 0; e < W; ++e) v[e] = gemm.result.value(from[e], block.n + column + e);
    store_vec(gemm.result.row(block.m + row) + block.n + column, 0, v);
  }
}

struct ConvTensorCore {
  using Divisor = FastDivider<int>;
  template <class T>
  using Tile = SmallTensorTile<T>;

  template <class Gemm>
  static void run(const Gemm& gemm, bool vectors, Stream stream) {
    using T = typename Gemm::T;
    static_assert(sizeof(T) <= 4, "tensor cores take bf16, and float as TF32");
    using Large = LargeTensorTile<T>;
    const bool large = gemm.n > Large::n / 2 && gemm.m > Large::m / 2 &&
                       gemm.blocks(Large::m, Large::n) >= multiprocessors();
    if (!vectors) return run_tile<SmallTensorTile<T>, 1>(gemm, stream);
    if (large) return run_tile<Large, vec_width<T>>(gemm, stream);
    run_tile<SmallTensorTile<T>, vec_width<T>>(gemm, stream);
  }

 private:
  template <class Tile, int V, class Gemm>
  static void run_tile(const Gemm& gemm, Stream stream) {
    launch_tiles<Tile>(conv_tensor_core<Tile, V, Gemm>, gemm, stream,
                       tensor_core_shared_bytes<Tile, decltype(gemm.a), decltype(gemm.b)>());
  }
};

KFER_KERNELS_END
