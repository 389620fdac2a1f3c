// The instructions of ptx.cuh, acted out by the host executor as the PTX ISA describes them, so that the
// kernels around them are tested where there is no GPU. Written from the ISA's tables, not from the kernels'
// own maps of fragments. Included by ptx.cuh.
//
// What the ISA leaves undone until it is waited for is done no earlier: a wait too few shows. What it forbids
// ends the launch with simt::Error.
#pragma once

#if !defined(__CUDACC__)

#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "bf16.cuh"

KFER_KERNELS_BEGIN

namespace ptx {

namespace host {

[[noreturn]] inline void forbidden(const char* what) {
  simt::detail::Machine::get().fail(simt::detail::Text().add("PTX: %s", what));
}
inline void expect(bool holds, const char* what) {
  if (!holds) forbidden(what);
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

}  // namespace ptx

KFER_KERNELS_END

#endif
