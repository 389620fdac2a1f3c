// GEMM on Hopper's own terms, bf16 with sums in float: the copy engine feeds shared memory, and warpgroups
// multiply from there. For sm_90a.
//
// Launch: a block a multiprocessor, 3 warpgroups of 128 threads, which walks over tiles of 128 x N of C, N
// 256 or 128.
// - wgmma multiplies 64 x N x 16 with A and B in shared memory: no ldmatrix, no operand registers. Two
//   consumer warpgroups hold 64 x N each, N / 2 registers of sums a thread. For N = 256 an instruction is
//   524288 FLOP, 128 clocks of the tensor cores, and reads 2 + 8 KiB: 80 of the 128 bytes a clock that shared
//   memory gives. mma.sync would need 3 KiB of ldmatrix for each eighth of that.
// - One thread of the producer warpgroup names boxes to the copy engine (TMA): a stage of 64 k is
//   16 KiB of A and 16 or 32 KiB of B, written with the swizzle that wgmma reads and with zeros past the
//   matrix's end. No thread computes addresses or holds data on the way. setmaxnreg gives the producer's
//   registers to the consumers: 40 and 232.
// - Stages form a ring with two barriers each: full (the bytes have landed) and empty (both consumers have
//   read them). 5 or 4 stages, 160 or 192 KiB, hold 1.4 or 2.2 us of work at full rate, some twice the
//   latency of device memory.
// - Persistent blocks: the producer runs into the next tile while the consumers write the last one, so that
//   epilogues cost no copying time. Tiles go in bands (tile_order.cuh).
// - The epilogue turns fragments into rows through 16 KiB of shared memory a warpgroup, and stores 16 bytes a
//   thread, 256 a row.
// Device memory, with no reuse in L2: 2 * 128 * 256 / (2 * (128 + 256)) = 85 FLOP/byte; an H200 needs
// 989 TFLOP/s / 4.8 TB/s = 206, so three reads in five must be L2's: a band of 8 tiles and 17 columns of
// them share 25 panels in 132 blocks, 10 times fewer reads.
// Takes any transposition, beta = 0 and 16-byte aligned rows (gemm_wgmma_fits).
#pragma once

#include <algorithm>

#include "fragment_layout.cuh"
#include "problem.cuh"
#include "ptx.cuh"
#include "tile_order.cuh"

KFER_KERNELS_BEGIN

namespace detail {

/// Shared memory of a block: stages of A and B, the epilogue's room, barriers.
template <int N>
struct WgmmaRoom {
  static constexpr int stages = N == 256 ? 4 : 5;
  static constexpr unsigned a_bytes = 128 * 128, b_bytes = N * 128, stage_bytes = a_bytes + b_bytes;
  static constexpr unsigned epilogue = stages * stage_bytes, epilogue_bytes = 64 * 256;  ///< a warpgroup
  static constexpr unsigned barriers = epilogue + 2 * epilogue_bytes;
  static constexpr unsigned bytes = barriers + stages * 16 + 1024;  ///< with room to align to 1024
  static_assert(bytes <= 232448);
};

inline int compute_capability_major() {
#if defined(__CUDACC__)
  static const int major = [] {
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMajor, device);
    return value;
  }();
  return major;
#else
  return 9;  // what ptx_host.cuh acts out
#endif
}

/// Where a ring of stages stands: the stage and the parity of its barriers' phase.
template <int stages>
struct RingPosition {
  int stage = 0;
  unsigned parity = 0;
  __device__ void next() {
    if (++stage == stages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

/// The boxes of a tile at (outer0, k0).
template <class Tile, bool KContiguous>
__device__ inline void load_tile(const TensorMap& map, unsigned to, long long outer0, long long k0,
                                 unsigned barrier) {
#pragma unroll
  for (int panel = 0; panel < Tile::panels; ++panel) {
    const int outer = static_cast<int>(outer0) + Tile::box(panel).outer, k = static_cast<int>(k0);
    ptx::tma_load(to + static_cast<unsigned>(panel) * Tile::panel_bytes, map, KContiguous ? k : outer,
                  KContiguous ? outer : k, barrier);
  }
}

/// The epilogue of the 64 x N of C from (i0, j0) on, whose sums a warpgroup holds: through 64 x 128 in `room`
/// of shared memory, so that 16 bytes a thread and whole rows of 256 reach C. `barrier` is the warpgroup's
/// own.
template <int N>
__device__ inline void store_tile(const Gemm<bf16>& g, float (&sum)[N / 2], unsigned char* room, long long i0,
                                  long long j0, int barrier) {
  // Computed here, or else addresses are computed before the first tile, and kept where there is no room.
  const int t = ptx::computed_here(threadIdx.x) & 127;
#pragma unroll
  for (int r = 0; r < N / 2; ++r) sum[r] *= g.alpha;
  if (g.bias) {
#pragma unroll
    for (int r = 0; r < N / 2; ++r) {
      const long long j = j0 + wgmma_c(t, r).column;
      if (j < g.n) sum[r] += widen(g.bias[j]);
    }
  }
  if (g.relu) {
#pragma unroll
    for (int r = 0; r < N / 2; ++r) sum[r] = sum[r] < 0 ? 0 : sum[r];  // a NaN stays
  }
  const int first = t / 16, chunk = t % 16;  // of the rows and 16-byte chunks that this thread stores
#pragma unroll
  for (int half = 0; half < N / 128; ++half) {
    ptx::named_barrier(barrier, 128);  // the last piece has been read
#pragma unroll
    for (int r = 0; r < 64; r += 2) {
      const FragmentElement e = wgmma_c(t, r);
      *reinterpret_cast<Vec<bf16, 2>*>(room + epilogue_byte(e.row, e.column / 8) + e.column % 8 * 2) = {
          narrow<bf16>(sum[half * 64 + r]), narrow<bf16>(sum[half * 64 + r + 1])};
    }
    ptx::named_barrier(barrier, 128);
    Vec<bf16, 8> piece[8];
#pragma unroll
    for (int p = 0; p < 8; ++p)
      piece[p] = *reinterpret_cast<const Vec<bf16, 8>*>(room + epilogue_byte(first + p * 8, chunk));
    const long long j = j0 + half * 128 + chunk * 8;
    bf16* const to = g.c + (i0 + first) * g.ldc + j;
#pragma unroll
    for (int p = 0; p < 8; ++p) {
      if (i0 + first + p * 8 >= g.m || j >= g.n) continue;
      if (j + 8 <= g.n) {
        store_vec(to + p * 8 * g.ldc, 0, piece[p]);
      } else {
#pragma unroll
        for (int e = 0; e < 8; ++e)
          if (j + e < g.n) to[p * 8 * g.ldc + e] = piece[p][e];
      }
    }
  }
}

}  // namespace detail

template <int N, bool AKContiguous, bool BKContiguous>
__global__ void __launch_bounds__(384, 1)
    gemm_wgmma_kernel(const __grid_constant__ TensorMap map_a, const __grid_constant__ TensorMap map_b,
                      Gemm<bf16> g, unsigned tiles_m, unsigned tiles_n) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDACC__)
  using Room = detail::WgmmaRoom<N>;
  using TileA = SharedTile<bf16, AKContiguous, 128>;
  using TileB = SharedTile<bf16, BKContiguous, N>;
  static_assert(TileA::bytes == Room::a_bytes && TileB::bytes == Room::b_bytes);
  constexpr int stages = Room::stages;
  KFER_DYNAMIC_SHARED(unsigned char, dynamic);
  const unsigned padding = (1024 - ptx::shared_address(dynamic) % 1024) % 1024;
  unsigned char* const shared = dynamic + padding;
  const unsigned base = ptx::shared_address(shared);
  const auto full = [=](int stage) { return base + Room::barriers + static_cast<unsigned>(stage) * 16; };
  const auto empty = [=](int stage) { return full(stage) + 8; };
  const int thread = static_cast<int>(threadIdx.x), group = thread / 128;
  const unsigned tiles = tiles_m * tiles_n;
  const int steps = static_cast<int>(div_up(g.k, 64));

  if (thread == 0) {
    for (int s = 0; s < stages; ++s) {
      ptx::mbarrier_init(full(s), 1);   // the producer, and the bytes it announces
      ptx::mbarrier_init(empty(s), 8);  // one lane of each consumer warp: warps finish a wgmma on their own
    }
    ptx::mbarrier_init_fence();
    ptx::tma_prefetch(map_a);
    ptx::tma_prefetch(map_b);
  }
  __syncthreads();

  detail::RingPosition<stages> ring;
  if (group == 0) {
    ptx::fewer_registers<40>();
    if (thread == 0) {
      for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
        const TilePosition at = tile_in_bands(tile, tiles_m, tiles_n, 8);
        for (int step = 0; step < steps; ++step, ring.next()) {
          ptx::mbarrier_wait(empty(ring.stage), ring.parity ^ 1);  // passes at once in the first round
          ptx::mbarrier_arrive_expect(full(ring.stage), Room::stage_bytes);
          const unsigned to = base + static_cast<unsigned>(ring.stage) * Room::stage_bytes;
          const long long k0 = static_cast<long long>(step) * 64;
          detail::load_tile<TileA, AKContiguous>(map_a, to, at.row * 128, k0, full(ring.stage));
          detail::load_tile<TileB, BKContiguous>(map_b, to + Room::a_bytes, at.column * N, k0,
                                                 full(ring.stage));
        }
      }
    }
  } else {
    ptx::more_registers<232>();
    const int consumer = group - 1;
    const bool leader = thread % 32 == 0;
    for (unsigned tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
      float sum[N / 2];
#pragma unroll
      for (int r = 0; r < N / 2; ++r) sum[r] = 0;
      ptx::wgmma_sums(sum);
      int last = -1;  // the stage whose reads are still in flight
      for (int step = 0; step < steps; ++step, ring.next()) {
        ptx::mbarrier_wait(full(ring.stage), ring.parity);
        const unsigned a = base + static_cast<unsigned>(ring.stage) * Room::stage_bytes,
                       b = a + Room::a_bytes;
        ptx::wgmma_fence();
#pragma unroll
        for (int k = 0; k < 64; k += 16)
          ptx::Wgmma<N>::template run<!AKContiguous, !BKContiguous>(
              sum, wgmma_descriptor(a, wgmma_matrix<TileA, AKContiguous>(consumer * 64, k)),
              wgmma_descriptor(b, wgmma_matrix<TileB, BKContiguous>(0, k)));
        ptx::wgmma_commit();
        ptx::wgmma_wait<1>();  // the step before is done: its stage may be filled again
        if (last >= 0 && leader) ptx::mbarrier_arrive(empty(last));
        last = ring.stage;
      }
      ptx::wgmma_wait<0>();
      ptx::wgmma_sums(sum);
      if (last >= 0 && leader) ptx::mbarrier_arrive(empty(last));

      const TilePosition at = tile_in_bands(tile, tiles_m, tiles_n, 8);
      detail::store_tile<N>(g, sum, shared + Room::epilogue + consumer * Room::epilogue_bytes,
                            at.row * 128 + consumer * 64, at.column * N, group);
    }
  }
#else
  __trap();  // built for another GPU
#endif
}

/// Whether this is a Hopper GPU, the copy engine can address A, B and C (rows of a multiple of 16 bytes,
/// extents in 31 bits), and the epilogue is one without C.
inline bool gemm_wgmma_fits(const Gemm<bf16>& g) {
  const auto rows = [](long long ld) { return ld % 8 == 0; };
  const auto extent = [](long long n) { return n > 0 && n < (1ll << 31) - 256; };
  return detail::compute_capability_major() == 9 && g.beta == 0 && aligned16(g.a, g.b, g.c) && rows(g.lda) &&
         rows(g.ldb) && rows(g.ldc) && extent(g.m) && extent(g.n) && extent(g.k);
}

/// Takes what gemm_wgmma_fits allows.
template <int N, bool AKContiguous, bool BKContiguous>
void gemm_wgmma_tiles(const Gemm<bf16>& g, Stream stream) {
  // Boxes: 128 (or N) x 64 of a matrix whose rows run along k; else 64 of k x 64, one for each panel.
  const TensorMap a =
      AKContiguous ? tensor_map(g.a, g.m, g.k, g.lda, 128) : tensor_map(g.a, g.k, g.m, g.lda, 64);
  const TensorMap b =
      BKContiguous ? tensor_map(g.b, g.n, g.k, g.ldb, N) : tensor_map(g.b, g.k, g.n, g.ldb, 64);
  const auto tiles_m = static_cast<unsigned>(div_up(g.m, 128)),
             tiles_n = static_cast<unsigned>(div_up(g.n, N));
  const unsigned blocks = std::min(tiles_m * tiles_n, static_cast<unsigned>(multiprocessors()));
  launch(gemm_wgmma_kernel<N, AKContiguous, BKContiguous>, dim3(blocks), dim3(384),
         detail::WgmmaRoom<N>::bytes, stream, a, b, g, tiles_m, tiles_n);
}

/// Tiles of 128 x 256, or of 128 x 128 where those would leave multiprocessors without work.
inline void gemm_wgmma(const Gemm<bf16>& g, Stream stream) {
  const bool wide = div_up(g.m, 128) * div_up(g.n, 256) >= multiprocessors();
  const auto run = [&]<bool a, bool b>() {
    wide ? gemm_wgmma_tiles<256, a, b>(g, stream) : gemm_wgmma_tiles<128, a, b>(g, stream);
  };
  if (g.transpose_a)
    g.transpose_b ? run.template operator()<false, true>() : run.template operator()<false, false>();
  else
    g.transpose_b ? run.template operator()<true, true>() : run.template operator()<true, false>();
}

KFER_KERNELS_END
