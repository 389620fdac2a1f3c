// The instructions of ptx.cuh, acted out by the host executor as the PTX ISA describes them, so that the
// kernels around them are tested where there is no GPU. Written from the ISA's tables, not from
// fragment_layout.cuh. Included by ptx.cuh.
//
// What the ISA leaves undone until it is waited for is done no earlier: a wait too few shows. The copy engine
// has it either way, at once or as late as a thread waits for it: a stage that is refilled too early shows,
// and one that is read too early. A barrier that would wait for ever, or a step that the ISA forbids, ends
// the launch with simt::Error.
#pragma once

#if !defined(__CUDACC__)

#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <stdexcept>
#include <vector>

#include "fragment_layout.cuh"

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

[[noreturn]] inline void forbidden(const char* what) {
  simt::detail::Machine::get().fail(simt::detail::Text().add("PTX: %s", what));
}
inline void expect(bool holds, const char* what) {
  if (!holds) forbidden(what);
}

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

/// A State that each block finds new, also after one that failed.
template <class State>
struct OfBlock {
  std::uint64_t block = 0;
  State state;
  State& get() {
    if (block != simt::stats.blocks) *this = {simt::stats.blocks, {}};
    return state;
  }
};

/// A thread's asynchronous work, in the groups that it waits for.
template <class Work>
struct Groups {
  std::vector<Work> open;
  std::deque<std::vector<Work>> committed;

  static Groups& of_this_thread() {
    static OfBlock<Groups> all[1024];
    return all[threadIdx.x].get();
  }
  void commit() {
    committed.push_back(std::move(open));
    open.clear();
  }
  template <class Do>
  void wait(std::size_t pending, const Do& act) {
    for (; committed.size() > pending; committed.pop_front())
      for (const Work& work : committed.front()) act(work);
  }
};

struct Copy {
  unsigned to;
  const void* from;
  int bytes;
};
struct Box {
  unsigned to;
  TensorMap map;
  int x, y;
};
struct Product {
  float* d;
  unsigned long long a, b;
  bool transpose_a, transpose_b, accumulate;
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

inline float part(unsigned word, int e, bf16) {
  return widen(bf16{static_cast<std::uint16_t>(e ? word >> 16 : word)});
}
inline float part(unsigned word, int, float) {
  return std::bit_cast<float>(word);
}

}  // namespace host

/// Addresses as a GPU counts them, with as many bits as a descriptor has room for.
inline unsigned shared_address(const void* p) {
  return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(p)) & 0x3FFFF;
}
/// `bytes` of shared memory, which begin at a multiple of as many.
inline unsigned char* shared_memory(unsigned address, unsigned bytes) {
  host::expect(address % bytes == 0, "a misaligned address of shared memory");
  auto* const base = static_cast<unsigned char*>(simt::detail::Machine::get().dynamic_shared());
  return base + ((address - shared_address(base)) & 0x3FFFF);
}
inline int computed_here(unsigned value) {
  return static_cast<int>(value);
}

// ---- asynchronous copies of 16 bytes ----

inline void cp_async16(unsigned to, const void* from, int bytes) {
  host::expect(reinterpret_cast<std::uintptr_t>(from) % 16 == 0 && bytes >= 0 && bytes <= 16,
               "cp.async of what is not 16 aligned bytes");
  host::Groups<host::Copy>::of_this_thread().open.push_back({to, from, bytes});
}
inline void cp_async_commit() {
  host::Groups<host::Copy>::of_this_thread().commit();
}
template <int pending>
inline void cp_async_wait() {
  host::Groups<host::Copy>::of_this_thread().wait(pending, [](const host::Copy& c) {
    unsigned char* const to = shared_memory(c.to, 16);
    std::memset(to, 0, 16);
    std::memcpy(to, c.from, static_cast<std::size_t>(c.bytes));
  });
}

// ---- fragments and mma ----

/// Lanes 8 j .. 8 j + 7 name the rows of matrix j, 16 bytes each; register j of lane i is word i % 4 of row
/// i / 4, or with .trans elements 2 (i % 4) and the next of column i / 4.
template <bool transpose>
inline void ldmatrix_x4(unsigned (&r)[4], unsigned address) {
  static const unsigned char* board[32][32];
  const unsigned lane = threadIdx.x % 32;
  const unsigned char*(&rows)[32] = board[threadIdx.x / 32];
  rows[lane] = shared_memory(address, 16);
  __syncwarp();
  for (unsigned j = 0; j < 4; ++j) {
    std::uint16_t halves[2];
    for (unsigned h = 0; h < 2; ++h) {
      const unsigned pair = lane % 4 * 2 + h;
      std::memcpy(&halves[h],
                  transpose ? rows[j * 8 + pair] + lane / 4 * 2 : rows[j * 8 + lane / 4] + pair * 2, 2);
    }
    r[j] = halves[0] | static_cast<unsigned>(halves[1]) << 16;
  }
  __syncwarp();
}
inline unsigned load_shared(unsigned address) {
  unsigned v;
  std::memcpy(&v, shared_memory(address, 4), 4);
  return v;
}
inline unsigned to_tf32(unsigned bits) {
  return (bits + 0x1000u) & 0xFFFFE000u;
}

/// mma.m16n8k16 (bf16) or m16n8k8 (TF32).
template <class T>
inline void mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, T type) {
  constexpr int depth = static_cast<int>(32 / sizeof(T)), each = static_cast<int>(4 / sizeof(T));
  struct Board {
    float a[16][depth], b[depth][8];
  };
  static Board boards[32];
  Board& board = boards[threadIdx.x / 32];
  const int lane = static_cast<int>(threadIdx.x % 32), group = lane >> 2, in_group = lane % 4;
  for (int i = 0; i < 4 * each; ++i)
    if constexpr (each == 2)
      board.a[i < 2 || (i >= 4 && i < 6) ? group : group + 8][in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)] =
          host::part(a[i / 2], i & 1, type);
    else
      board.a[i == 0 || i == 2 ? group : group + 8][i < 2 ? in_group : in_group + 4] =
          host::part(a[i], 0, type);
  for (int i = 0; i < 2 * each; ++i) {
    const unsigned word = i / each ? b1 : b0;
    if constexpr (each == 2)
      board.b[in_group * 2 + (i & 1) + (i < 2 ? 0 : 8)][group] = host::part(word, i & 1, type);
    else
      board.b[i == 0 ? in_group : in_group + 4][group] = host::part(word, 0, type);
  }
  __syncwarp();
  for (int i = 0; i < 4; ++i)
    for (int l = 0; l < depth; ++l)
      c[i] += board.a[i < 2 ? group : group + 8][l] * board.b[l][in_group * 2 + (i & 1)];
  __syncwarp();
}

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
      if (!p.accumulate) d = 0;
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
  static void run(float (&d)[N / 2], unsigned long long a, unsigned long long b, int accumulate) {
    host::expect(host::fenced(), "wgmma without a wgmma.fence");
    for (const auto descriptor : {a, b})
      host::expect(descriptor >> 62 == 1 && (descriptor >> 49 & 7) == 0,
                   "a descriptor that does not say: swizzled by 128 bytes, base offset 0");
    host::Products::of_this_thread().open.push_back(
        {d, a, b, TransposeA, TransposeB, accumulate != 0, host::multiply<N>});
  }
};

}  // namespace ptx

KFER_KERNELS_END

#endif
