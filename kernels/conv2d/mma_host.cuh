// The instructions of tensor cores and of asynchronous copies, acted out by the host executor as the PTX
// manual describes them, so that the kernel around them is tested where there is no GPU.
//
// A copy is done when it is waited for, and no earlier: a wait too few shows. A warp's lanes show each other
// their registers on a board in memory.
#pragma once

#if !defined(__CUDACC__)

#include <cstring>
#include <deque>
#include <vector>

#include "mma_maps.cuh"

KFER_KERNELS_BEGIN
namespace detail {

struct HostCopy {
  void* to;
  const void* from;
  bool inside;
};
/// The groups of copies of every thread of the block; the last one is open.
inline std::deque<std::vector<HostCopy>>& copies_on_the_way() {
  static std::deque<std::vector<HostCopy>> groups[1024];
  auto& mine = groups[threadIdx.x];
  if (mine.empty()) mine.emplace_back();
  return mine;
}
inline void copy_async(void* to, const void* from, bool inside) {
  copies_on_the_way().back().push_back({to, from, inside});
}
inline void commit_copies() {
  copies_on_the_way().emplace_back();
}
template <int Pending>
inline void wait_copies() {
  auto& groups = copies_on_the_way();
  for (; groups.size() > Pending + 1; groups.pop_front())
    for (const HostCopy& c : groups.front()) {
      if (c.inside)
        std::memcpy(c.to, c.from, 16);
      else
        std::memset(c.to, 0, 16);
    }
}

template <bool Transposed>
inline void load_matrices(unsigned (&r)[4], const void* line) {
  static const bf16* board[32][32];
  const unsigned lane = threadIdx.x % 32, outer = lane / 4, inner = lane % 4 * 2;
  const bf16*(&lines)[32] = board[threadIdx.x / 32];
  lines[lane] = static_cast<const bf16*>(line);
  __syncwarp();
  for (unsigned m = 0; m < 4; ++m) {
    const auto element = [&](unsigned h) {
      return Transposed ? lines[m * 8 + inner + h][outer] : lines[m * 8 + outer][inner + h];
    };
    r[m] = element(0).bits | static_cast<unsigned>(element(1).bits) << 16;
  }
  __syncwarp();
}

inline unsigned to_tf32(float x) {  // to nearest, ties away from zero
  return (std::bit_cast<unsigned>(x) + 0x1000u) & 0xFFFFE000u;
}

/// Element e of a fragment.
inline float element(const unsigned* r, int e, bf16) {
  return std::bit_cast<float>(e % 2 ? r[e / 2] & 0xFFFF0000u : r[e / 2] << 16);
}
inline float element(const unsigned* r, int e, float) {
  return std::bit_cast<float>(r[e]);
}

template <class T>
inline void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2], T type) {
  using Shape = MmaShape<T>;
  struct Board {
    float a[16][Shape::depth], b[8][Shape::depth];
  };
  static Board boards[32];
  Board& board = boards[threadIdx.x / 32];
  const int lane = static_cast<int>(threadIdx.x % 32);
  for (int e = 0; e < Shape::a_elements; ++e) {
    const MmaPlace at = Shape::a(lane, e);
    board.a[at.row][at.depth] = element(a, e, type);
  }
  for (int e = 0; e < Shape::b_elements; ++e) {
    const MmaPlace at = Shape::b(lane, e);
    board.b[at.row][at.depth] = element(b, e, type);
  }
  __syncwarp();
  for (int e = 0; e < 4; ++e) {
    const MmaSum at = mma_sum(lane, e);
    for (int k = 0; k < Shape::depth; ++k) d[e] += board.a[at.row][k] * board.b[at.column][k];
  }
  __syncwarp();
}

}  // namespace detail
KFER_KERNELS_END

#endif
