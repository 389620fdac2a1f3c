// The instructions of ptx.cuh, acted out by the host executor as ../common/ptx_host.cuh does it. Written from
// the ISA's tables, not from fragment_layout.cuh. Included by ptx.cuh.
//
// The copy engine has it either way, at once or as late as a thread waits for it: a stage that is refilled
// too early shows, and one that is read too early. A barrier that would wait for ever ends the launch with
// simt::Error.
#pragma once

#if !defined(__CUDACC__)

#include <cstdint>
#include <cstring>
#include <map>
#include <stdexcept>
#include <vector>

#include "../common/ptx.cuh"

KFER_KERNELS_BEGIN

/// A matrix of bf16 as the copy engine sees it, in boxes of box_rows x 64.
struct TensorMap {
  const bf16* p;
  long long rows, columns, ld;
  int box_rows;
};
/// Refuses what cuTensorMapEncodeTiled refuses.
inline TensorMap tensor_map(const bf16* p, long long rows, long long columns, long long ld, int box_rows) {
  const auto extent = [](long long n) { return n >= 1 && n <= 1ll << 32; };
  if (reinterpret_cast<std::uintptr_t>(p) % 16 || !extent(rows) || !extent(columns) || ld % 8 ||
      ld >= 1ll << 39 || box_rows < 1 || box_rows > 256)
    throw std::runtime_error("gemm: cuTensorMapEncodeTiled refused a matrix");
  return {p, rows, columns, ld, box_rows};
}

namespace ptx {

namespace host {

/// Orders what a barrier's functions do, and what is around them, as ThreadSanitizer sees it.
struct Ordered {
  Ordered() { simt::detail::Machine::get().fence(); }
  ~Ordered() { simt::detail::Machine::get().fence(); }
};

/// Lets others go first until `done`.
template <class Done>
void wait_until(const Done& done, const char* hangs) {
  const Ordered ordered;
  for (int turns = 0; !done(); ++turns) {
    expect(turns < 1 << 14, hangs);
    simt::detail::Machine::get().fence();
    __nanosleep(0);
    simt::detail::Machine::get().fence();
  }
}

struct Box {
  unsigned to;
  TensorMap map;
  int x, y;
};
struct Product {
  float* d;
  unsigned long long a, b;
  bool transpose_a, transpose_b;
  void (*multiply)(const Product&);
};

/// A barrier in shared memory, and the boxes on their way that count on it.
struct Barrier {
  unsigned arrivals = 0, missing = 0, phase = 0;
  long long bytes = 0;
  std::vector<Box> boxes;

  static Barrier& at(unsigned address) {
    static std::map<unsigned, Barrier> all;
    return all[address];
  }
  void arrive() {
    expect(missing > 0, "more arrivals at an mbarrier than it was made for");
    --missing;
    advance();
  }
  void advance() {
    if (missing > 0 || bytes != 0) return;
    ++phase;
    missing = arrivals;
  }
};

}  // namespace host

// ---- barriers in shared memory and the copy engine ----

inline void mbarrier_init(unsigned barrier, unsigned arrivals) {
  const host::Ordered ordered;
  shared_memory(barrier, 8);
  host::Barrier::at(barrier) = {arrivals, arrivals, 0, 0, {}};
}
inline void mbarrier_init_fence() {}
inline void mbarrier_arrive(unsigned barrier) {
  const host::Ordered ordered;
  host::Barrier::at(barrier).arrive();
}
inline void mbarrier_arrive_expect(unsigned barrier, unsigned bytes) {
  const host::Ordered ordered;
  host::Barrier& b = host::Barrier::at(barrier);
  b.bytes += bytes;
  b.arrive();
}

namespace host {

/// Zeros outside of the matrix; the 16-byte chunks of 8 rows of 128 bytes permuted, by address.
inline void land(const Box& box) {
  for (int r = 0; r < box.map.box_rows; ++r)
    for (int c = 0; c < 64; ++c) {
      const long long row = static_cast<long long>(box.y) + r, column = static_cast<long long>(box.x) + c;
      const bool inside = row >= 0 && row < box.map.rows && column >= 0 && column < box.map.columns;
      const bf16 value = inside ? box.map.p[row * box.map.ld + column] : narrow<bf16>(0);
      const unsigned at = box.to + static_cast<unsigned>(r * 128 + c * 2);
      std::memcpy(shared_memory(at ^ (at >> 7 & 7) << 4, 2), &value, 2);
    }
}
inline void land_all(Barrier& b) {
  for (const Box& box : b.boxes) {
    land(box);
    b.bytes -= box.map.box_rows * 128;
  }
  b.boxes.clear();
  b.advance();
}

}  // namespace host

inline void mbarrier_wait(unsigned barrier, unsigned parity) {
  const host::Ordered ordered;
  host::Barrier& b = host::Barrier::at(barrier);
  host::wait_until(
      [&] {
        if (b.phase % 2 == parity && !b.boxes.empty()) host::land_all(b);
        return b.phase % 2 != parity;
      },
      "an mbarrier's phase does not end");
}

inline void tma_load(unsigned to, const TensorMap& map, int x, int y, unsigned barrier) {
  const host::Ordered ordered;
  host::expect(to % 128 == 0, "a box that is not aligned to 128 bytes");
  host::Barrier& b = host::Barrier::at(barrier);
  b.boxes.push_back({to, map, x, y});
  static unsigned coin = 1;
  coin = coin * 1664525u + 1013904223u;
  if (coin >> 31) host::land_all(b);
}
inline void tma_prefetch(const TensorMap&) {}

inline void named_barrier(int id, int threads) {
  struct State {
    int arrived = 0;
    unsigned turn = 0;
  };
  static host::OfBlock<State> barriers[16];
  const host::Ordered ordered;
  State& b = barriers[id].get();
  const unsigned mine = b.turn;
  if (++b.arrived == threads) {
    b.arrived = 0;
    ++b.turn;
  }
  host::wait_until([&] { return b.turn != mine; }, "threads are missing at a barrier");
}

// ---- wgmma ----

template <int registers>
inline void more_registers() {}
template <int registers>
inline void fewer_registers() {}

namespace host {

/// Whether the thread's registers are ordered before its next wgmma.
inline bool& fenced() {
  static bool all[1024];
  return all[threadIdx.x];
}

/// Element (outer, k) of a matrix, by the canonical layouts of the swizzle of 128 bytes.
inline float element(unsigned long long descriptor, bool transposed, unsigned outer, unsigned k) {
  const auto field = [&](int bit) { return static_cast<unsigned>(descriptor >> bit & 0x3FFF) << 4; };
  const unsigned start = field(0), leading = field(16), stride = field(32);
  const unsigned at = transposed
                          ? start + outer / 64 * leading + outer % 64 * 2 + k / 8 * stride + k % 8 * 128
                          : start + outer / 8 * stride + outer % 8 * 128 + k * 2;
  bf16 value;
  std::memcpy(&value, shared_memory(at ^ (at >> 7 & 7) << 4, 2), 2);
  return widen(value);
}

/// A thread's share of a product of 64 x N x 16: rows lane / 4 and 8 further of its warp's 16, of every 8
/// columns 2 (lane % 4) and the next.
template <int N>
void multiply(const Product& p) {
  const unsigned lane = threadIdx.x % 32, row = threadIdx.x % 128 / 32 * 16 + lane / 4;
  float a[2][16];
  for (unsigned k = 0; k < 16; ++k)
    for (unsigned h = 0; h < 2; ++h) a[h][k] = element(p.a, p.transpose_a, row + h * 8, k);
  for (unsigned r = 0; r < N / 2; ++r) {
    if (r % 4 >= 2) continue;  // the same column as two before, 8 rows further
    float b[16];
    for (unsigned k = 0; k < 16; ++k) b[k] = element(p.b, p.transpose_b, r / 4 * 8 + lane % 4 * 2 + r % 2, k);
    for (unsigned h = 0; h < 2; ++h) {
      float& d = p.d[r + h * 2];
      for (unsigned k = 0; k < 16; ++k) d += a[h][k] * b[k];
    }
  }
}

using Products = Groups<Product>;

}  // namespace host

inline void wgmma_fence() {
  host::fenced() = true;
}
inline void wgmma_commit() {
  host::Products::of_this_thread().commit();
  host::fenced() = false;
}
/// A warp's lanes go on together.
template <int pending>
inline void wgmma_wait() {
  host::Products::of_this_thread().wait(pending, [](const host::Product& p) { p.multiply(p); });
  __syncwarp();
}
template <int n>
inline void wgmma_sums(float (&)[n]) {}

template <int N>
struct Wgmma {
  template <bool TransposeA, bool TransposeB>
  static void run(float (&d)[N / 2], unsigned long long a, unsigned long long b) {
    host::expect(host::fenced(), "wgmma without a wgmma.fence");
    for (const auto descriptor : {a, b})
      host::expect(descriptor >> 62 == 1 && (descriptor >> 49 & 7) == 0 && (descriptor >> 3 & 7) == 0,
                   "a descriptor that does not say: swizzled by 128 bytes, from a multiple of 1024 on");
    host::Products::of_this_thread().open.push_back({d, a, b, TransposeA, TransposeB, host::multiply<N>});
  }
};

}  // namespace ptx

KFER_KERNELS_END

#endif
